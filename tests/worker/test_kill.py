"""Real processes, really killed, many times. Nothing that was accepted is lost; nothing runs twice whose process had not died."""

from __future__ import annotations

import os
import signal

import pytest
from rig import Rig, alive, children, family, until

pytestmark = pytest.mark.kill

POOLS = [("-P", "processes", "-c", "2"), ("-P", "threads", "-c", "4"), ("-P", "asyncio", "-c", "4"), ("-P", "gevent", "-c", "4")]


@pytest.mark.parametrize("pool", POOLS, ids=lambda p: p[1])
def test_workers_are_killed(rig: Rig, pool: tuple[str, ...]) -> None:
    results = rig.jobs.work.starmap([(i, 0.004) for i in range(700)])
    killed = rig.kill_workers(8, 700, pool)
    # Settled in batches: a job may have ended and its outcome have died with the worker. Slots, and what was on its way to the broker.
    rig.check(results, killed, most_extra=8 * 40)


def test_executors_are_killed(rig: Rig) -> None:
    results = rig.jobs.work.starmap([(i, 0.003) for i in range(1500)])
    rig.start("-c", "2")
    killed = rig.kill_executors(25, 1500)
    # An outcome is in the kernel's buffer before the next job begins: at most the one job that was running is repeated.
    rig.check(results, killed, most_extra=25)


def test_the_forkserver_is_killed(rig: Rig) -> None:
    killed: set[int] = set()
    results = rig.jobs.work.starmap([(i, 0.003) for i in range(600)])
    worker = rig.start("-c", "2")
    for n in range(3):
        until("some more jobs ended", lambda n=n: len(rig.history("end")) > 100 * (n + 1))
        (forkserver,) = [p for p in children(worker.pid) if children(p)]
        killed |= family(forkserver)
        os.kill(forkserver, signal.SIGKILL)
        until("the old ones are gone", lambda killed=killed: not [p for p in killed if alive(p)])
        until("new executors", lambda killed=killed: [p for p in children(worker.pid) if p not in killed and children(p)])
    rig.check(results, killed, most_extra=6)
    assert worker.poll() is None


def test_in_the_middle_of_a_task(rig: Rig) -> None:
    """A killed worker's job is back within seconds, on another worker; its losses are counted."""
    gate = rig.folder / "gate"
    first = rig.start("-c", "1")
    result = rig.jobs.hold.delay(str(gate), 7)
    (line,) = rig.started()
    second = rig.start("-c", "1")
    first.kill()
    first.wait()
    until("it runs again", lambda: len(rig.history("start")) == 2, 5)
    assert not alive(line.pid), "the first run was still alive when the second began"
    gate.touch()
    assert result.get(20) == 7
    view = rig.app.browse().job(result.id)
    assert [h.event for h in view.history] == ["lost"]
    assert second.poll() is None


def test_a_frozen_worker_is_not_taken_for_dead(rig: Rig) -> None:
    gate = rig.folder / "gate"
    frozen = rig.start("-c", "1")
    result = rig.jobs.hold.delay(str(gate), 3)
    rig.started()
    os.kill(frozen.pid, signal.SIGSTOP)
    rig.start("-c", "1")
    assert [r.get(20) for r in rig.jobs.work.map(range(50))] == list(range(50))
    gate.touch()
    os.kill(frozen.pid, signal.SIGCONT)
    assert result.get(20) == 3
    assert rig.runs()[result.id] == 1


def test_a_job_that_kills_its_whole_worker_takes_no_neighbours_along_for_long(rig: Rig) -> None:
    """From its second loss on it runs alone. (That it is dead after ten losses is shown with a faster clock in the conformance suite.)"""
    poison = rig.jobs.kill_worker.delay()
    others = rig.jobs.work.starmap([(i, 0.001) for i in range(300)])
    for n in range(3):
        worker = rig.start("-c", "2", wait=False)
        until("the worker was killed", lambda worker=worker: worker.poll() is not None, 60)
        assert rig.runs()[poison.id] == n + 1
    last = rig.start("-c", "2")
    until("its third loss is counted", lambda: rig.app.browse().job(poison.id).losses == 3)
    assert poison.cancel() == "cancelled"
    assert sorted(r.get(30) for r in others) == list(range(300))
    assert last.poll() is None
    assert max(rig.runs()[r.id] for r in others) <= 3
