"""Effects that are committed with the acknowledgement happen exactly once, whoever is killed, frozen or cut off, and whenever."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from rig import Rig, until

pytestmark = pytest.mark.kill

Rows = Callable[[], list[int]]


@pytest.fixture
def rows(rig: Rig) -> Rows:
    """The effects that are committed."""
    rig.app.counts()
    url = rig.app.url.partition("?")[0]
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE effect (n integer)")

    def read() -> list[int]:
        with psycopg.connect(url) as connection:
            return [n for (n,) in connection.execute("SELECT n FROM effect ORDER BY n").fetchall()]

    return read


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_workers_are_killed(rig: Rig, rows: Rows) -> None:
    results = rig.jobs.book.starmap([(n, 0.002) for n in range(300)])
    rig.kill_workers(3, 300, ("-c", "2"), done=lambda: len(rows()))
    assert sorted(r.get(60) for r in results) == list(range(300))
    assert rows() == list(range(300))


def test_a_worker_that_was_thought_dead_leaves_nothing_behind(rig: Rig, rows: Rows) -> None:
    first = rig.start("-c", "1", "-n", "first")
    gate = rig.folder / "gate"
    result = rig.jobs.book.delay(1, gate=str(gate))
    until("it has written", lambda: rig.history("written"))
    with frozen(first.pid):  # and not its executor, which goes on: nobody tells it that the lease is over
        rig.start("-c", "1", "-n", "second")
        until("another worker has it, too", lambda: len(rig.history("written")) == 2)
        gate.touch()
        assert result.get(30) == 1
        until("the first run has come to its end, too", lambda: len(rig.history("end")) == 2)
        until("and was refused", lambda: "was not committed" in rig.log(0))
        assert rows() == [1]
    assert rig.stop(first) in (0, 1)
    assert rows() == [1]


def test_the_servers_end_in_the_middle(rig: Rig, rows: Rows) -> None:
    """The connection of the transaction is cut: the run has not happened."""
    rig.start("-c", "1")
    gate = rig.folder / "gate"
    result: Any = rig.jobs.book.delay(1, gate=str(gate))  # which knows no retry: this is no failure of its own
    until("it has written", lambda: rig.history("written"))
    with psycopg.connect(rig.app.url.partition("?")[0], autocommit=True) as connection:
        cut = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE state = 'idle in transaction' AND datname = current_database()"
        ).fetchone()
        assert cut == (1,)
    gate.touch()
    assert result.get(60) == 1
    assert rows() == [1]
    assert len(rig.history("written")) == 2
