"""The role `tracker`: the state of jobs whose messages another engine carries. Here the test is the carrier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from tidewheel.contract import TrackingConsumer
from tidewheel.core.job import Delivery, Envelope, Token
from tidewheel.core.limits import LOSS_LIMIT
from tidewheel.core.outcome import Again, AnyOutcome, Cancelled, Dead, Expired, Succeeded
from tidewheel.ids import job_id
from tidewheel.testing.conformance.harness import Aside, Rig


def message(job: Envelope, **counters: Any) -> Delivery:
    """What a carrier delivers: the envelope, with a token and counters of its own."""
    return replace(Delivery(envelope=job, token=Token("carrier", 77), published=1.0), **counters)


def publish(rig: Rig, **fields: Any) -> Delivery:
    """Publish a job; its message."""
    job = rig.job(**fields)
    assert rig.broker.publish([job])[0].created
    return message(job)


def took(worker: TrackingConsumer, *messages: Delivery) -> list[Delivery]:
    """Take all of these; each must be answered with a delivery."""
    answers = worker.take(messages)
    assert [a.id if isinstance(a, Delivery) else a for a in answers] == [m.id for m in messages]
    return [a for a in answers if isinstance(a, Delivery)]


def later(answers: Sequence[Delivery | float | None]) -> list[float]:
    """All answers, which must be seconds."""
    assert all(isinstance(a, float) and a > 0 for a in answers), answers
    return [a for a in answers if isinstance(a, float)]


class TestTracker:
    @pytest.fixture(autouse=True)
    def _only_trackers(self, rig: Rig) -> None:
        if rig.backend.tracker is None:
            pytest.skip("this engine keeps no jobs of others")

    def test_a_published_job_is_taken(self, rig: Rig) -> None:
        carried = publish(rig, body=b"b", priority=3, headers={"a": "b"}, key="k", queue="q")
        worker = rig.taker()
        (delivery,) = took(worker, carried)
        assert delivery.envelope == carried.envelope
        assert (delivery.deliveries, delivery.attempts, delivery.strikes, delivery.losses) == (1, 0, 0, 0)
        assert delivery.published == pytest.approx(rig.broker.now(), abs=5)
        assert delivery.token != carried.token
        assert rig.results.records([carried.id])[carried.id].state == "running"
        assert worker.beat().owned == 1
        assert list(worker.owned()) == [delivery]
        assert rig.settle(worker, [delivery], Succeeded(b"v")) == ["ok"]
        assert rig.results.records([carried.id])[carried.id].value == b"v"

    def test_a_long_body_comes_with_it(self, rig: Rig) -> None:
        carried = publish(rig, body=b"long" * 50_000)
        (delivery,) = took(rig.taker(), carried)
        assert delivery.envelope.body == b"long" * 50_000

    def test_nothing_is_nothing(self, rig: Rig) -> None:
        assert list(rig.taker().take([])) == []

    def test_answers_are_in_order(self, rig: Rig) -> None:
        late, early, over, unknown = publish(rig, delay=rig.tick), publish(rig), publish(rig), message(rig.job())
        rig.control.cancel([over.id])
        answers = list(rig.taker().take([late, early, over, unknown]))
        assert isinstance(answers[0], float)
        assert [a.id if isinstance(a, Delivery) else a for a in answers[1:]] == [early.id, None, unknown.id]

    def test_not_before_its_time(self, rig: Rig) -> None:
        carried = publish(rig, delay=3 * rig.tick)
        worker = rig.taker()
        assert later(worker.take([carried])) == [pytest.approx(3 * rig.tick, abs=max(0.5, 0.2 * rig.tick))]
        rig.pass_time(3.1)
        took(worker, carried)

    def test_a_job_that_a_sweep_made_ready(self, rig: Rig) -> None:
        carried = publish(rig, delay=rig.tick)
        rig.pass_time(1.1)
        rig.broker.sweep()
        took(rig.taker(), carried)

    def test_a_late_job_ends_as_expired(self, rig: Rig) -> None:
        late, delayed = publish(rig, lifetime=rig.tick), publish(rig, lifetime=rig.tick, delay=rig.tick / 2)
        rig.pass_time(1.1)
        worker = rig.taker()
        assert list(worker.take([late, delayed])) == [None, None]
        assert {r.state for r in rig.results.records([late.id, delayed.id]).values()} == {"expired"}

    def test_a_job_in_time_is_taken_and_stays(self, rig: Rig) -> None:
        carried = publish(rig, lifetime=2 * rig.tick)
        worker = rig.taker()
        (delivery,) = took(worker, carried)
        rig.pass_time(2.1)
        worker.beat()
        rig.broker.sweep()
        assert rig.settle(worker, [delivery]) == ["ok"]

    def test_who_waits_hears_that_a_late_job_ended(self, rig: Rig) -> None:
        carried = publish(rig, lifetime=rig.tick)
        rig.pass_time(1.1)
        waiting = Aside(rig.results.wait, [carried.id], 30)
        assert list(rig.taker().take([carried])) == [None]
        assert {r.state for r in waiting.answer().values()} == {"expired"}

    @pytest.mark.parametrize("outcome", [Succeeded(b"v"), Dead("failed"), Cancelled(), Expired()], ids=lambda o: type(o).__name__)
    def test_what_has_ended_is_not_run_again(self, rig: Rig, outcome: AnyOutcome) -> None:
        carried = publish(rig)
        worker = rig.taker()
        rig.settle(worker, took(worker, carried), outcome)
        assert list(worker.take([carried])) == [None]
        assert list(rig.taker().take([replace(carried, losses=5)])) == [None]

    def test_what_was_cancelled_never_starts(self, rig: Rig) -> None:
        carried = publish(rig)
        assert list(rig.control.cancel([carried.id])) == ["cancelled"]
        assert list(rig.taker().take([carried])) == [None]

    def test_a_retry_is_taken_when_it_is_due(self, rig: Rig) -> None:
        carried = publish(rig)
        worker = rig.taker()
        rig.settle(worker, took(worker, carried), Again("retry", 2 * rig.tick, "attempts"))
        assert later(worker.take([carried])) == [pytest.approx(2 * rig.tick, abs=max(0.5, 0.2 * rig.tick))]
        rig.pass_time(2.1)
        (again,) = took(worker, carried)
        assert (again.deliveries, again.attempts) == (2, 1)

    def test_what_was_handed_back_is_taken_at_once(self, rig: Rig) -> None:
        carried = publish(rig)
        first, second = rig.taker(), rig.taker(rig.client())
        (old,) = took(first, carried)
        rig.settle(first, [old], Again("returned"))
        (new,) = took(second, carried)
        assert rig.settle(first, [old]) == ["stale"]
        assert rig.settle(second, [new]) == ["ok"]

    def test_a_revived_job_is_taken(self, rig: Rig) -> None:
        carried = publish(rig)
        worker = rig.taker()
        rig.settle(worker, took(worker, carried), Dead("failed", counted="attempts"))
        assert list(rig.control.revive([carried.id])) == [True]
        (delivery,) = took(worker, carried)
        assert delivery.attempts == 0

    def test_a_token_is_never_given_twice(self, rig: Rig) -> None:
        carried = publish(rig)
        worker = rig.taker()
        tokens = set[Token]()
        for _ in range(5):
            (delivery,) = took(worker, carried)
            rig.settle(worker, [delivery], Again("returned"))
            tokens.add(delivery.token)
        assert len(tokens) == 5

    # -- a second message of the same job -------------------------------------------------------------------------------

    def test_a_second_message_waits_while_the_job_runs(self, rig: Rig) -> None:
        carried = publish(rig)
        worker = rig.taker()
        first, second = worker.take([carried, carried])
        assert isinstance(first, Delivery)
        later([second])
        later(rig.taker(rig.client()).take([carried]))
        assert worker.beat().owned == 1
        assert rig.settle(worker, [first]) == ["ok"]
        assert list(worker.take([carried])) == [None]

    def test_two_workers_never_take_the_same_job(self, rig: Rig) -> None:
        workers = [rig.taker(), *(rig.taker(rig.client()) for _ in range(3))]
        for _ in range(20):
            carried = publish(rig)
            answers = [aside.answer()[0] for aside in [Aside(worker.take, [carried]) for worker in workers]]
            assert [isinstance(answer, Delivery) for answer in answers].count(True) == 1

    # -- a message whose worker died ------------------------------------------------------------------------------------

    def test_a_worker_that_shows_life_keeps_its_job_whatever_the_carrier_says(self, rig: Rig) -> None:
        """The carrier may have lost the connection to a healthy worker."""
        carried = publish(rig)
        holder, other = rig.taker(), rig.taker()
        (delivery,) = took(holder, carried)
        later(other.take([replace(carried, deliveries=2, losses=1)]))
        assert rig.settle(holder, [delivery]) == ["ok"]

    def test_a_dead_worker_s_job_is_taken_with_a_loss(self, rig: Rig) -> None:
        carried = publish(rig)
        holder, heir = rig.taker(), rig.taker()
        (old,) = took(holder, carried)
        rig.kill(holder)
        new = self._inherit(rig, heir, replace(carried, deliveries=2, losses=1))
        assert (new.deliveries, new.losses, new.attempts, new.strikes) == (2, 1, 0, 0)
        assert rig.settle(holder, [old], Succeeded(b"late")) == ["stale"]
        assert rig.settle(heir, [new], Succeeded(b"right")) == ["ok"]
        assert rig.results.records([carried.id])[carried.id].value == b"right"
        view = rig.browse.job(carried.id)
        assert view is not None
        assert [h.event for h in view.history] == ["lost"]

    def test_a_dead_worker_s_job_is_recovered_without_the_carrier(self, rig: Rig) -> None:
        carried = publish(rig)
        holder = rig.taker()
        took(holder, carried)
        rig.kill(holder)
        assert rig.recover().recovered == 1
        (delivery,) = took(rig.taker(), replace(carried, deliveries=2, losses=1))
        assert (delivery.deliveries, delivery.losses) == (2, 1)

    def test_a_loss_is_counted_once(self, rig: Rig) -> None:
        carried = publish(rig)
        holder, heir = rig.taker(), rig.taker()
        took(holder, carried)
        rig.kill(holder)
        self._inherit(rig, heir, replace(carried, losses=1))
        assert rig.recover().recovered == 0
        assert heir.beat().owned == 1

    def test_a_second_loss_costs_a_pause(self, rig: Rig) -> None:
        carried = publish(rig)
        for n in (1, 2):
            holder = rig.taker()
            self._inherit(rig, holder, replace(carried, losses=n - 1))
            rig.kill(holder)
            rig.recover()
        (pause,) = later(rig.taker().take([replace(carried, losses=2)]))
        assert pause <= 1.0
        rig.harness.advance(1.1)
        (delivery,) = took(rig.taker(), replace(carried, losses=2))
        assert delivery.losses == 2

    def test_what_kills_its_workers_is_dead_at_last(self, rig: Rig) -> None:
        carried = publish(rig)
        for n in range(LOSS_LIMIT):
            worker = rig.taker()
            delivery = self._inherit(rig, worker, replace(carried, losses=n))
            assert delivery.losses == n
            rig.kill(worker)
            rig.recover()
            rig.look_ahead(61)
        assert list(rig.taker().take([replace(carried, losses=LOSS_LIMIT)])) == [None]
        record = rig.results.records([carried.id])
        assert not record or (record[carried.id].state, record[carried.id].reason) == ("dead", "poison")
        assert rig.broker.counts(["default"])["default"].dead == 1

    def test_a_dead_worker_s_job_that_was_to_be_cancelled_is(self, rig: Rig) -> None:
        carried = publish(rig)
        holder = rig.taker()
        took(holder, carried)
        rig.control.cancel([carried.id])
        rig.kill(holder)
        lost = replace(carried, losses=1)
        if isinstance(rig.taker().take([lost])[0], float):
            rig.recover()
        assert list(rig.taker().take([lost])) == [None]
        assert rig.results.records([carried.id])[carried.id].state == "cancelled"

    def test_who_was_taken_for_dead_takes_nothing(self, rig: Rig) -> None:
        carried = publish(rig)
        worker = rig.taker()
        rig.kill(worker)
        rig.recover()
        later(worker.take([carried]))
        assert worker.beat().lost
        took(rig.taker(), carried)

    def _inherit(self, rig: Rig, worker: TrackingConsumer, carried: Delivery) -> Delivery:
        """Take a job whose worker died, or that waits: at once, or, where the engine wants to look first itself, once it has looked."""
        (answer,) = worker.take([carried])
        if isinstance(answer, float):
            rig.recover()
            (answer,) = took(worker, carried)
        assert isinstance(answer, Delivery)
        return answer

    # -- a message of an unknown job ------------------------------------------------------------------------------------

    def test_an_unknown_job_is_stored_as_the_carrier_gave_it(self, rig: Rig) -> None:
        now = rig.broker.now()
        job = rig.job(body=b"long" * 10_000, priority=-7, headers={"a": "b"}, key="k", key_window=7.0, queue="q", expires=now + 500)
        worker = rig.taker()
        (delivery,) = took(worker, message(job, published=now - 100, deliveries=4, attempts=2, strikes=1, losses=1))
        assert delivery.envelope == job
        assert delivery.published == pytest.approx(now - 100, abs=1)
        assert (delivery.deliveries, delivery.attempts, delivery.strikes, delivery.losses) == (4, 2, 1, 1)
        assert list(worker.owned()) == [delivery]
        assert rig.broker.counts(["q"])["q"].running == 1
        assert rig.broker.publish([rig.job(key="k", queue="q")])[0].id == job.id
        assert rig.settle(worker, [delivery], Dead("failed", b"error", "attempts")) == ["ok"]
        view = rig.browse.job(job.id)
        assert view is not None
        assert (view.state, view.attempts, view.deliveries, view.body) == ("dead", 3, 4, job.body)

    def test_an_unknown_job_is_known_afterwards(self, rig: Rig) -> None:
        carried = message(rig.job())
        worker = rig.taker()
        (delivery,) = took(worker, carried)
        rig.settle(worker, [delivery], Again("retry", counted="attempts"))
        (delivery,) = took(worker, carried)
        assert (delivery.deliveries, delivery.attempts) == (2, 1)
        rig.settle(worker, [delivery])
        assert not rig.broker.publish([carried.envelope])[0].created

    def test_an_unknown_job_twice_is_one(self, rig: Rig) -> None:
        carried = message(rig.job())
        first, second = rig.taker().take([carried, carried])
        assert isinstance(first, Delivery)
        later([second])

    def test_an_unknown_job_whose_key_is_another_s_is_not_run(self, rig: Rig) -> None:
        holder = publish(rig, key="k")
        other = message(rig.job(key="k"))
        worker = rig.taker()
        assert list(worker.take([other])) == [None]
        assert rig.results.records([other.id]) == {}
        took(worker, holder)

    def test_an_unknown_job_that_is_too_late_has_expired(self, rig: Rig) -> None:
        carried = message(rig.job(expires=rig.broker.now() - 1))
        assert list(rig.taker().take([carried])) == [None]
        assert rig.results.records([carried.id])[carried.id].state == "expired"

    # -- withdraw -------------------------------------------------------------------------------------------------------

    def test_what_waits_is_withdrawn(self, rig: Rig) -> None:
        jobs = [publish(rig, key="k", body=b"long" * 5000), publish(rig, delay=100 * rig.tick), publish(rig, lifetime=rig.tick)]
        kept = publish(rig)
        assert rig.tracker.withdraw([job.id for job in jobs]) == 3
        assert set(rig.results.records([*(job.id for job in jobs), kept.id])) == {kept.id}
        assert rig.tracker.withdraw([job.id for job in jobs]) == 0
        assert [r.created for r in rig.broker.publish([rig.job(key="k"), jobs[1].envelope])] == [True, True]
        rig.pass_time(1.1)
        assert rig.broker.sweep().expired == 0
        counts = rig.broker.counts(["default"])["default"]
        assert (counts.ready, counts.scheduled) == (2, 1)

    def test_what_runs_or_has_ended_stays(self, rig: Rig) -> None:
        running, ended = publish(rig), publish(rig)
        worker = rig.taker()
        held = took(worker, running, ended)
        rig.settle(worker, held[1:])
        assert rig.tracker.withdraw([running.id, ended.id, job_id()]) == 0
        assert rig.settle(worker, held[:1]) == ["ok"]
        assert set(rig.results.records([running.id, ended.id])) == {running.id, ended.id}

    def test_a_waiting_job_that_ran_before_is_withdrawn_whole(self, rig: Rig) -> None:
        carried = publish(rig)
        worker = rig.taker()
        rig.settle(worker, took(worker, carried), Again("retry", counted="attempts", error=b"e"))
        assert rig.tracker.withdraw([carried.id]) == 1
        (delivery,) = took(worker, carried)
        assert (delivery.deliveries, delivery.attempts) == (1, 0)
        view = rig.browse.job(carried.id)
        assert view is not None
        assert view.history == ()

    def test_thousands_at_once(self, rig: Rig) -> None:
        jobs = [rig.job() for _ in range(2500)]
        rig.broker.publish(jobs)
        worker = rig.taker()
        deliveries = took(worker, *map(message, jobs))
        assert worker.beat().owned == 2500
        assert set(rig.settle(worker, deliveries[:2000])) == {"ok"}
        rig.settle(worker, deliveries[2000:], Again("returned"))
        assert rig.tracker.withdraw([job.id for job in jobs]) == 500
