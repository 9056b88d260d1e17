"""Real workers on PostgreSQL: killed, frozen, cut off, idle. Nothing that was accepted is lost, and a worker never needs a restart."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import psycopg
import pytest
from postgres_server import Server
from rig import Rig, alive, children, until

pytestmark = pytest.mark.kill

SEED = int(os.environ.get("KILL_SEED", "20261123"))


@pytest.mark.parametrize("pool", [("-P", "processes", "-c", "2"), ("-P", "threads", "-c", "4")], ids=lambda p: p[1])
def test_workers_are_killed(rig: Rig, pool: tuple[str, ...]) -> None:
    rng, killed, kills = random.Random(SEED), set(), 3
    results = rig.jobs.work.starmap([(i, 0.004) for i in range(400)])
    workers = [rig.start(*pool), rig.start(*pool)]
    for k in range(kills):
        ended = len(rig.history("end"))
        until("some more jobs ended", lambda ended=ended: len(rig.history("end")) > min(390, ended + rng.randrange(10, 60)))
        victim = workers.pop(rng.randrange(2))
        killed |= {victim.pid, *children(victim.pid)}
        victim.kill()
        victim.wait()
        workers.append(rig.start(*pool, wait=k % 2 == 0))
    rig.check(results, killed, most_extra=kills * 40)


def test_a_worker_frozen_for_longer_than_its_lease(rig: Rig) -> None:
    """Its job runs again elsewhere; its own late outcome is refused, counted and logged; and it goes on as a new one."""
    import signal

    gate, other_gate = rig.folder / "gate", rig.folder / "other"
    frozen = rig.start("-c", "1", "-n", "frozen")
    result = rig.jobs.hold.delay(str(gate), 3)
    (line,) = rig.started()
    os.kill(frozen.pid, signal.SIGSTOP)
    heir = rig.start("-c", "1", "-n", "heir")
    until("it runs again", lambda: len(rig.history("start")) == 2, 30)
    gate.touch()
    assert result.get(20) == 3
    until("the frozen one's run has ended too", lambda: len(rig.history("end")) == 2)
    os.kill(frozen.pid, signal.SIGCONT)
    until("it is refused", lambda: "outcome.refused" in rig.log(0))
    rig.stop(heir)
    again = rig.jobs.hold.delay(str(other_gate), 5)
    other_gate.touch()
    assert again.get(30) == 5, "the one that was frozen works again"
    assert rig.app.record(result.id).attempts == 0
    rig.stop(frozen)
    assert [h.event for h in rig.app.browse().job(result.id).history] == ["lost"]
    assert not alive(line.pid)


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


def test_a_cancellation_reaches_a_busy_worker_at_once(rig: Rig) -> None:
    rig.start("-c", "1")
    result = rig.jobs.hold.delay(str(rig.folder / "never"), 1)
    rig.started()
    began = time.monotonic()
    result.cancel()
    until("it was cancelled", lambda: rig.app.record(result.id).state == "cancelled", 10)
    assert time.monotonic() - began < 3


def test_an_idle_worker_writes_next_to_nothing(rig: Rig, shared: Server) -> None:
    """A look a second that only reads, and a beat."""
    rig.start("-c", "1")
    rig.jobs.work.delay(1, 0.0).get(20)
    database = rig.app.url.rsplit("/", 1)[1].split("?")[0]
    with shared.client(database) as client:
        ids = _transaction_ids(client)
        time_before = client.execute("SELECT clock_timestamp()").fetchone()[0]
        until("some seconds are over", lambda: (client.execute("SELECT clock_timestamp()").fetchone()[0] - time_before).total_seconds() > 4)
        used = _transaction_ids(client) - ids
    assert used <= 4 + 4 + 2, "a beat each second (at this lease), and what others do to the server"


def _transaction_ids(client: psycopg.Connection) -> int:
    row = client.execute("SELECT txid_snapshot_xmax(txid_current_snapshot())").fetchone()
    assert row is not None
    return int(row[0])
