"""An app on the memory broker, and a hand that plays the worker: `Hand` claims and settles through the contract, with no thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tidewheel import Tidewheel
from tidewheel.backends import memory
from tidewheel.contract import Backend, Receipt, Settlement, WorkerInfo
from tidewheel.core.job import Delivery, Envelope
from tidewheel.core.outcome import AnyOutcome, Dead, Succeeded
from tidewheel.ids import incarnation
from tidewheel.wire.failures import encode_error
from tidewheel.wire.values import encode


class Hand:
    """Plays the worker, one step at a time."""

    def __init__(self, app: Tidewheel) -> None:
        self.app = app
        self.consumer = app.backend.broker.consumer(WorkerInfo(id=incarnation(), name="hand"))

    def claim(self, *queues: str) -> Delivery:
        found = self.consumer.claim(queues or ("default",), 1, 0.0)
        assert len(found) == 1, f"{len(found)} jobs were ready"
        return found[0]

    def settle(self, delivery: Delivery, outcome: AnyOutcome) -> None:
        assert list(self.consumer.settle([Settlement(delivery.id, delivery.token, outcome)])) == ["ok"]

    def succeed(self, value: Any = None, *, ttl: float = 3600.0) -> Delivery:
        delivery = self.claim()
        self.settle(delivery, Succeeded(encode(value), ttl))
        return delivery

    def fail(self, error: BaseException, reason: str = "failed") -> Delivery:
        delivery = self.claim()
        self.settle(delivery, Dead(reason, encode_error(error), "attempts"))
        return delivery


class Recorder:
    """A broker that notes what was published, and passes everything on."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.batches: list[list[Envelope]] = []

    def publish(self, batch: Sequence[Envelope]) -> Sequence[Receipt]:
        self.batches.append(list(batch))
        return self._inner.publish(batch)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


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
