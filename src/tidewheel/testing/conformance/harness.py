"""What the suite needs to know of an engine (`Harness`), and what its tests work with (`Rig`)."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Literal, TypeVar

import pytest
from msgspec.structs import replace

from tidewheel.contract import (
    Archive,
    Backend,
    Broadcaster,
    Broker,
    Browse,
    Consumer,
    Control,
    ResultStore,
    Settlement,
    Swept,
    Tracker,
    TrackingConsumer,
    Verdict,
    WorkerInfo,
)
from tidewheel.core.job import Delivery, Envelope
from tidewheel.core.outcome import AnyOutcome, Succeeded
from tidewheel.ids import incarnation, job_id

R = TypeVar("R")
PROMPT = 2.0
"""Seconds within which something must happen that an engine promises to do at once."""


class Harness(ABC):
    """How to handle one engine. A new one for each test."""

    tick: float = 10.0
    """Seconds in which the tests reckon: long when time is virtual, as short as it still works when it is real."""
    virtual: bool = True
    """Whether `advance` shifts a clock. If not, tests that look minutes or days ahead are skipped."""

    remembers: bool = True
    """Whether the broker itself remembers an ended job for as long as its result is kept (not: as long as duplicates matter)."""

    prompt: bool = True
    """Whether a claim itself ends jobs that are too late (not: the next sweep)."""

    looks_up: bool = True
    """Whether the engine can look a job up: recognises an id or a key that it has, and knows who holds a job now."""
    counts_all: bool = True
    """Whether `counts` tells of delayed and running jobs too, and of ages, and `purge` deletes delayed ones."""
    sweeps: bool = True
    """Whether it is `sweep` that promotes, expires and takes back (and not a server on its own), so that it can tell how many."""
    levels: bool = True
    """Whether each of the 201 priorities is a level of its own."""
    atomic: bool = True
    """Whether a batch is stored as one."""

    @abstractmethod
    def connect(self) -> Backend:
        """A client of this test's store, which is empty at the first call; not opened."""

    def advance(self, seconds: float) -> None:
        """Let time pass on the broker's clock. The default really waits."""
        time.sleep(seconds)

    @abstractmethod
    def kill(self, consumer: Consumer) -> None:
        """Make the worker behind a consumer die as by SIGKILL: no goodbye, whatever it held stays behind. The object must still
        answer, as that of a worker which was only thought to be dead."""

    def recover(self, backend: Backend) -> Swept:
        """Sweep until dead workers have been noticed (an engine with leases lets them end first)."""
        return backend.broker.sweep()

    def mute(self) -> AbstractContextManager[object] | None:
        """Within it no wake-up hint arrives. None: the engine has no hints that could be lost."""
        return None

    def data(self, *, elsewhere: bool = False) -> Any:
        """A user's connection to the broker's database, or to another one; asked for only where the engine has `Transactions`."""
        raise NotImplementedError("an engine with transactions needs a harness that gives connections")

    async def adata(self, *, elsewhere: bool = False) -> Any:
        """The same of the kind that is awaited; asked for only where the engine has `AsyncTransactions`."""
        raise NotImplementedError("an engine with awaited transactions needs a harness that gives such connections")

    def close(self) -> None:  # noqa: B027  most have nothing to do
        """Remove the store."""


class Rig:
    """One test's engine, and short ways to do the usual things."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.tick = harness.tick
        self._backends: list[Backend] = []
        self._consumers: list[Consumer] = []
        self.backend = self.client()

    def client(self) -> Backend:
        """Another client of the same store, as another process would be."""
        backend = self.harness.connect()
        self._backends.append(backend)
        backend.broker.open()
        return backend

    @property
    def broker(self) -> Broker:
        return self.backend.broker

    @property
    def results(self) -> ResultStore:
        if self.backend.results is None:
            pytest.skip("this engine keeps no results")
        return self.backend.results

    @property
    def browse(self) -> Browse:
        if self.backend.browse is None:
            pytest.skip("this engine lists no jobs")
        return self.backend.browse

    @property
    def archive(self) -> Archive:
        if self.backend.archive is None:
            pytest.skip("this engine keeps no results of others")
        return self.backend.archive

    @property
    def broadcaster(self) -> Broadcaster:
        if self.backend.broadcaster is None:
            pytest.skip("this engine does not broadcast")
        return self.backend.broadcaster

    @property
    def control(self) -> Control:
        if self.backend.control is None:
            pytest.skip("this engine cancels and revives no jobs")
        return self.backend.control

    @property
    def tracker(self) -> Tracker:
        if self.backend.tracker is None:
            pytest.skip("this engine keeps no state for carriers")
        return self.backend.tracker

    def job(self, **fields: Any) -> Envelope:
        """An envelope with a new id."""
        return replace(Envelope(id=job_id(), task="tests.noop", body=b"body"), **fields)

    def put(self, count: int = 1, **fields: Any) -> list[str]:
        """Publish new jobs, all alike; their ids."""
        jobs = [self.job(**fields) for _ in range(count)]
        assert [r.id for r in self.broker.publish(jobs)] == [j.id for j in jobs]
        return [j.id for j in jobs]

    def worker(self, backend: Backend | None = None, **info: Any) -> Consumer:
        """A new worker."""
        consumer = (backend or self.backend).broker.consumer(replace(WorkerInfo(id=incarnation(), name="tester"), **info))
        self._consumers.append(consumer)
        return consumer

    def taker(self, backend: Backend | None = None) -> TrackingConsumer:
        """A new worker that takes what a carrier delivers."""
        tracker = self.tracker
        if backend is not None and backend.tracker is not None:
            tracker = backend.tracker
        consumer = tracker.consumer(WorkerInfo(id=incarnation(), name="tester"))
        self._consumers.append(consumer)
        return consumer

    def take(self, worker: Consumer, limit: int = 1000, queues: Sequence[str] = ("default",)) -> list[Delivery]:
        """Claim without waiting."""
        return list(worker.claim(queues, limit, 0))

    def end_late(self, worker: Consumer) -> list[Delivery]:
        """A claim, which ends jobs that are too late; where it is not the claim that does, also a sweep."""
        claimed = self.take(worker)
        if not self.harness.prompt:
            self.broker.sweep()
        return claimed

    def run(self, worker: Consumer, outcome: AnyOutcome | None = None, limit: int = 1000) -> list[str]:
        """Claim, and settle everything with this outcome (a success); the ids."""
        deliveries = self.take(worker, limit)
        assert self.settle(worker, deliveries, outcome) == ["ok"] * len(deliveries)
        return [d.id for d in deliveries]

    def settle(self, worker: Consumer, deliveries: Sequence[Delivery], outcome: AnyOutcome | None = None) -> list[Verdict]:
        outcome = Succeeded(b"value") if outcome is None else outcome
        return list(worker.settle([Settlement(d.id, d.token, outcome) for d in deliveries]))

    def needs(self, what: Literal["looks_up", "counts_all", "sweeps", "levels", "atomic"]) -> None:
        """Skip this test on an engine that cannot do this."""
        if not getattr(self.harness, what):
            pytest.skip(f"this engine cannot do it (Harness.{what})")

    def pass_time(self, ticks: float) -> None:
        self.harness.advance(ticks * self.tick)

    def look_ahead(self, seconds: float) -> None:
        """Let a fixed time pass that the contract names; only where time is virtual."""
        if not self.harness.virtual:
            pytest.skip(f"would have to wait {seconds:g} s")
        self.harness.advance(seconds)

    def kill(self, worker: Consumer) -> None:
        self.harness.kill(worker)

    def recover(self) -> Swept:
        return self.harness.recover(self.backend)

    def close(self) -> None:
        for consumer in self._consumers:
            consumer.close()
        for backend in self._backends:
            backend.broker.close()


@pytest.fixture
def rig(harness: Harness) -> Iterator[Rig]:
    """The engine under test; the fixture `harness` is yours."""
    made = Rig(harness)
    yield made
    made.close()


class Aside(threading.Thread):
    """A call in a thread of its own: `answer()` waits for what it returned, or raises what it raised."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        super().__init__(daemon=True)
        self._call = partial(call, *args)
        self._value: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error

    def answer(self, within: float = 30.0) -> Any:
        self.join(within)
        assert not self.is_alive(), f"no answer within {within:g} s"
        if self._error is not None:
            raise self._error
        return self._value


def eventually(condition: Callable[[], R], within: float = 10.0) -> R:
    """Wait until a condition is true; its value."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not true within {within:g} s"
        threading.Event().wait(0.005)
    return value
