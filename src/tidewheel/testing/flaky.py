"""A broker that fails when you say so: to see what your code, or a worker, does when the engine is away or its answer is lost.

flaky = FlakyBroker(backend.broker)
flaky.fail("claim", when="after")           # the next claim takes its jobs, and its answer is lost
flaky.fail("settle", times=3)               # the next three settlements do not reach the engine
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Literal, TypeVar

from tidewheel.contract import (
    AtOnce,
    Beat,
    Broker,
    Consumer,
    Counts,
    Description,
    Progress,
    Receipt,
    Settlement,
    Swept,
    Verdict,
    WorkerInfo,
)
from tidewheel.core.job import Delivery, Envelope
from tidewheel.errors import BrokerUnavailable

__all__ = ["FlakyBroker", "FlakyConsumer", "Verb", "When"]

R = TypeVar("R")
Verb = Literal["publish", "consumer", "sweep", "counts", "purge", "claim", "settle", "beat", "owned", "close"]
When = Literal["before", "after"]
"""`before`: nothing happens but the error. `after`: it happens, and only the answer is lost."""


class FlakyBroker:
    """Wraps any `Broker`; its consumers are wrapped too. Thread-safe."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lock = threading.Lock()
        self._plans: list[tuple[Verb, When, Callable[[], Exception]]] = []
        self.failed: list[Verb] = []
        """What has failed so far, in order."""

    def fail(self, verb: Verb, *, times: int = 1, when: When = "before", error: Callable[[], Exception] | None = None) -> None:
        """Let the next `times` calls of a verb fail, with what `error` makes (a `BrokerUnavailable`)."""
        with self._lock:
            plan = (verb, when, error or partial(BrokerUnavailable, f"{verb} failed on purpose, {when} it took effect"))
            self._plans.extend([plan] * times)

    def heal(self) -> None:
        """Forget every failure that is still to come."""
        with self._lock:
            self._plans.clear()

    def _call(self, verb: Verb, call: Callable[[], R]) -> R:
        with self._lock:
            plan = next((plan for plan in self._plans if plan[0] == verb), None)
            if plan is not None:
                self._plans.remove(plan)
                self.failed.append(verb)
        if plan is None:
            return call()
        _, when, error = plan
        if when == "after":
            call()
        raise error()

    def open(self) -> None:
        self._broker.open()

    def publish(self, batch: Sequence[Envelope], *, fresh: bool = False) -> Sequence[Receipt]:
        return self._call("publish", lambda: self._broker.publish(batch, fresh=fresh))

    def consumer(self, info: WorkerInfo) -> FlakyConsumer:
        return self._call("consumer", lambda: FlakyConsumer(self, self._broker.consumer(info)))

    def sweep(self, limit: int = 1000) -> Swept:
        return self._call("sweep", lambda: self._broker.sweep(limit))

    def counts(self, queues: Iterable[str] = ()) -> Mapping[str, Counts]:
        return self._call("counts", lambda: self._broker.counts(queues))

    def purge(self, queue: str) -> int:
        return self._call("purge", lambda: self._broker.purge(queue))

    def now(self) -> float:
        return self._broker.now()

    def describe(self) -> Description:
        return self._broker.describe()

    def close(self) -> None:
        self._broker.close()


class FlakyConsumer:
    """A consumer of a `FlakyBroker`."""

    def __init__(self, broker: FlakyBroker, consumer: Consumer) -> None:
        self._broker = broker
        self._consumer = consumer
        self.lifeline: str | None = consumer.lifeline
        self.beat_every: float = consumer.beat_every

    @property
    def news(self) -> bool:
        return self._consumer.news

    def claim(self, queues: Sequence[str], limit: int, wait: float, at_once: AtOnce | None = None) -> Sequence[Delivery]:
        return self._broker._call("claim", lambda: self._consumer.claim(queues, limit, wait))

    def settle(self, batch: Sequence[Settlement]) -> Sequence[Verdict]:
        return self._broker._call("settle", lambda: self._consumer.settle(batch))

    def beat(self, progress: Sequence[Progress] = ()) -> Beat:
        return self._broker._call("beat", lambda: self._consumer.beat(progress))

    def owned(self) -> Sequence[Delivery]:
        return self._broker._call("owned", self._consumer.owned)

    def wake(self) -> None:
        self._consumer.wake()

    def close(self) -> None:
        self._broker._call("close", self._consumer.close)
