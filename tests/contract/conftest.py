"""What tests of the contract share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pair import Pair


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.carrier.clear()
    pair.keeper.clear()
    pair.rig.close()
