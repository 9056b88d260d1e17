"""`beat` and `owned`: what a worker hears of its own jobs, and what it says of them."""

from __future__ import annotations

from tidewheel.contract import Progress
from tidewheel.core.job import Token
from tidewheel.core.outcome import Again
from tidewheel.errors import BrokerUnavailable
from tidewheel.testing.conformance.harness import PROMPT, Aside, Rig


class TestBeat:
    def test_it_counts_what_is_owned(self, rig: Rig) -> None:
        rig.put(5)
        worker = rig.worker()
        assert worker.beat().owned == 0
        deliveries = rig.take(worker, 4)
        assert worker.beat().owned == 4
        rig.settle(worker, deliveries[:3])
        beat = worker.beat()
        assert (beat.owned, tuple(beat.cancels), beat.lost) == (1, (), False)

    def test_workers_do_not_count_each_others(self, rig: Rig) -> None:
        rig.put(3)
        first, second = rig.worker(), rig.worker()
        rig.take(first, 2)
        rig.take(second, 1)
        assert (first.beat().owned, second.beat().owned) == (2, 1)

    def test_owned_lists_the_deliveries_as_they_were_claimed(self, rig: Rig) -> None:
        rig.put(2)
        rig.put(1, body=b"long" * 10_000, headers={"a": "b"}, priority=-5)
        worker = rig.worker()
        deliveries = rig.take(worker)
        assert {d.id: d for d in worker.owned()} == {d.id: d for d in deliveries}

    def test_it_tells_of_cancellations_until_they_are_settled(self, rig: Rig) -> None:
        ids = rig.put(3)
        worker = rig.worker()
        deliveries = rig.take(worker)
        rig.control.cancel([ids[1]])
        assert tuple(worker.beat().cancels) == (ids[1],)
        assert tuple(worker.beat().cancels) == (ids[1],)
        rig.settle(worker, deliveries)
        assert tuple(worker.beat().cancels) == ()

    def test_a_cancellation_ends_the_waiting_of_its_worker(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        rig.take(worker)
        control = rig.client().control
        if control is None or not hasattr(worker, "news"):
            return
        waiting = Aside(worker.claim, ["default"], 0, 5)
        control.cancel([id_])
        assert list(waiting.answer(within=5 + PROMPT)) == []
        assert tuple(worker.beat().cancels) == (id_,)
        assert not worker.news

    def test_progress_is_kept_while_it_runs(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        (delivery,) = rig.take(worker)
        assert rig.results.records([id_])[id_].progress is None
        worker.beat([Progress(id_, delivery.token, b"1"), Progress(id_, delivery.token, b"2")])
        assert rig.results.records([id_])[id_].progress == b"2"
        rig.settle(worker, [delivery])
        assert rig.results.records([id_])[id_].progress is None

    def test_progress_is_fenced(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker, other = rig.worker(), rig.worker()
        (old,) = rig.take(worker)
        rig.settle(worker, [old], Again("returned"))
        (delivery,) = rig.take(other)
        worker.beat([Progress(id_, old.token, b"old"), Progress(id_, Token("x", delivery.token.claim), b"x")])
        assert rig.results.records([id_])[id_].progress is None
        other.beat([Progress(id_, delivery.token, b"new")])
        assert rig.results.records([id_])[id_].progress == b"new"

    def test_who_was_taken_for_dead_hears_of_it(self, rig: Rig) -> None:
        rig.put()
        worker = rig.worker()
        (delivery,) = rig.take(worker)
        rig.kill(worker)
        rig.recover()
        assert rig.settle(worker, [delivery]) == ["gone"]
        assert worker.beat().lost
        try:
            assert rig.take(worker) == []
        except BrokerUnavailable:  # from one whose session is its connection
            assert not rig.harness.sweeps

    def test_close_gives_back_uncounted(self, rig: Rig) -> None:
        ids = rig.put(3)
        worker = rig.worker()
        rig.take(worker)
        worker.close()
        other = rig.worker()
        deliveries = rig.take(other)
        assert [d.id for d in deliveries] == ids
        assert {(d.deliveries, d.attempts, d.strikes, d.losses) for d in deliveries} == {(2, 0, 0, 0)}

    def test_close_of_one_who_holds_nothing(self, rig: Rig) -> None:
        rig.worker().close()
        assert rig.recover().recovered == 0

    def test_close_cancels_what_was_to_be_cancelled(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        rig.take(worker)
        rig.control.cancel([id_])
        worker.close()
        assert rig.take(rig.worker()) == []
        assert rig.results.records([id_])[id_].state == "cancelled"
