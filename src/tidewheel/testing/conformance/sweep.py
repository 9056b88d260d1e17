"""`sweep`: what is due becomes ready, what was a dead worker's comes back, what is over goes."""

from __future__ import annotations

import pytest

from tidewheel.core.limits import LOSS_LIMIT
from tidewheel.core.outcome import Dead, Succeeded
from tidewheel.testing.conformance.harness import Aside, Rig


class TestSweep:
    def test_nothing_to_do(self, rig: Rig) -> None:
        rig.put(2)
        swept = rig.broker.sweep()
        assert (swept.promoted, swept.recovered, swept.expired, swept.pruned, tuple(swept.lost_workers)) == (0, 0, 0, 0, ())

    def test_due_jobs_become_ready(self, rig: Rig) -> None:
        rig.needs("counts_all")
        rig.put(3, delay=rig.tick)
        rig.put(1, delay=100 * rig.tick)
        rig.pass_time(1.1)
        rig.broker.sweep()
        counts = rig.broker.counts(["default"])["default"]
        assert (counts.ready, counts.scheduled) == (3, 1)

    def test_late_jobs_expire_without_a_claim(self, rig: Rig) -> None:
        rig.needs("sweeps")
        ids = rig.put(2, lifetime=rig.tick) + rig.put(delay=50 * rig.tick, lifetime=rig.tick)
        rig.pass_time(1.1)
        assert rig.broker.sweep().expired == 3
        assert {r.state for r in rig.results.records(ids).values()} == {"expired"}

    def test_a_dead_workers_jobs_come_back(self, rig: Rig) -> None:
        rig.needs("sweeps")
        ids = rig.put(3)
        dead, alive = rig.worker(), rig.worker()
        rig.take(dead, 2)
        rig.take(alive, 1)
        rig.kill(dead)
        swept = rig.recover()
        assert (swept.recovered, len(swept.lost_workers)) == (2, 1)
        assert alive.beat().owned == 1
        rig.pass_time(1.1)
        deliveries = rig.take(rig.worker())
        assert sorted(d.id for d in deliveries) == sorted(ids[:2])
        assert {(d.deliveries, d.losses, d.attempts, d.strikes) for d in deliveries} == {(2, 1, 0, 0)}

    def test_the_first_recovery_is_at_once(self, rig: Rig) -> None:
        rig.put()
        dead = rig.worker()
        rig.take(dead)
        rig.kill(dead)
        rig.recover()
        assert len(rig.take(rig.worker())) == 1

    def test_a_live_workers_jobs_stay_however_long_they_take(self, rig: Rig) -> None:
        rig.put()
        worker = rig.worker()
        deliveries = rig.take(worker)
        for _ in range(5):
            rig.pass_time(1)
            assert not worker.beat().lost
            assert rig.recover().recovered == 0
        assert rig.settle(worker, deliveries) == ["ok"]

    def test_a_second_sweep_finds_nothing_more(self, rig: Rig) -> None:
        rig.needs("sweeps")
        rig.put(5)
        dead = rig.worker()
        rig.take(dead)
        rig.kill(dead)
        assert [rig.recover().recovered, rig.recover().recovered] == [5, 0]

    def test_sweeps_at_the_same_time_take_back_once(self, rig: Rig) -> None:
        rig.needs("sweeps")
        rig.put(50)
        dead = rig.worker()
        rig.take(dead)
        rig.kill(dead)
        rig.pass_time(0.01)
        sweeps = [Aside(rig.recover) for _ in range(4)]
        assert sum(s.answer().recovered for s in sweeps) + rig.recover().recovered == 50
        rig.pass_time(1.1)
        assert {d.losses for d in rig.take(rig.worker())} == {1}

    def test_a_job_that_kills_its_workers_is_dead_at_last(self, rig: Rig) -> None:
        (id_,) = rig.put()
        for n in range(LOSS_LIMIT):
            worker = rig.worker()
            (delivery,) = rig.take(worker)
            assert delivery.losses == n
            rig.kill(worker)
            rig.recover()
            rig.look_ahead(61)
        assert rig.take(rig.worker()) == []
        record = rig.results.records([id_]) or {}
        assert not record or (record[id_].state, record[id_].reason) == ("dead", "poison")
        assert rig.broker.counts(["default"])["default"].dead == 1

    def test_a_dead_workers_job_that_was_to_be_cancelled_is(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        rig.take(worker)
        rig.control.cancel([id_])
        rig.kill(worker)
        rig.recover()
        assert rig.results.records([id_])[id_].state == "cancelled"
        assert rig.take(rig.worker()) == []

    def test_a_cancellation_counts_more_than_the_limit_of_losses(self, rig: Rig) -> None:
        (id_,) = rig.put()
        for n in range(LOSS_LIMIT):
            worker = rig.worker()
            assert len(rig.take(worker)) == 1
            if n == LOSS_LIMIT - 1:
                rig.control.cancel([id_])
            rig.kill(worker)
            rig.recover()
            rig.look_ahead(61)
        assert rig.results.records([id_])[id_].state == "cancelled"

    def test_an_idle_dead_worker_is_forgotten(self, rig: Rig) -> None:
        worker = rig.worker(name="idle")
        rig.kill(worker)
        rig.recover()
        assert list(rig.browse.workers()) == []

    def test_results_go_when_their_time_is_over(self, rig: Rig) -> None:
        (id_,) = rig.put()
        rig.run(rig.worker(), Succeeded(b"v", ttl=100.0))
        rig.look_ahead(99)
        early = rig.broker.sweep().pruned
        assert early == (0 if rig.harness.remembers else 1)
        assert rig.results.records([id_])[id_].value == b"v"
        rig.look_ahead(2)
        assert early + rig.broker.sweep().pruned == 1
        assert rig.results.records([id_]) == {}
        assert rig.broker.publish([rig.job(id=id_)])[0].created

    def test_dead_letters_stay_longer_than_their_result(self, rig: Rig) -> None:
        (id_,) = rig.put(body=b"long" * 10_000)
        rig.run(rig.worker(), Dead("failed", ttl=100.0))
        rig.put()
        rig.run(rig.worker())
        rig.look_ahead(13 * 86_400)
        assert rig.broker.sweep().pruned == 1
        assert rig.results.records([id_]) == {}
        assert not rig.broker.publish([rig.job(id=id_)])[0].created
        assert list(rig.control.revive([id_])) == [True]
        assert rig.take(rig.worker())[0].envelope.body == b"long" * 10_000

    def test_dead_letters_go_after_two_weeks(self, rig: Rig) -> None:
        rig.put()
        rig.run(rig.worker(), Dead("failed"))
        rig.look_ahead(14 * 86_400 + 1)
        assert rig.broker.sweep().pruned == 1
        assert rig.broker.counts(["default"])["default"].dead == 0

    @pytest.mark.parametrize("ttl", [0.0, 5.0])
    def test_duplicates_are_recognised_for_a_minute_whatever_the_result(self, rig: Rig, ttl: float) -> None:
        (id_,) = rig.put()
        rig.run(rig.worker(), Succeeded(b"v", ttl=ttl))
        rig.look_ahead(59)
        rig.broker.sweep()
        assert not rig.broker.publish([rig.job(id=id_)])[0].created
        rig.look_ahead(2)
        rig.broker.sweep()
        assert rig.broker.publish([rig.job(id=id_)])[0].created

    def test_a_limit_is_kept(self, rig: Rig) -> None:
        rig.put(25, delay=rig.tick)
        rig.pass_time(1.1)
        assert rig.broker.sweep(10).promoted <= 25
        while rig.broker.sweep(10).promoted:
            pass
        assert len(rig.take(rig.worker())) == 25
