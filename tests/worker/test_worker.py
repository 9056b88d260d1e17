"""A worker as its users know it: started from the command line, fed, asked, signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rig import Rig, alive, children, until

from tidewheel import JobFailed
from tidewheel.errors import JobCancelled

POOLS = [
    ("-P", "processes", "-c", "2"), ("-P", "threads", "-c", "4"), ("-P", "asyncio", "-c", "4"), ("-P", "gevent", "-c", "4"),
    ("-P", "eventlet", "-c", "4"), ("-P", "inline",),
]  # fmt: skip
ids = [p[1] for p in POOLS]


@pytest.fixture(params=POOLS, ids=ids)
def pool(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param  # type: ignore[no-any-return]


def test_every_pool_runs_both_kinds(rig: Rig, pool: tuple[str, ...]) -> None:
    rig.start(*pool)
    results = [rig.jobs.add.delay(i, i) for i in range(20)] + rig.jobs.awork.starmap([(i,) for i in range(20)])
    assert [r.get(20) for r in results] == [2 * i for i in range(20)] + list(range(20))
    with pytest.raises(ZeroDivisionError) as caught:
        rig.jobs.divide.delay().get(20)
    assert "return 1 / 0" in caught.value.__cause__.__notes__[0]


def test_spawned_executors(rig: Rig) -> None:
    rig.start("--start-method", "spawn", "-c", "2")
    assert [r.get(20) for r in rig.jobs.add.starmap([(i, 1) for i in range(50)])] == [i + 1 for i in range(50)]


def test_retries_then_succeeds_or_dies(rig: Rig) -> None:
    rig.start("-c", "2")
    assert rig.jobs.flaky.delay(3).get(20) == 3
    with pytest.raises(ValueError, match="attempt 3"):
        rig.jobs.flaky.delay(9).get(20)
    with pytest.raises(JobFailed) as caught:
        rig.jobs.fail.delay().get(20)
    assert caught.value.error is not None
    assert caught.value.error.type == "tidewheel.errors.JobFailed"


def test_retry_in_counts_and_snooze_does_not(rig: Rig) -> None:
    rig.start("-c", "2")
    assert rig.jobs.later.delay().get(20) == 2
    assert rig.jobs.sleepy.delay(str(rig.folder / "slept")).get(20) == 1


def test_priorities_and_queues(rig: Rig) -> None:
    low = rig.jobs.work.using(priority=-5).delay(1)
    normal = rig.jobs.work.delay(2)
    high = rig.jobs.work.using(priority=100).delay(3)
    other = rig.jobs.elsewhere.delay()
    rig.start("-c", "1", "-Q", "default")
    assert [r.get(20) for r in (low, normal, high)] == [1, 2, 3]
    assert [x.value for x in rig.history("start")] == ["3", "2", "1"]
    assert other.state == "ready"
    rig.start("-c", "1")
    assert other.get(20) == "other"


def test_delays_are_kept_by_the_broker(rig: Rig) -> None:
    rig.start("-c", "1")
    result = rig.jobs.work.using(countdown=1.5).delay(1)
    assert result.state == "scheduled"
    assert rig.jobs.work.delay(2).get(20) == 2
    assert result.get(20) == 1
    assert [x.value for x in rig.history("start")] == ["2", "1"]
    view = rig.app.browse().job(result.id)
    assert view.started - view.published >= 1.5


@pytest.mark.parametrize("pool", POOLS[:-1], ids=ids[:-1])
def test_time_limits(rig: Rig, pool: tuple[str, ...]) -> None:
    rig.start(*pool)
    results = [rig.jobs.endless.delay(), rig.jobs.aendless.delay()]
    tidied = rig.jobs.tidy.delay()
    for result in results:
        with pytest.raises(JobFailed) as caught:
            result.get(20)
        assert caught.value.reason == "time limit"
        assert caught.value.error is not None
        assert "0.5 s" in caught.value.error.message
    if pool[1] not in ("threads", "asyncio"):  # there a blocking system call cannot be interrupted, as docs/explanation/processes.md says
        assert tidied.get(20) == "tidied"
    assert rig.jobs.add.delay(1, 1).get(20) == 2


@pytest.mark.parametrize("pool", POOLS[:-1], ids=ids[:-1])
def test_a_deaf_run_is_killed_at_its_limit(rig: Rig, pool: tuple[str, ...]) -> None:
    rig.start(*pool, "--kill-after", "0.3", "--grace", "1")
    with pytest.raises(JobFailed) as caught:
        rig.jobs.deaf.delay().get(30)
    assert caught.value.reason == "time limit"
    assert rig.jobs.add.delay(1, 1).get(20) == 2
    assert sum(rig.runs().values()) == 1


@pytest.mark.parametrize("pool", POOLS[:-1], ids=ids[:-1])
def test_cancel_running(rig: Rig, pool: tuple[str, ...]) -> None:
    rig.start(*pool)
    cleaned = rig.folder / "cleaned"
    results = [rig.jobs.patient.delay(), rig.jobs.stubborn.delay(str(cleaned))]
    rig.started(2)
    until("progress is visible", lambda: results[0].progress == {"at": 1})
    assert [r.cancel() for r in results] == ["requested", "requested"]
    for result in results:
        with pytest.raises(JobCancelled):
            result.get(20)
    assert cleaned.exists()
    assert rig.jobs.add.delay(1, 1).get(20) == 2


def test_cancel_queued(rig: Rig) -> None:
    result = rig.jobs.work.delay(1)
    assert result.cancel() == "cancelled"
    rig.start("-c", "1")
    assert rig.jobs.work.delay(2).get(20) == 2
    with pytest.raises(JobCancelled):
        result.get(1)
    assert [x.value for x in rig.history("start")] == ["2"]


def test_unknown_task_and_bad_arguments(rig: Rig) -> None:
    rig.start("-c", "1")
    unknown = rig.app.send("jobs.not_there", 1)
    bad = rig.app.send("jobs.add", "one", 2)
    with pytest.raises(JobFailed) as caught:
        bad.get(20)
    assert caught.value.reason == "bad arguments"
    until("the unknown one is handed on", lambda: unknown.state == "scheduled")


@pytest.mark.parametrize("how", ["exit", "segfault", "kill"])
def test_a_job_that_kills_its_executor_is_dead_after_three(rig: Rig, how: str) -> None:
    rig.start("-c", "2")
    result = rig.jobs.die.delay(how)
    others = rig.jobs.work.starmap([(i, 0.02) for i in range(100)])
    with pytest.raises(JobFailed) as caught:
        result.get(40)
    assert caught.value.reason == "poison"
    assert sorted(r.get(20) for r in others) == list(range(100))
    assert rig.runs().pop(result.id) == 3
    assert max(v for k, v in rig.runs().items() if k != result.id) == 1, "a neighbour ran twice"
    until("the app's listeners hear of it", lambda: [x for x in rig.history("failed") if x.value == "poison"])


def test_recycling_by_count_and_by_memory(rig: Rig) -> None:
    rig.start("-c", "1", "--max-tasks-per-child", "5", "--max-memory-per-child", "150M")
    pids = [rig.jobs.pid.delay().get(20) for _ in range(12)]
    assert len(set(pids)) >= 3
    grown = rig.jobs.grow.delay(200).get(20)
    until("the grown executor is gone", lambda: not alive(grown))
    assert rig.jobs.pid.delay().get(20) != grown


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(rig: Rig, sig: int) -> None:
    worker = rig.start("-c", "1")
    gate = rig.folder / "gate"
    running = rig.jobs.hold.delay(str(gate))
    rig.started()
    waiting = rig.jobs.work.map(range(5))
    worker.send_signal(sig)
    until("draining", lambda: "finish" in rig.log())
    gate.touch()
    assert worker.wait(20) == 0
    assert running.get(1) == 0
    assert {r.state for r in waiting} == {"ready"}
    assert not children(worker.pid)


@pytest.mark.parametrize("pool", ["processes", "inline"])
def test_a_signal_that_comes_while_it_is_stopped_is_heard(rig: Rig, pool: str) -> None:
    worker = rig.start("-P", pool)
    for _ in range(2):
        worker.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, worker.pid, os.WSTOPPED)
        worker.send_signal(signal.SIGCONT)
        os.waitid(os.P_PID, worker.pid, os.WCONTINUED)
    worker.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, worker.pid, os.WSTOPPED)
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGCONT)
    assert worker.wait(20) == 0


def test_what_does_not_end_in_time_is_handed_back_uncounted(rig: Rig) -> None:
    worker = rig.start("-c", "2", "--grace", "0.2")
    gate = rig.folder / "gate"
    result = rig.jobs.hold.delay(str(gate))
    rig.started()
    assert rig.stop(worker) == 1
    assert result.state in ("ready", "scheduled")
    gate.touch()
    rig.start("-c", "1")
    assert result.get(20) == 0
    view = rig.app.browse().job(result.id)
    assert (view.strikes, view.losses, view.attempts) == (0, 0, 0)


def test_a_second_signal_is_immediate(rig: Rig) -> None:
    worker = rig.start("-c", "1", "--grace", "600")
    result = rig.jobs.hold.delay(str(rig.folder / "never"))
    (line,) = rig.started()
    worker.send_signal(signal.SIGINT)
    until("draining", lambda: "finish" in rig.log())
    worker.send_signal(signal.SIGINT)
    assert worker.wait(15) == 1
    assert result.state in ("ready", "scheduled")
    until("its executor is gone", lambda: not alive(line.pid))


def test_one_long_job_hoards_nothing(rig: Rig) -> None:
    gate = rig.folder / "gate"
    rig.start("-c", "1")
    rig.jobs.work.map(range(200))
    until("it has learnt that jobs are short", lambda: len(rig.history("end")) == 200)
    rig.jobs.hold.delay(str(gate))
    rig.started(201)
    short = rig.jobs.work.map(range(100))
    rig.start("-c", "1")
    assert len([r.get(20) for r in short]) == 100
    gate.touch()


def test_burst_ends_when_the_queues_are_empty(rig: Rig) -> None:
    rig.jobs.work.map(range(300))
    worker = rig.start("--burst", "-c", "2", wait=False)
    assert worker.wait(30) == 0, rig.log()
    assert len(rig.history("end")) == 300


def test_an_app_that_cannot_be_imported(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def f():\n    raise ValueError('typo here')\nf()\n")
    for name, says in (("broken", "typo here"), ("nothere", "no module 'nothere'"), ("os", "no Tidewheel app")):
        command = [sys.executable, "-m", "tidewheel", "-A", name, "worker"]
        out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
        assert out.returncode in (1, 2)
        assert says in out.stderr
        assert "forkserver" not in out.stderr


def test_children_never_outlive_their_worker(rig: Rig) -> None:
    spawn = ("-c", "2", "--start-method", "spawn")
    for flags in (("-c", "2"), spawn, ("-P", "threads", "-c", "2"), ("-P", "gevent"), ("-P", "eventlet")):
        worker = rig.start(*flags)
        rig.jobs.spawn_sleeper.delay()
        (line,) = rig.started(1)
        family = children(worker.pid)
        assert line.pid in family
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        until("all children are gone", lambda family=family: not [p for p in family if alive(p)], 10)
        rig.history_file.unlink()
        rig.app.purge("default")
