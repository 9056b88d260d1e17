"""The suite on a clock that nobody can shift, as that of a server: the tests that can must still say something."""

from __future__ import annotations

import time

import pytest

from tidewheel.backends.memory import wire
from tidewheel.backends.memory.consumer import Consumer as MemoryConsumer
from tidewheel.backends.memory.store import Store
from tidewheel.contract import Backend, Consumer
from tidewheel.testing.conformance import Harness, TestClaim, TestLaws, TestSweep, rig

__all__ = ["TestClaim", "TestLaws", "TestSweep", "rig"]

pytestmark = pytest.mark.slow


class ServerHarness(Harness):
    tick = 0.3
    virtual = False

    def __init__(self) -> None:
        self._store = Store(clock=time.time)

    def connect(self) -> Backend:
        return wire(self._store)

    def kill(self, consumer: Consumer) -> None:
        assert isinstance(consumer, MemoryConsumer)
        consumer.abandon()


@pytest.fixture
def harness() -> Harness:
    return ServerHarness()
