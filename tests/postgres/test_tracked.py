"""The laws, kept by a carrier that cannot look jobs up and PostgreSQL, which knows them. (The rest of the suite runs on other pairs.)"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres_harness import VirtualHarness
from postgres_server import Server
from tracked_harness import TrackedHarness

from tidewheel.testing.conformance import Harness, TestKeys, TestLaws, rig

__all__ = ["TestKeys", "TestLaws", "rig"]


@pytest.fixture
def harness(shared: Server) -> Iterator[Harness]:
    harness = TrackedHarness(VirtualHarness(shared))
    yield harness
    harness.close()
