"""The carrier that the tests of `tracked` use is one."""

from __future__ import annotations

import time

import pytest
from carrier import Post

from tidewheel.contract import Backend, Consumer
from tidewheel.testing.conformance import Harness, TestCarrier, TestClaim, rig

__all__ = ["TestCarrier", "TestClaim", "rig"]


class PostHarness(Harness):
    def __init__(self) -> None:
        self._ahead = 0.0
        self._post = Post(lambda: time.time() + self._ahead)

    def connect(self) -> Backend:
        return self._post.connect()

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    def kill(self, consumer: Consumer) -> None:
        consumer.abandon()  # type: ignore[attr-defined]


@pytest.fixture
def harness() -> Harness:
    return PostHarness()
