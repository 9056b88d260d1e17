"""An app on the memory broker, and a hand that plays the worker: `Hand` claims and settles through the contract, with no thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hands import Hand, Recorder

from tidewheel import Tidewheel
from tidewheel.backends import memory
from tidewheel.contract import Backend
from tidewheel.ids import incarnation


@pytest.fixture
def app() -> Iterator[Tidewheel]:
    name = incarnation()
    with Tidewheel(f"memory://{name}") as app:
        yield app
    memory.drop(name)


@pytest.fixture
def hand(app: Tidewheel) -> Hand:
    return Hand(app)


@pytest.fixture
def recorder(app: Tidewheel) -> Recorder:
    backend = app.backend
    recorder = Recorder(backend.broker)
    app._backend = Backend(recorder, backend.results, backend.browse, backend.control)
    return recorder
