"""A carrier and a keeper: who dies, is cut off or hears no answer between the two writes."""

from __future__ import annotations

import pytest
from carrier import Carrier
from pair import Pair

from tidewheel.contract import Consumer, Settlement
from tidewheel.core.job import Delivery
from tidewheel.core.outcome import Again, AnyOutcome, Cancelled, Dead, Succeeded
from tidewheel.errors import BrokerUnavailable
from tidewheel.testing.conformance.harness import PROMPT, Aside


class TestCrashes:
    """Between the two writes."""

    def test_a_message_that_was_handed_out_and_never_taken(self, pair: Pair) -> None:
        (id_,) = pair.rig.put()
        worker = pair.rig.worker()
        pair.keeper.fail("take")
        with pytest.raises(BrokerUnavailable):
            pair.rig.take(worker)
        pair.rig.kill(worker)
        pair.rig.recover()
        pair.ahead += 1
        (delivery,) = pair.taken()
        assert (delivery.id, delivery.deliveries, delivery.losses) == (id_, 1, 0)

    @pytest.mark.parametrize("outcome", [Succeeded(b"v"), Dead("failed"), Cancelled()], ids=lambda o: type(o).__name__)
    def test_an_outcome_that_was_written_and_not_acknowledged(self, pair: Pair, outcome: AnyOutcome) -> None:
        (id_,) = pair.rig.put()
        worker = pair.rig.worker()
        deliveries = pair.rig.take(worker)
        _die_before_the_acknowledgement(pair, worker, deliveries, outcome)
        assert pair.post.waiting() == [id_]
        assert pair.taken() == []
        assert pair.post.waiting() == []
        assert pair.state(id_) == {"Succeeded": "succeeded", "Dead": "dead", "Cancelled": "cancelled"}[type(outcome).__name__]

    def test_a_retry_that_was_written_and_not_acknowledged(self, pair: Pair) -> None:
        (id_,) = pair.rig.put()
        worker = pair.rig.worker()
        deliveries = pair.rig.take(worker)
        _die_before_the_acknowledgement(pair, worker, deliveries, Again("retry", 100.0, "attempts"))
        assert pair.taken() == []
        pair.ahead += 101
        (delivery,) = pair.taken()
        assert (delivery.id, delivery.attempts, delivery.losses) == (id_, 1, 0)

    def test_follow_ups_whose_messages_were_not_sent(self, pair: Pair) -> None:
        pair.rig.put()
        worker = pair.rig.worker()
        (delivery,) = pair.rig.take(worker)
        follow_up = pair.rig.job(queue="next")
        pair.carrier.fail("publish")
        assert list(worker.settle([Settlement(delivery.id, delivery.token, Succeeded(), (follow_up,))])) == ["ok"]
        assert pair.taken("next") == []
        pair.until_missed()
        assert [d.id for d in pair.taken("next")] == [follow_up.id]

    def test_follow_ups_of_an_outcome_whose_answer_was_lost(self, pair: Pair) -> None:
        pair.rig.put()
        worker = pair.rig.worker()
        (delivery,) = pair.rig.take(worker)
        follow_up = pair.rig.job(queue="next")
        settlement = Settlement(delivery.id, delivery.token, Succeeded(), (follow_up,))
        pair.keeper.fail("settle", "after")
        with pytest.raises(BrokerUnavailable):
            worker.settle([settlement])
        assert list(worker.settle([settlement])) == ["gone"]
        assert [d.id for d in pair.taken("next")] == [follow_up.id]
        assert pair.taken() == []
        assert pair.post.waiting() == []

    def test_a_follow_up_whose_key_is_taken_gets_no_message(self, pair: Pair) -> None:
        (holder,) = pair.rig.put(queue="next", key="k")
        pair.rig.put()
        worker = pair.rig.worker()
        (delivery,) = pair.rig.take(worker)
        other = pair.rig.job(queue="next", key="k")
        worker.settle([Settlement(delivery.id, delivery.token, Succeeded(), (other,))])
        assert pair.post.waiting() == [holder]

    def test_an_acknowledgement_that_cannot_be_written_is_written_later(self, pair: Pair) -> None:
        pair.rig.put(2)
        worker = pair.rig.worker()
        first, second = pair.rig.take(worker)
        pair.carrier.fail("settle")
        assert pair.rig.settle(worker, [first]) == ["ok"]
        assert worker._carried.beat().owned == 2  # type: ignore[attr-defined]
        assert pair.rig.settle(worker, [second]) == ["ok"]
        assert worker._carried.beat().owned == 0  # type: ignore[attr-defined]

    def test_or_with_the_next_beat(self, pair: Pair) -> None:
        pair.rig.put()
        worker = pair.rig.worker()
        pair.carrier.fail("settle")
        pair.rig.run(worker)
        worker.beat()
        assert worker._carried.beat().owned == 0  # type: ignore[attr-defined]

    def test_while_the_keeper_is_away_nothing_is_acknowledged(self, pair: Pair) -> None:
        (id_,) = pair.rig.put()
        worker = pair.rig.worker()
        deliveries = pair.rig.take(worker)
        pair.keeper.fail("settle")
        with pytest.raises(BrokerUnavailable):
            pair.rig.settle(worker, deliveries)
        assert worker._carried.beat().owned == 1  # type: ignore[attr-defined]
        assert pair.rig.settle(worker, deliveries) == ["ok"]
        assert pair.state(id_) == "succeeded"


class TestLostAnswers:
    def test_a_claim_of_messages(self, pair: Pair) -> None:
        ids = pair.rig.put(3)
        worker = pair.rig.worker()
        pair.carrier.fail("claim", "after")
        with pytest.raises(BrokerUnavailable):
            pair.rig.take(worker)
        assert worker.owned() == []
        assert sorted(pair.rig.run(worker)) == ids
        assert worker._carried.beat().owned == 0  # type: ignore[attr-defined]

    def test_a_take_that_did_not_happen(self, pair: Pair) -> None:
        ids = pair.rig.put(3)
        worker = pair.rig.worker()
        pair.keeper.fail("take")
        with pytest.raises(BrokerUnavailable):
            pair.rig.take(worker)
        assert sorted(pair.rig.run(worker)) == ids

    def test_a_take_that_happened(self, pair: Pair) -> None:
        ids = pair.rig.put(3)
        worker = pair.rig.worker()
        pair.keeper.fail("take", "after")
        with pytest.raises(BrokerUnavailable):
            pair.rig.take(worker)
        owned = worker.owned()
        assert sorted(d.id for d in owned) == ids
        assert {d.envelope.queue for d in owned} == {"default"}
        assert pair.rig.take(worker) == []
        assert pair.rig.settle(worker, owned) == ["ok"] * 3
        assert worker._carried.beat().owned == 0  # type: ignore[attr-defined]
        assert pair.post.waiting() == []

    def test_messages_of_which_only_the_carrier_knows_are_found_by_a_beat(self, pair: Pair) -> None:
        ids = pair.rig.put(2)
        worker = pair.rig.worker()
        worker._carried.claim(["default"], 10, 0)  # type: ignore[attr-defined]
        assert pair.rig.take(worker) == []
        worker.beat()
        assert sorted(d.id for d in pair.rig.take(worker)) == ids


class TestSessions:
    def test_a_broken_connection_to_the_carrier_costs_no_run(self, pair: Pair) -> None:
        (id_,) = pair.rig.put()
        worker, other = pair.rig.worker(), pair.rig.worker()
        deliveries = pair.rig.take(worker)
        worker._carried.break_down()  # type: ignore[attr-defined]
        pair.rig.recover()
        assert pair.post.waiting() == [id_]
        assert not worker.beat().lost
        assert pair.rig.take(other) == []
        assert pair.rig.settle(worker, deliveries, Succeeded(b"v")) == ["ok"]
        pair.ahead += 11
        assert pair.rig.take(other) == []
        assert pair.post.waiting() == []
        pair.rig.put()
        assert len(pair.rig.take(worker)) == 1

    def test_while_there_is_no_new_one_claims_fail_and_jobs_go_on(self, pair: Pair) -> None:
        (id_,) = pair.rig.put()
        worker = pair.rig.worker()
        deliveries = pair.rig.take(worker)
        worker._carried.break_down()  # type: ignore[attr-defined]
        worker.beat()
        pair.carrier.fail("consumer")
        with pytest.raises(BrokerUnavailable):
            pair.rig.take(worker)
        assert pair.rig.settle(worker, deliveries) == ["ok"]
        assert pair.rig.take(worker) == []
        assert pair.state(id_) == "succeeded"

    def test_who_waits_hears_that_the_connection_is_new(self, pair: Pair) -> None:
        worker = pair.rig.worker()
        waiting = Aside(worker.claim, ["default"], 1, 30)
        worker._carried.break_down()  # type: ignore[attr-defined]
        worker.beat()
        assert list(waiting.answer(within=PROMPT)) == []
        (id_,) = pair.rig.put()
        assert [d.id for d in pair.rig.take(worker)] == [id_]

    def test_who_lost_its_lease_gives_its_messages_back(self, pair: Pair) -> None:
        (id_,) = pair.rig.put()
        worker = pair.rig.worker()
        deliveries = pair.rig.take(worker)
        worker._kept.abandon()  # type: ignore[attr-defined]
        pair.rig.recover()
        assert worker.beat().lost
        assert worker.beat().lost
        assert pair.rig.take(worker) == []
        assert pair.rig.settle(worker, deliveries) == ["gone"]
        assert [(d.id, d.losses) for d in pair.taken()] == [(id_, 1)]

    def test_a_dead_worker_s_job_is_back_before_the_keeper_has_noticed(self, pair: Pair) -> None:
        (id_,) = pair.rig.put()
        worker = pair.rig.worker()
        pair.rig.take(worker)
        pair.rig.kill(worker)
        Carrier(pair.post).sweep()
        assert [(d.id, d.losses) for d in pair.taken()] == [(id_, 1)]

    def test_a_refused_outcome_keeps_its_message(self, pair: Pair) -> None:
        """The keeper took the job back; it must not wait until its message is missed."""
        (id_,) = pair.rig.put()
        worker = pair.rig.worker()
        deliveries = pair.rig.take(worker)
        worker._kept.abandon()  # type: ignore[attr-defined]
        pair.rig.recover()
        assert pair.rig.settle(worker, deliveries) == ["gone"]
        assert pair.post.waiting() == [id_]

    def test_a_session_that_the_carrier_refuses_leaves_none(self, pair: Pair) -> None:
        pair.carrier.fail("consumer")
        with pytest.raises(BrokerUnavailable):
            pair.rig.worker()
        assert pair.rig.browse.workers() == []


def _die_before_the_acknowledgement(pair: Pair, worker: Consumer, deliveries: list[Delivery], outcome: AnyOutcome) -> None:
    pair.carrier.fail("settle")
    assert pair.rig.settle(worker, deliveries, outcome) == ["ok"]
    pair.rig.kill(worker)
    pair.rig.recover()
    pair.ahead += 1
