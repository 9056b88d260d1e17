"""The contract, kept by the PostgreSQL engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres_harness import VirtualHarness
from postgres_server import Server

from tidewheel.testing.conformance import *  # noqa: F403
from tidewheel.testing.conformance import Harness


@pytest.fixture
def harness(shared: Server) -> Iterator[Harness]:
    harness = VirtualHarness(shared)
    yield harness
    harness.close()
