"""The part of the contract that is about time, on the server's own clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis_harness import RealHarness
from redis_server import Server

from tidewheel.testing.conformance import Harness, TestClaim, TestKeys, TestLaws, TestSweep, rig

__all__ = ["TestClaim", "TestKeys", "TestLaws", "TestSweep", "rig"]

pytestmark = pytest.mark.slow


@pytest.fixture
def harness(shared: Server) -> Iterator[Harness]:
    harness = RealHarness(shared)
    yield harness
    harness.close()
