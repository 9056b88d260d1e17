"""How work is shared among workers; the same on every broker. Each folder with servers runs these on its own `rig` (test_balance.py)."""

from __future__ import annotations

from collections import Counter

import pytest
from rig import Rig, children, until

__all__ = ["test_a_long_job_in_front_holds_nobody_up", "test_the_faster_worker_takes_the_larger_share"]


def test_the_faster_worker_takes_the_larger_share(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers, one ten times as slow. Nobody deals jobs out in turn: who has room takes the next."""
    workers = {}
    for name, pace in (("fast", "0.01"), ("slow", "0.1")):
        monkeypatch.setenv("PACE", pace)
        workers[name] = rig.start("-P", "threads", "-c", "2")
    results = rig.jobs.paced.starmap([(n,) for n in range(200)])
    assert [result.get(60) for result in results] == list(range(200))
    runs = rig.runs()
    assert len(runs) == 200
    assert set(runs.values()) == {1}
    whose = {pid: name for name, worker in workers.items() for pid in children(worker.pid)}
    share = Counter(whose[line.pid] for line in rig.history("start"))
    assert 0 < share["slow"] < 200 / 3, share


def test_a_long_job_in_front_holds_nobody_up(rig: Rig) -> None:
    """Whoever gets the long job may have taken short ones with it; they are handed on while it runs."""
    gate = rig.folder / "gate"
    results = rig.app.publish_many([rig.jobs.hold.call(str(gate)), *(rig.jobs.work.call(n) for n in range(60))])
    rig.start("-c", "1", wait=False)
    rig.start("-c", "1")
    until("both workers are ready", lambda: "ready" in rig.log(0))
    until("the short jobs ended", lambda: len(rig.history("end")) == 60, 60)
    assert results[0].state == "running"
    gate.touch()
    assert [result.get(30) for result in results[1:]] == list(range(60))
    results[0].get(30)
    assert set(rig.runs().values()) == {1}
