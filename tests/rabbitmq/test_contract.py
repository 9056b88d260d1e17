"""The conformance suite on RabbitMQ alone: what needs a store that looks jobs up is left out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rabbitmq_harness import RabbitHarness

from tidewheel.testing.conformance import *  # noqa: F403
from tidewheel.testing.conformance import TestClaim, TestLaws, TestSettle


@pytest.fixture
def harness(request: pytest.FixtureRequest, url: str) -> Iterator[RabbitHarness]:
    harness = RabbitHarness(url)
    if request.cls in (TestClaim, TestSettle, TestLaws):
        harness.prepare()
    yield harness
    harness.close()
