"""A carrier and a keeper as one engine, for the conformance suite."""

from __future__ import annotations

import time
from typing import Any

from carrier import Post

from tidewheel.backends.tracked import tracked
from tidewheel.backends.tracked.consumer import Consumer as TrackedConsumer
from tidewheel.contract import Backend, Consumer, Swept
from tidewheel.testing.conformance import Harness


class TrackedHarness(Harness):
    """`keeper` is the harness of the engine that keeps the jobs."""

    prompt = False

    def __init__(self, keeper: Harness) -> None:
        self._ahead = 0.0
        self._keeper = keeper
        self.tick, self.virtual = keeper.tick, keeper.virtual
        self.post = Post(self.clock)

    def clock(self) -> float:
        return time.time() + self._ahead

    def connect(self) -> Backend:
        return tracked(self.post.connect(), self._keeper.connect(), "post", clock=self.clock)

    def advance(self, seconds: float) -> None:
        if self.virtual:
            self._ahead += seconds
        self._keeper.advance(seconds)

    def kill(self, consumer: Consumer) -> None:
        silence(consumer)
        self._keeper.kill(consumer._kept)  # type: ignore[attr-defined]
        consumer._carried.abandon()  # type: ignore[attr-defined]

    def recover(self, backend: Backend) -> Swept:
        return self._keeper.recover(backend)

    def mute(self) -> Any:
        return self._keeper.mute()

    def close(self) -> None:
        self._keeper.close()


def silence(consumer: Consumer) -> None:
    """End the thread of a worker that dies."""
    assert isinstance(consumer, TrackedConsumer)
    consumer._ended.set()
    consumer._kept.wake()
    consumer._listener.join(5)
