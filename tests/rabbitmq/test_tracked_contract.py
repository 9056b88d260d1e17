"""The whole contract, kept by RabbitMQ, which carries the messages, and a store beside it, which knows the jobs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from rabbitmq_harness import RabbitHarness
from tracked_harness import silence

from tidewheel.backends.memory import wire
from tidewheel.backends.memory.store import Store
from tidewheel.backends.tracked import tracked
from tidewheel.contract import Backend, Consumer, Swept
from tidewheel.testing.conformance import *  # noqa: F403
from tidewheel.testing.conformance import Harness, TestClaim, TestLaws, TestSettle


class CarriedHarness(Harness):
    """On the real clock; jobs are kept in memory."""

    virtual = prompt = levels = sweeps = False

    def __init__(self, url: str) -> None:
        self._carrier = RabbitHarness(url)
        self._jobs = Store(clock=time.time)
        self.tick = self._carrier.tick

    def prepare(self) -> None:
        self._carrier.prepare()

    def connect(self) -> Backend:
        return tracked(self._carrier.connect(), wire(self._jobs), "rabbitmq")

    def kill(self, consumer: Consumer) -> None:
        silence(consumer)
        consumer._kept.abandon()  # type: ignore[attr-defined]
        self._carrier.kill(consumer._carried)  # type: ignore[attr-defined]

    def recover(self, backend: Backend) -> Swept:
        return backend.broker.sweep()

    def close(self) -> None:
        self._carrier.close()


@pytest.fixture
def harness(request: pytest.FixtureRequest, url: str) -> Iterator[CarriedHarness]:
    harness = CarriedHarness(url)
    if request.cls in (TestClaim, TestSettle, TestLaws):
        harness.prepare()
    yield harness
    harness.close()
