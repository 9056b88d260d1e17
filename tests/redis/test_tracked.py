"""The contract, kept by a carrier that cannot look jobs up and Redis, which knows them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis_harness import VirtualHarness
from redis_server import Server
from tracked_harness import TrackedHarness

from tidewheel.testing.conformance import *  # noqa: F403
from tidewheel.testing.conformance import Harness


@pytest.fixture
def harness(shared: Server) -> Iterator[Harness]:
    harness = TrackedHarness(VirtualHarness(shared))
    yield harness
    harness.close()
