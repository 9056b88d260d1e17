"""What every pool promises, tried on each of them through the seam: results, errors, interruptions, taking back, ending."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tidewheel import Context, SoftTimeLimit, Tidewheel
from tidewheel.core.job import Delivery, Token
from tidewheel.core.outcome import Again, AnyOutcome, Cancelled, Dead, Succeeded
from tidewheel.pools.aio import Asyncio
from tidewheel.pools.processes import Processes
from tidewheel.pools.threads import Threads
from tidewheel.wire.failures import decode_error
from tidewheel.wire.values import decode
from tidewheel.worker.execute import Execution, Kitchen
from tidewheel.worker.frames import Key

app = Tidewheel("memory://pools")
started = threading.Event()
release = threading.Event()


@app.task
def add(a: int, b: int) -> int:
    return a + b


@app.task
async def aadd(a: int, b: int) -> int:
    await asyncio.sleep(0)  # so that it does not end within one step of its loop
    return a + b


@app.task
def boom() -> None:
    raise ZeroDivisionError("no")


@app.task
async def aboom() -> None:
    raise ZeroDivisionError("no")


@app.task
def spin(limit: float = 20.0) -> str:
    started.set()
    end = time.monotonic() + limit
    try:
        while time.monotonic() < end:
            time.sleep(0.001)  # works, and can be interrupted
    except SoftTimeLimit:
        return "cleaned up"
    return "not interrupted"


@app.task
async def aspin() -> str:
    started.set()
    try:
        await asyncio.sleep(20)  # is to be interrupted
    except SoftTimeLimit:
        return "cleaned up"
    return "not interrupted"


@app.task(context=True)
def who(context: Context) -> str:
    return context.id


@app.task
def held() -> str:
    started.set()
    release.wait(20)
    return "released"


class Probe:
    """A harness that remembers outcomes."""

    def __init__(self) -> None:
        self.kitchen = Kitchen(app)
        self.outcomes: dict[str, AnyOutcome] = {}
        self.news = threading.Condition()

    def begin(self, delivery: Delivery) -> Execution:
        return Execution(self.kitchen, delivery, lambda key, data: None)

    def ended(self, execution: Execution) -> None:
        outcome = execution.outcome()
        with self.news:
            assert execution.key[0] not in self.outcomes, "ended twice"
            self.outcomes[execution.key[0]] = outcome
            self.news.notify_all()

    def wait(self, job_id: str) -> AnyOutcome:
        with self.news:
            assert self.news.wait_for(lambda: job_id in self.outcomes, 15), "the job never ended"
            return self.outcomes[job_id]


class Stage:
    """A pool that runs on a thread of the test, and the way to give it jobs."""

    def __init__(self, make: Callable[[Probe], Any]) -> None:
        self.probe = Probe()
        self.pool = make(self.probe)
        self.claims = 0
        self.thread = threading.Thread(target=self.pool.run)
        self.thread.start()

    def delivery(self, call: Any) -> Delivery:
        self.claims += 1
        return Delivery(envelope=call.envelope, token=Token("w", self.claims), published=time.time())

    def key(self, delivery: Delivery) -> Key:
        return delivery.envelope.id, delivery.token.claim

    def submit(self, *calls: Any) -> list[Delivery]:
        deliveries = [self.delivery(c) for c in calls]
        self.pool.submit(deliveries)
        return deliveries

    def run(self, call: Any) -> AnyOutcome:
        return self.probe.wait(self.submit(call)[0].id)

    def close(self) -> None:
        self.pool.quit()
        self.thread.join(15)
        assert not self.thread.is_alive(), "the pool did not end"


def greenlets(probe: Probe) -> Any:
    if os.environ["PATCHED_FOR"] == "gevent":
        from tidewheel.pools.gevent import Gevent

        return Gevent(probe, 4)
    from tidewheel.pools.eventlet import Eventlet

    return Eventlet(probe, 4)


POOLS: dict[str, Callable[[Probe], Any]] = {
    "processes": lambda probe: Processes(probe, main_thread=False),
    "threads": lambda probe: Threads(probe, 4),
    "asyncio": lambda probe: Asyncio(probe, 4),
}
if "PATCHED_FOR" in os.environ:  # test_greenlets.py runs this file once more, in a process that was patched for one of these pools
    POOLS = {os.environ["PATCHED_FOR"]: greenlets}


@pytest.fixture(params=list(POOLS))
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    started.clear()
    release.clear()
    stage = Stage(POOLS[request.param])
    yield stage
    release.set()
    stage.close()


def value(outcome: AnyOutcome) -> Any:
    assert isinstance(outcome, Succeeded), outcome
    assert outcome.value is not None
    return decode(outcome.value)


def test_runs_def_and_async_def_tasks(stage: Stage) -> None:
    assert value(stage.run(add.call(2, 3))) == 5
    assert value(stage.run(aadd.call(4, 5))) == 9


def test_an_exception_is_an_outcome(stage: Stage) -> None:
    for task in (boom, aboom):
        outcome = stage.run(task.call())
        assert isinstance(outcome, Dead)
        error = decode_error(outcome.error)
        assert error is not None
        assert error.type == "ZeroDivisionError"
        assert "raise ZeroDivisionError" in error.traceback


def test_the_context_is_that_of_the_job(stage: Stage) -> None:
    call = who.call()
    assert value(stage.run(call)) == call.id


def test_many_jobs_all_end_once(stage: Stage) -> None:
    deliveries = stage.submit(*[add.call(i, i) if i % 2 else aadd.call(i, i) for i in range(500)])
    assert [value(stage.probe.wait(d.id)) for d in deliveries] == [2 * i for i in range(500)]


@pytest.mark.parametrize("task", [spin, aspin])
def test_a_soft_limit_can_be_caught(stage: Stage, task: Any) -> None:
    (delivery,) = stage.submit(task.call())
    assert started.wait(10)
    stage.pool.stop(stage.key(delivery), "soft")
    assert value(stage.probe.wait(delivery.id)) == "cleaned up"


@pytest.mark.parametrize("task", [spin, aspin])
def test_a_cancelled_run_ends_cancelled(stage: Stage, task: Any) -> None:
    (delivery,) = stage.submit(task.call())
    assert started.wait(10)
    stage.pool.stop(stage.key(delivery), "cancel")
    assert isinstance(stage.probe.wait(delivery.id), Cancelled)


@pytest.mark.parametrize("task", [spin, aspin])
def test_a_hard_limit_ends_as_time_limit(stage: Stage, task: Any) -> None:
    (delivery,) = stage.submit(task.call())
    assert started.wait(10)
    stage.pool.stop(stage.key(delivery), "hard")
    outcome = stage.probe.wait(delivery.id)
    assert isinstance(outcome, Dead)
    assert outcome.reason == "time limit"


@pytest.mark.parametrize("task", [spin, aspin])
def test_an_interrupted_run_goes_back_uncounted(stage: Stage, task: Any) -> None:
    (delivery,) = stage.submit(task.call())
    assert started.wait(10)
    stage.pool.stop(stage.key(delivery), "interrupt")
    outcome = stage.probe.wait(delivery.id)
    assert isinstance(outcome, Again)
    assert (outcome.event, outcome.counted) == ("interrupted", "")


def test_the_job_after_an_interrupted_one_is_left_alone(stage: Stage) -> None:
    for _ in range(20):
        started.clear()
        (delivery,) = stage.submit(spin.call())
        assert started.wait(10)
        stage.pool.stop(stage.key(delivery), "cancel")
        after = stage.submit(add.call(1, 1), aadd.call(1, 1))
        assert isinstance(stage.probe.wait(delivery.id), Cancelled)
        assert [value(stage.probe.wait(d.id)) for d in after] == [2, 2]


def test_stopping_what_has_ended_does_nothing(stage: Stage) -> None:
    (delivery,) = stage.submit(add.call(1, 2))
    stage.probe.wait(delivery.id)
    stage.pool.stop(stage.key(delivery), "hard")
    assert value(stage.run(add.call(2, 2))) == 4


def test_what_has_not_started_can_be_taken_back(stage: Stage) -> None:
    stage.submit(*[held.call() for _ in range(stage.pool.slots)])
    assert started.wait(10)
    waiting = stage.submit(*[add.call(i, i) for i in range(10)])
    keys = [stage.key(d) for d in waiting]
    assert stage.pool.take_back(keys[3:]) == keys[3:]
    assert stage.pool.take_back(keys[3:]) == []
    release.set()
    assert [value(stage.probe.wait(d.id)) for d in waiting[:3]] == [0, 2, 4]
    assert value(stage.run(add.call(5, 5))) == 10
    assert not any(d.id in stage.probe.outcomes for d in waiting[3:])


def test_quitting_ends_what_was_accepted(stage: Stage) -> None:
    deliveries = stage.submit(*[add.call(i, 1) for i in range(100)])
    stage.pool.quit()
    stage.thread.join(15)
    assert not stage.thread.is_alive()
    assert len([d for d in deliveries if d.id in stage.probe.outcomes]) == 100


def test_several_run_at_once() -> None:
    for name in POOLS.keys() - {"processes"}:
        release.clear()
        stage = Stage(POOLS[name])
        deliveries = stage.submit(*[held.call() for _ in range(4)])
        other = stage.submit(add.call(1, 1))
        release.set()
        for delivery in deliveries + other:
            stage.probe.wait(delivery.id)
        stage.close()
