"""Real workers on PostgreSQL: killed, frozen, cut off, idle. Nothing that was accepted is lost, and a worker never needs a restart."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest
from postgres_server import Server
from rig import Rig, until

pytestmark = pytest.mark.kill


@pytest.mark.parametrize("pool", [("-P", "processes", "-c", "2"), ("-P", "threads", "-c", "4")], ids=lambda p: p[1])
def test_workers_are_killed(rig: Rig, pool: tuple[str, ...]) -> None:
    results = rig.jobs.work.starmap([(i, 0.004) for i in range(400)])
    rig.check(results, rig.kill_workers(3, 400, pool), most_extra=3 * 40)


def test_the_server_crashes_under_workers(rig: Rig, serve: Callable[..., Server]) -> None:
    server = serve()
    rig.app.close()
    rig.app.url = f"{server.url}?lease=3"
    results = rig.jobs.work.starmap([(i, 0.004) for i in range(500)])
    workers = [rig.start("-c", "2"), rig.start("-c", "2")]
    for n in range(2):
        until("some more jobs ended", lambda n=n: len(rig.history("end")) > 120 * (n + 1))
        server.restart()
    assert sorted(r.get(60) for r in results) == list(range(500))
    assert all(w.poll() is None for w in workers), "a worker ended"
    # A claim is not synced: the server may have forgotten the last ones, and then it hands those jobs out once more.
    assert sum(rig.runs().values()) <= 500 + 2 * 2 * 60


def test_an_idle_worker_writes_next_to_nothing(rig: Rig, serve: Callable[..., Server]) -> None:
    """A look a second that only reads, and a beat."""
    server = serve(autovacuum="off")  # which numbers transactions as well: on the server that all share some ten in a burst
    rig.app.close()
    rig.app.url = f"{server.url}?lease=3"
    rig.start("-c", "1")
    rig.jobs.work.delay(1, 0.0).get(20)
    with server.client() as client:
        ids = _transaction_ids(client)
        before = time.monotonic()
        until("some seconds are over", lambda: time.monotonic() - before > 4)
        used, seconds = _transaction_ids(client) - ids, time.monotonic() - before
    assert used <= seconds + 2, "a beat each second (at this lease), and one at either end"


def _transaction_ids(client: psycopg.Connection) -> int:
    row = client.execute("SELECT txid_snapshot_xmax(txid_current_snapshot())").fetchone()
    assert row is not None
    return int(row[0])
