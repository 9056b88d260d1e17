"""Much of everything: waiting jobs, ended jobs, dead rows that cannot be cleaned away, and no room. Counted in pages and locks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from mill import Mill, job, settle, worker
from postgres_field import opened
from postgres_server import Server, place
from psycopg.types.numeric import Int8

from tidewheel.backends.postgres import arrays
from tidewheel.backends.postgres.consumer import HIGHEST, LOWEST
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import Backend
from tidewheel.errors import BrokerFull
from tidewheel.testing.conformance.harness import eventually

pytestmark = pytest.mark.slow

WAITING = int(os.environ.get("WAITING", "200000"))
ENDED = int(os.environ.get("ENDED", "300000"))
"""The design's figures are a million and ten millions, which take a minute each to write: WAITING=1000000 ENDED=10000000."""

FILL = """
INSERT INTO tidewheel.job (id, published, due, state, rank, queue, task, body)
SELECT gen_random_uuid(), 0, {due}, {state}, 0, 'default', 'tests.noop', 'x' FROM generate_series(1, {many})
"""


def pages(backend: Backend, worker: str, limit: int = 10, after: tuple[int, int] = (LOWEST, 0)) -> int:
    """How many pages a claim looks at; it is undone."""
    store: Store = backend.broker._store  # type: ignore[attr-defined]
    values = [
        worker, Int8(1), arrays.texts(["default"]), Int8(limit), arrays.shorts([after[0]]), arrays.longs([after[1]]),
        arrays.shorts([HIGHEST]),
    ]  # fmt: skip

    def look(connection: Any) -> int:
        cursor = psycopg.RawCursor(connection)
        cursor.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + store.sql("claim"), values)
        (plan,) = cursor.fetchone() or ([],)
        plan = json.loads(plan) if isinstance(plan, str) else plan
        return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])

    def undone(connection: Any) -> int:
        with connection.transaction(force_rollback=True):
            return look(connection)

    return store.step(undone, size=WAITING)


@pytest.mark.parametrize(("state", "due"), [(1, 0), (0, 4e9)], ids=["ready", "scheduled"])
def test_a_million_waiting_jobs_make_no_claim_slower(server: Server, state: int, due: float) -> None:
    backend = opened(server.url)
    consumer = worker(backend)
    server.sql(FILL.format(state=1, due=0, many=20))
    few = pages(backend, consumer._id)
    server.sql(FILL.format(state=state, due=due, many=WAITING))
    # With the plan that was made while the table was empty, and with one that is made now. The indexes are some levels deeper.
    assert pages(backend, consumer._id) <= few + 60
    again = opened(server.url)
    assert pages(again, consumer._id) <= few + 60
    assert len(consumer.claim(["default"], 10, 0)) == 10


def test_an_old_snapshot_stops_vacuum_and_claims_go_on(server: Server) -> None:
    """What was claimed since cannot be cleaned away. Who goes on where the last claim ended does not meet it."""
    backend = opened(server.url)
    consumer = worker(backend)
    with server.client() as other:
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT 1")
        for _ in range(20):
            backend.broker.publish([job() for _ in range(1000)])
        server.sql(FILL.format(state=1, due=0, many=2000))
        before = pages(backend, consumer._id, 50)
        for _ in range(40):
            assert settle(consumer, list(consumer.claim(["default"], 500, 0))) == ["ok"] * 500
        server.sql("VACUUM tidewheel.job")
        floor = consumer._floors["default"]
        assert pages(backend, consumer._id, 50, floor) <= before + 100
        assert pages(backend, consumer._id, 50) > before + 300, "without it a claim walks through all of them"
        other.execute("ROLLBACK")
    server.sql("VACUUM tidewheel.job")
    assert pages(backend, consumer._id, 50) <= before + 100


def test_a_returned_job_is_not_passed_over_for_long(url: str) -> None:
    """A claim goes on where the last one ended; what came back to an earlier place is found when that is forgotten."""
    backend = opened(url)
    first, second = worker(backend), worker(backend)
    backend.broker.publish([job() for _ in range(50)])
    (early,) = second.claim(["default"], 1, 0)
    for _ in range(2):
        assert len(first.claim(["default"], 5, 0)) == 5
    second.close()
    assert early.id not in [d.id for d in first.claim(["default"], 5, 0)]
    first._floors_until = 0.0
    assert early.id in [d.id for _ in range(2) for d in first.claim(["default"], 5, 0)]


def test_millions_of_ended_jobs_go_without_a_stall(serve: Callable[..., Server]) -> None:
    server = serve(log_lock_waits="on", deadlock_timeout="120ms", fsync="off", max_wal_size="8GB")
    backend = opened(server.url)
    start = 1_000_000_800
    server.sql(
        f"CREATE TABLE tidewheel.ended_{start}_{start + 3600} PARTITION OF tidewheel.ended FOR VALUES FROM ({start}) TO ({start + 3600});"
        "INSERT INTO tidewheel.ended"
        " (id, keep, until, finished, published, due, state, rank, deliveries, attempts, strikes, losses, queue, task)"
        f" SELECT gen_random_uuid(), {start}, 0, 0, 0, 0, 3, 0, 1, 0, 0, 0, 'default', 'tests.noop' FROM generate_series(1, {ENDED})"
    )
    server.sql("ANALYZE tidewheel.ended")
    mills = [Mill(opened(server.url)) for _ in range(2)]
    stop = threading.Event()

    def publish() -> None:
        while not stop.is_set():
            backend.broker.publish([job() for _ in range(5)])

    publisher = threading.Thread(target=publish)
    publisher.start()
    eventually(lambda: all(len(mill.ended) > 100 for mill in mills))
    pruned = opened(server.url).broker.sweep().pruned
    ended = [len(mill.ended) for mill in mills]
    eventually(lambda: all(len(mill.ended) > n + 100 for mill, n in zip(mills, ended, strict=True)))
    stop.set()
    publisher.join()
    for mill in mills:
        mill.stop()
    assert pruned == pytest.approx(ENDED, rel=0.05)
    assert server.sql(f"SELECT to_regclass('tidewheel.ended_{start}_{start + 3600}')") == [(None,)]
    assert sum(mill.troubles for mill in mills) == 0
    assert "still waiting" not in (server.folder / "log").read_text(), "somebody waited for a lock"


def test_who_uses_the_old_partitions_is_not_in_the_way(server: Server) -> None:
    """An analyst's transaction holds them: dropping is given up and tried again later, and nobody queues behind it."""
    backend = opened(server.url)
    server.sql("CREATE TABLE tidewheel.ended_0_3600 PARTITION OF tidewheel.ended FOR VALUES FROM (0) TO (3600)")
    with server.client() as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM tidewheel.ended")
        assert backend.broker.sweep().pruned == 0
        assert server.sql("SELECT to_regclass('tidewheel.ended_0_3600')") != [(None,)]
        consumer = worker(backend)
        backend.broker.publish([job()])
        assert settle(consumer, list(consumer.claim(["default"], 1, 0))) == ["ok"]
        other.execute("ROLLBACK")
    backend.broker.sweep()
    assert server.sql("SELECT to_regclass('tidewheel.ended_0_3600')") == [(None,)]


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 48 MB in memory."""
    folder = place("disk")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=0777", "tmpfs", str(folder)], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)
    folder.rmdir()


def test_the_disk_is_full_and_emptied(server: Server, small_disk: Path) -> None:
    (small_disk / "space").mkdir()
    shutil.chown(small_disk / "space", "postgres", "postgres")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(16 << 20))
    server.sql(f"CREATE TABLESPACE small LOCATION '{small_disk / 'space'}'")
    server.sql("CREATE DATABASE jobs")
    server.sql("ALTER DATABASE jobs SET default_tablespace = small")
    url = server.url.replace("/postgres?", "/jobs?").removesuffix("/postgres") + "/jobs"
    backend = opened(url)
    consumer = worker(opened(url))
    accepted: list[str] = []
    with pytest.raises(BrokerFull, match=r"no room left on its disk.*Nothing was stored"):
        for _ in range(2000):
            batch = [job(body=os.urandom(2000)) for _ in range(50)]
            backend.broker.publish(batch)
            accepted += [e.id for e in batch]
    assert backend.broker.counts()["default"].ready == len(accepted)
    filler.unlink()
    ended: list[str] = []
    while deliveries := consumer.claim(["default"], 500, 0):
        assert set(settle(consumer, list(deliveries))) == {"ok"}
        ended += [d.id for d in deliveries]
    assert sorted(ended) == sorted(accepted)
    assert backend.broker.publish([job()])[0].created
