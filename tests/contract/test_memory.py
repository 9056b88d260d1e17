"""The contract, kept by the memory engine."""

from __future__ import annotations

import time

import pytest

from tidewheel.backends.memory import wire
from tidewheel.backends.memory.consumer import Consumer as MemoryConsumer
from tidewheel.backends.memory.store import Store
from tidewheel.contract import Backend, Consumer
from tidewheel.testing.conformance import *  # noqa: F403
from tidewheel.testing.conformance import Harness


class MemoryHarness(Harness):
    def __init__(self) -> None:
        self._ahead = 0.0
        self._store = Store(clock=lambda: time.time() + self._ahead)

    def connect(self) -> Backend:
        return wire(self._store)

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    def kill(self, consumer: Consumer) -> None:
        assert isinstance(consumer, MemoryConsumer)
        consumer.abandon()


@pytest.fixture
def harness() -> Harness:
    return MemoryHarness()
