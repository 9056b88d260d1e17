"""`FlakyBroker` does what it says: it fails as often as told, before or after the call took effect, and is a broker otherwise."""

from __future__ import annotations

import pytest

from tidewheel.backends.memory import wire
from tidewheel.backends.memory.store import Store
from tidewheel.contract import Broker, Consumer, Settlement, WorkerInfo
from tidewheel.core.job import Envelope
from tidewheel.core.outcome import Succeeded
from tidewheel.errors import BrokerFull, BrokerUnavailable
from tidewheel.testing.flaky import FlakyBroker


@pytest.fixture
def broker() -> FlakyBroker:
    return FlakyBroker(wire(Store()).broker)


def job(id_: str = "1") -> Envelope:
    return Envelope(id=id_, task="t", body=b"")


def test_it_is_a_broker(broker: FlakyBroker) -> None:
    assert isinstance(broker, Broker)
    broker.open()
    consumer = broker.consumer(WorkerInfo(id="w", name="w"))
    assert isinstance(consumer, Consumer)
    broker.publish([job()])
    (delivery,) = consumer.claim(["default"], 1, 0)
    assert [d.id for d in consumer.owned()] == ["1"]
    assert consumer.beat().owned == 1
    assert not consumer.news
    assert consumer.settle([Settlement("1", delivery.token, Succeeded())]) == ["ok"]
    assert broker.counts(["default"])["default"].ready == 0
    assert (broker.purge("default"), broker.sweep().pruned) == (0, 0)
    assert broker.now() > 0
    assert broker.describe().engine == "memory"
    consumer.wake()
    consumer.close()
    broker.close()
    assert broker.failed == []


def test_before_nothing_happens(broker: FlakyBroker) -> None:
    broker.fail("publish")
    with pytest.raises(BrokerUnavailable, match="publish failed on purpose, before"):
        broker.publish([job()])
    assert broker.publish([job()])[0].created
    assert broker.failed == ["publish"]


def test_after_it_has_happened(broker: FlakyBroker) -> None:
    broker.fail("publish", when="after")
    with pytest.raises(BrokerUnavailable, match="after"):
        broker.publish([job()])
    assert not broker.publish([job()])[0].created


def test_as_often_as_told_with_what_is_told(broker: FlakyBroker) -> None:
    consumer = broker.consumer(WorkerInfo(id="w", name="w"))
    broker.fail("beat", times=2, error=lambda: BrokerFull("no room"))
    for _ in range(2):
        with pytest.raises(BrokerFull, match="no room"):
            consumer.beat()
    assert consumer.beat().owned == 0


def test_healed(broker: FlakyBroker) -> None:
    broker.fail("sweep", times=100)
    broker.heal()
    broker.sweep()
