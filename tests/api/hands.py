"""Stand-ins for the other side: `Hand` plays the worker through the contract, `Recorder` is a broker that notes what was published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidewheel import Tidewheel
from tidewheel.contract import Receipt, Settlement, WorkerInfo
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

    def publish(self, batch: Sequence[Envelope], *, fresh: bool = False) -> Sequence[Receipt]:
        self.batches.append(list(batch))
        return self._inner.publish(batch, fresh=fresh)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
