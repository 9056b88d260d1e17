"""The most important part of the contract, through PgBouncer in transaction mode: no step leans on a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres_harness import VirtualHarness
from postgres_server import Bouncer, Server

from tidewheel.backends.postgres import wire
from tidewheel.backends.postgres.address import parse
from tidewheel.backends.postgres.store import Store
from tidewheel.testing.conformance import Harness, TestClaim, TestKeys, TestLaws, TestResults, TestSettle, rig

__all__ = ["TestClaim", "TestKeys", "TestLaws", "TestResults", "TestSettle", "rig"]

pytestmark = pytest.mark.slow


@pytest.fixture
def harness(shared: Server, bouncer: Bouncer) -> Iterator[Harness]:
    harness = VirtualHarness(shared, bouncer.through(shared.url))
    yield harness
    harness.close()


def test_it_is_noticed(bouncer: Bouncer, url: str) -> None:
    store = Store(parse(bouncer.through(url)))
    wire(store).broker.open()
    assert store.pooled
    assert not store.prepares
    direct = Store(parse(url))
    wire(direct).broker.open()
    assert direct.prepares
