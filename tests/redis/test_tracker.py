"""What the tracker of the Redis engine does that no other engine's test can say: beats that are missed, memory that is full."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from field import opened
from mill import job, settle
from msgspec.structs import replace
from redis_harness import VirtualHarness
from redis_server import Server

from tidewheel.contract import TrackingConsumer, WorkerInfo
from tidewheel.core.job import Delivery, Envelope, Token
from tidewheel.errors import BrokerFull
from tidewheel.ids import incarnation
from tidewheel.testing.conformance import Harness, Rig


def message(envelope: Envelope, losses: int = 0) -> Delivery:
    return Delivery(envelope=envelope, token=Token("carrier", 1), published=1.0, deliveries=1 + losses, losses=losses)


class TestSilence:
    """The lease is 30 s and the beat 10."""

    @pytest.fixture
    def harness(self, shared: Server) -> Iterator[Harness]:
        harness = VirtualHarness(shared)
        yield harness
        harness.close()

    @pytest.fixture
    def rig(self, harness: Harness) -> Iterator[Rig]:
        rig = Rig(harness)
        yield rig
        rig.close()

    @pytest.fixture
    def held(self, rig: Rig) -> tuple[TrackingConsumer, Delivery]:
        """A worker and the message of the job that it holds."""
        carried = message(rig.job())
        rig.broker.publish([carried.envelope])
        holder = rig.taker()
        assert isinstance(holder.take([carried])[0], Delivery)
        return holder, carried

    def test_a_job_is_taken_over_when_its_holder_has_missed_a_beat_and_a_half(
        self, rig: Rig, held: tuple[TrackingConsumer, Delivery]
    ) -> None:
        lost = replace(held[1], losses=1)
        heir = rig.taker()
        rig.look_ahead(8)
        assert heir.take([lost]) == [pytest.approx(7, abs=1)]
        rig.look_ahead(6)
        assert heir.take([lost]) == [pytest.approx(1, abs=1)]
        rig.look_ahead(1.5)
        heir.beat()
        (taken,) = heir.take([lost])
        assert isinstance(taken, Delivery)
        assert taken.losses == 1

    def test_one_that_beats_keeps_it(self, rig: Rig, held: tuple[TrackingConsumer, Delivery]) -> None:
        holder, carried = held
        heir = rig.taker()
        for _ in range(5):
            rig.look_ahead(14)
            assert all(isinstance(answer, float) for answer in heir.take([replace(carried, losses=1)]))
            holder.beat()
            heir.beat()

    def test_silence_alone_is_the_sweep_s_business(self, rig: Rig, held: tuple[TrackingConsumer, Delivery]) -> None:
        """The carrier has seen no loss: it may be a second message."""
        heir = rig.taker()
        rig.look_ahead(29)
        assert heir.take([held[1]]) == [10.0]


@pytest.mark.parametrize("flags", [True, False], ids=["7", "6"])
def test_a_full_server_still_hands_out_what_it_knows(server: Server, flags: bool) -> None:
    backend = opened(server.url, flags=flags)
    assert backend.tracker is not None
    consumer = backend.tracker.consumer(WorkerInfo(id=incarnation(), name="tester"))
    known, unknown, refused = job(), job(), job()
    backend.broker.publish([known, refused])
    client = server.client()
    client.config_set("maxmemory", client.info("memory")["used_memory"] - 1000)
    with pytest.raises(BrokerFull, match="maxmemory"):
        consumer.take([message(unknown)])
    (taken,) = consumer.take([message(known)])
    assert isinstance(taken, Delivery)
    assert settle(consumer, [taken]) == ["ok"]
    assert backend.tracker.withdraw([refused.id]) == 1
    client.config_set("maxmemory", 0)
    assert isinstance(consumer.take([message(unknown)])[0], Delivery)
    consumer.close()
    backend.broker.close()
