"""Effects that are committed with the acknowledgement happen exactly once, whoever is killed and whenever."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path

import pytest
from rig import Rig, until

pytestmark = pytest.mark.kill


@pytest.fixture
def effects(rig: Rig) -> Path:
    """The broker's database, with a table for the tasks' effects."""
    rig.app.counts()
    path = Path(rig.app.url.removeprefix("sqlite:///"))
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE effect (n INTEGER)")  # and no uniqueness: a second run's row would be there to see
    connection.close()
    return path


def rows(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    found = [n for (n,) in connection.execute("SELECT n FROM effect ORDER BY n")]
    connection.close()
    return found


def test_workers_are_killed(rig: Rig, effects: Path) -> None:
    results = rig.jobs.book.starmap([(n, 0.002) for n in range(300)])
    rig.kill_workers(5, 300, ("-c", "2"), done=lambda: len(rows(effects)))
    assert sorted(r.get(60) for r in results) == list(range(300))
    assert rows(effects) == list(range(300))


def test_an_executor_is_killed_between_its_write_and_its_end(rig: Rig, effects: Path) -> None:
    rig.start("-c", "1")
    gate = rig.folder / "gate"
    result = rig.jobs.book.delay(1, gate=str(gate))
    (line,) = until("it has written", lambda: rig.history("written"))
    assert rows(effects) == []
    os.kill(line.pid, signal.SIGKILL)
    gate.touch()
    assert result.get(30) == 1
    assert len(rig.history("written")) == 2
    assert rows(effects) == [1]
