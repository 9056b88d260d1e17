"""The contract, kept by the Redis engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis_harness import OldStore, VirtualHarness
from redis_server import Server

from tidewheel.backends.redis.store import Store
from tidewheel.testing.conformance import *  # noqa: F403
from tidewheel.testing.conformance import Harness


@pytest.fixture(params=[Store, pytest.param(OldStore, marks=pytest.mark.slow)])
def harness(request: pytest.FixtureRequest, shared: Server) -> Iterator[Harness]:
    harness = VirtualHarness(shared, request.param)
    yield harness
    harness.close()
