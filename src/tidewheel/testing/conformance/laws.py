"""The ten laws of the contract, each by its number. What a verb's own module tests more closely is here only in one sentence."""

from __future__ import annotations

import random

import pytest

from tidewheel.contract import Settlement
from tidewheel.core.outcome import Again, Dead, Succeeded
from tidewheel.errors import BrokerUnavailable
from tidewheel.testing.conformance.harness import Aside, Rig
from tidewheel.testing.flaky import FlakyBroker


class TestLaws:
    def test_1_accepted_means_stored(self, rig: Rig) -> None:
        ids = rig.put(10)
        other = rig.client()
        assert sorted(d.id for d in rig.take(rig.worker(other))) == sorted(ids)

    def test_1_a_publication_whose_answer_is_lost_can_be_repeated(self, rig: Rig) -> None:
        rig.needs("looks_up")
        flaky = FlakyBroker(rig.broker)
        flaky.fail("publish", when="after")
        jobs = [rig.job() for _ in range(3)]
        with pytest.raises(BrokerUnavailable):
            flaky.publish(jobs)
        assert [(r.id, r.created) for r in flaky.publish(jobs)] == [(j.id, False) for j in jobs]
        assert len(rig.take(rig.worker())) == 3

    def test_2_at_least_once(self, rig: Rig) -> None:
        """Whatever is killed, each job ends."""
        ids = set(rig.put(30))
        ended: set[str] = set()
        dice = random.Random(7)
        for _ in range(200):
            worker = rig.worker()
            deliveries = rig.take(worker, 5)
            if dice.random() < 0.4:
                rig.settle(worker, deliveries[:2])
                ended |= {d.id for d in deliveries[:2]}
                rig.kill(worker)
                rig.recover()
                rig.pass_time(1)
            else:
                rig.settle(worker, deliveries)
                ended |= {d.id for d in deliveries}
            if ended == ids:
                break
        assert ended == ids

    def test_3_exclusive(self, rig: Rig) -> None:
        rig.put(5)
        first, second = rig.worker(), rig.worker(rig.client())
        assert len(rig.take(first)) == 5
        rig.pass_time(5)
        first.beat()
        rig.recover()
        assert rig.take(second) == []

    def test_4_fenced(self, rig: Rig) -> None:
        rig.needs("looks_up")
        (id_,) = rig.put()
        zombie, heir = rig.worker(), rig.worker()
        late = rig.take(zombie)
        rig.kill(zombie)
        rig.recover()
        rig.pass_time(1.1)
        current = rig.take(heir)
        assert [d.id for d in current] == [id_]
        for outcome in (Succeeded(b"late"), Again("retry"), Dead("failed")):
            assert rig.settle(zombie, late, outcome) == ["stale"]
        assert rig.settle(heir, current, Succeeded(b"right")) == ["ok"]
        assert rig.settle(zombie, late) == ["gone"]
        assert rig.results.records([id_])[id_].value == b"right"

    def test_5_duration_alone_never_runs_a_job_again(self, rig: Rig) -> None:
        rig.put(3)
        worker = rig.worker()
        deliveries = rig.take(worker)
        for _ in range(4):
            rig.pass_time(2)
            worker.beat()
            rig.recover()
        assert rig.take(rig.worker()) == []
        assert rig.settle(worker, deliveries) == ["ok"] * 3

    def test_5_one_workers_death_is_not_anothers(self, rig: Rig) -> None:
        rig.needs("sweeps")
        rig.put(4)
        dead, alive = rig.worker(), rig.worker()
        rig.take(dead, 2)
        deliveries = rig.take(alive, 2)
        rig.kill(dead)
        assert rig.recover().recovered == 2
        assert rig.settle(alive, deliveries) == ["ok", "ok"]

    def test_6_a_claim_whose_answer_is_lost_is_found_again(self, rig: Rig) -> None:
        ids = rig.put(3)
        flaky = FlakyBroker(rig.broker)
        worker = rig.worker(type(rig.backend)(flaky, None, None, None))
        flaky.fail("claim", when="after")
        with pytest.raises(BrokerUnavailable):
            rig.take(worker)
        assert rig.take(worker) == []
        assert worker.beat().owned == 3
        owned = worker.owned()
        assert sorted(d.id for d in owned) == sorted(ids)
        assert rig.settle(worker, owned) == ["ok"] * 3

    def test_6_a_settlement_whose_answer_is_lost_can_be_repeated(self, rig: Rig) -> None:
        (id_,) = rig.put()
        flaky = FlakyBroker(rig.broker)
        worker = rig.worker(type(rig.backend)(flaky, None, None, None))
        (delivery,) = rig.take(worker)
        follow_up = rig.job(queue="next")
        settlement = Settlement(id_, delivery.token, Succeeded(b"v"), (follow_up,))
        flaky.fail("settle", when="after")
        with pytest.raises(BrokerUnavailable):
            worker.settle([settlement])
        assert worker.settle([settlement])[0] in ("ok", "gone")
        assert worker.beat().owned == 0
        assert [d.id for d in rig.take(rig.worker(), queues=("next",))] == [follow_up.id]

    def test_7_counted(self, rig: Rig) -> None:
        """Before user code can run: a worker that dies right after its claim leaves the count behind."""
        rig.needs("sweeps")
        rig.put()
        for n in range(1, 4):
            worker = rig.worker()
            (delivery,) = rig.take(worker)
            assert (delivery.deliveries, delivery.losses) == (n, n - 1)
            rig.kill(worker)
            rig.recover()
            rig.harness.advance(1.1)  # what a second loss costs

    def test_8_not_before_time_and_urgent_first(self, rig: Rig) -> None:
        (late,) = rig.put(priority=100, delay=2 * rig.tick)
        (low,), (high,) = rig.put(priority=-1), rig.put(priority=1)
        worker = rig.worker()
        assert [d.id for d in rig.take(worker)] == [high, low]
        rig.pass_time(2.1)
        assert [d.id for d in rig.take(worker)] == [late]

    def test_9_bad_input_ends_visibly(self, rig: Rig) -> None:
        (id_,) = rig.put(task="no.such.task", body=b"\xc1 not a call")
        worker = rig.worker()
        (delivery,) = rig.take(worker)
        assert rig.settle(worker, [delivery], Dead("undecodable", b"error")) == ["ok"]
        view = rig.browse.job(id_)
        assert view is not None
        assert (view.state, view.reason, view.body) == ("dead", "undecodable", b"\xc1 not a call")

    def test_10_wake_ups_are_hints(self, rig: Rig) -> None:
        muted = rig.harness.mute()
        if muted is None:
            pytest.skip("this engine has no hints that could be lost")
        worker, other = rig.worker(rig.client()), rig.client()
        results = rig.results
        with muted:
            waiting = Aside(worker.claim, ["default"], 1, 30)
            job = rig.job()
            other.broker.publish([job])
            (delivery,) = waiting.answer(within=10)
            awaiting = Aside(results.wait, [job.id], 30)
            rig.settle(worker, [delivery])
            assert set(awaiting.answer(within=10)) == {job.id}
