"""`claim`: who gets what, in which order, and when."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from tidewheel.core.job import MAX_PRIORITY, MIN_PRIORITY, Delivery, Token
from tidewheel.core.outcome import Again
from tidewheel.testing.conformance.harness import PROMPT, Aside, Rig


class TestClaim:
    def test_nothing_there(self, rig: Rig) -> None:
        assert rig.take(rig.worker(), queues=("default", "never heard of")) == []

    def test_no_more_than_the_limit(self, rig: Rig) -> None:
        rig.put(10)
        worker = rig.worker()
        assert [len(rig.take(worker, 4)) for _ in range(4)] == [4, 4, 2, 0]

    def test_only_the_queues_asked_for(self, rig: Rig) -> None:
        rig.put(queue="a")
        (wanted,) = rig.put(queue="b")
        assert [d.id for d in rig.take(rig.worker(), queues=("b", "c"))] == [wanted]

    def test_oldest_first(self, rig: Rig) -> None:
        ids = [rig.put()[0] for _ in range(20)]
        worker = rig.worker()
        assert [d.id for n in (1, 5, 14) for d in rig.take(worker, n)] == ids

    def test_highest_priority_first(self, rig: Rig) -> None:
        rig.needs("levels")
        priorities = [*range(MIN_PRIORITY, MAX_PRIORITY + 1, 20), MAX_PRIORITY, MIN_PRIORITY, 1, 0, -1]
        random.Random(1).shuffle(priorities)
        rig.broker.publish([rig.job(priority=p) for p in priorities])
        worker = rig.worker()
        got = [d.envelope.priority for n in (3, 100) for d in rig.take(worker, n)]
        assert got == sorted(priorities, reverse=True)

    def test_an_urgent_job_overtakes(self, rig: Rig) -> None:
        rig.put(5)
        (urgent,) = rig.put(priority=1)
        assert rig.take(rig.worker(), 1)[0].id == urgent

    def test_no_queue_starves(self, rig: Rig) -> None:
        for queue in ("a", "b", "c"):
            rig.put(50, queue=queue)
        worker = rig.worker()
        got = [rig.take(worker, 1, ("a", "b", "c"))[0].envelope.queue for _ in range(30)]
        for queue in ("a", "b", "c"):
            assert got.count(queue) >= 7, got

    def test_a_long_queue_does_not_hide_a_short_one(self, rig: Rig) -> None:
        rig.put(500, queue="long")
        (short,) = rig.put(queue="short")
        worker = rig.worker()
        assert short in [d.id for _ in range(3) for d in rig.take(worker, 10, ("long", "short"))]

    def test_deliveries_are_counted(self, rig: Rig) -> None:
        rig.put()
        worker = rig.worker()
        for n in (1, 2, 3):
            (delivery,) = rig.take(worker)
            assert (delivery.deliveries, delivery.attempts, delivery.strikes, delivery.losses) == (n, 0, 0, 0)
            rig.settle(worker, [delivery], Again("returned"))

    def test_a_token_is_never_given_twice(self, rig: Rig) -> None:
        rig.put(20)
        workers = [rig.worker(), rig.worker()]
        tokens = set[tuple[str, Token]]()
        for worker in workers * 5:
            deliveries = rig.take(worker, 3)
            assert not {(d.id, d.token) for d in deliveries} & tokens
            tokens |= {(d.id, d.token) for d in deliveries}
            rig.settle(worker, deliveries, Again("returned"))

    def test_it_tells_when_the_job_was_accepted(self, rig: Rig) -> None:
        before = rig.broker.now()
        rig.put()
        assert before - 0.1 <= rig.take(rig.worker())[0].published <= rig.broker.now() + 0.1

    @pytest.mark.parametrize("how", ["delay", "due", "both"])
    def test_not_before_its_time(self, rig: Rig, how: str) -> None:
        due = rig.broker.now() + 3 * rig.tick
        when: dict[str, Any] = {"delay": {"delay": 3 * rig.tick}, "due": {"due": due}, "both": {"delay": rig.tick, "due": due}}[how]
        (id_,) = rig.put(**when)
        worker = rig.worker()
        assert rig.take(worker) == []
        rig.pass_time(2)
        assert rig.take(worker) == []
        rig.pass_time(1.1)
        assert [d.id for d in rig.take(worker)] == [id_]

    def test_a_due_moment_in_the_past_is_now(self, rig: Rig) -> None:
        rig.put(due=rig.broker.now() - 1000)
        assert len(rig.take(rig.worker())) == 1

    def test_delayed_jobs_do_not_hide_ready_ones(self, rig: Rig) -> None:
        rig.put(200, delay=100 * rig.tick, priority=MAX_PRIORITY)
        rig.put(3)
        assert len(rig.take(rig.worker(), 3)) == 3

    @pytest.mark.parametrize("how", ["lifetime", "expires", "both"])
    def test_a_late_job_is_not_handed_out(self, rig: Rig, how: str) -> None:
        end = rig.broker.now() + 2 * rig.tick
        when: dict[str, Any] = {
            "lifetime": {"lifetime": 2 * rig.tick},
            "expires": {"expires": end},
            "both": {"lifetime": 9 * rig.tick, "expires": end},
        }[how]
        rig.put(**when)
        (other,) = rig.put()
        rig.pass_time(2.1)
        assert [d.id for d in rig.take(rig.worker())] == [other]

    def test_a_late_job_ends_as_expired(self, rig: Rig) -> None:
        (id_,) = rig.put(lifetime=rig.tick)
        rig.pass_time(1.1)
        assert rig.end_late(rig.worker()) == []
        assert rig.results.records([id_])[id_].state == "expired"

    def test_a_delayed_job_can_be_late_too(self, rig: Rig) -> None:
        (id_,) = rig.put(delay=5 * rig.tick, lifetime=rig.tick)
        rig.pass_time(1.1)
        assert rig.end_late(rig.worker()) == []
        assert rig.results.records([id_])[id_].state == "expired"

    def test_however_many_are_late_none_is_handed_out(self, rig: Rig) -> None:
        rig.put(2500, lifetime=rig.tick)
        rig.pass_time(1.1)
        worker = rig.worker()
        assert [rig.take(worker) for _ in range(3)] == [[], [], []]

    def test_a_job_in_time_is_handed_out(self, rig: Rig) -> None:
        rig.put(lifetime=10 * rig.tick)
        rig.pass_time(1)
        assert len(rig.take(rig.worker())) == 1

    def test_a_running_job_does_not_expire(self, rig: Rig) -> None:
        rig.put(lifetime=rig.tick)
        worker = rig.worker()
        deliveries = rig.take(worker)
        rig.pass_time(2)
        rig.broker.sweep()
        assert rig.settle(worker, deliveries) == ["ok"]

    def test_a_retry_can_be_too_late(self, rig: Rig) -> None:
        (id_,) = rig.put(lifetime=2 * rig.tick)
        worker = rig.worker()
        rig.run(worker, Again("retry", 5 * rig.tick, "attempts"))
        rig.pass_time(5.1)
        assert rig.end_late(worker) == []
        assert rig.results.records([id_])[id_].state == "expired"

    def test_it_waits_no_longer_than_told(self, rig: Rig) -> None:
        worker = rig.worker()
        began = time.monotonic()
        assert list(worker.claim(["default"], 1, 0.2)) == []
        assert 0.15 <= time.monotonic() - began < PROMPT

    def test_a_publication_ends_the_waiting(self, rig: Rig) -> None:
        worker, other = rig.worker(), rig.client()
        waiting = Aside(worker.claim, ["a", "default"], 5, 30)
        job = rig.job()
        other.broker.publish([job])
        assert [d.id for d in waiting.answer(within=PROMPT)] == [job.id]

    def test_what_is_given_at_once_is_not_in_the_answer(self, rig: Rig) -> None:
        worker, other = rig.worker(), rig.client()
        given: list[Delivery] = []
        for _ in range(3):
            waiting = Aside(worker.claim, ["default"], 5, 30, given.extend)
            job = rig.job()
            other.broker.publish([job])
            deliveries = [*waiting.answer(within=PROMPT), *given]
            assert [d.id for d in deliveries] == [job.id]
            assert [d.id for d in worker.owned()] == [job.id]
            assert rig.settle(worker, deliveries) == ["ok"]
            given.clear()

    def test_a_job_that_comes_back_ends_the_waiting(self, rig: Rig) -> None:
        (id_,) = rig.put()
        first, second = rig.worker(), rig.worker(rig.client())
        deliveries = rig.take(first)
        waiting = Aside(second.claim, ["default"], 1, 30)
        rig.settle(first, deliveries, Again("returned"))
        assert [d.id for d in waiting.answer(within=PROMPT)] == [id_]

    def test_a_job_that_becomes_due_ends_the_waiting(self, rig: Rig) -> None:
        worker = rig.worker()
        rig.put(delay=0.3)
        began = time.monotonic()
        assert len(Aside(worker.claim, ["default"], 1, 30).answer()) == 1
        assert 0.25 <= time.monotonic() - began < 0.3 + PROMPT

    def test_a_job_that_becomes_due_and_was_published_meanwhile_ends_the_waiting(self, rig: Rig) -> None:
        worker = rig.worker()
        waiting = Aside(worker.claim, ["default"], 1, 30)
        rig.put(delay=0.2)
        assert len(waiting.answer(within=0.2 + PROMPT)) == 1

    def test_wake_ends_the_waiting(self, rig: Rig) -> None:
        worker = rig.worker()
        waiting = Aside(worker.claim, ["default"], 1, 30)
        worker.wake()
        assert list(waiting.answer(within=PROMPT)) == []

    def test_wake_just_before_the_waiting_is_not_lost(self, rig: Rig) -> None:
        worker = rig.worker()
        worker.wake()
        assert list(Aside(worker.claim, ["default"], 1, 30).answer(within=PROMPT)) == []

    def test_with_limit_0_it_only_waits(self, rig: Rig) -> None:
        rig.put()
        worker = rig.worker()
        assert list(worker.claim(["default"], 0, 0)) == []
        waiting = Aside(worker.claim, ["default"], 0, 30)
        worker.wake()
        assert list(waiting.answer(within=PROMPT)) == []
        assert len(rig.take(worker)) == 1

    def test_one_job_wakes_one_worker_and_none_is_left_over(self, rig: Rig) -> None:
        workers = [rig.worker(rig.client()) for _ in range(4)]
        waiting = [Aside(worker.claim, ["default"], 1, 30) for worker in workers]
        ids = rig.put(4)
        assert sorted(d.id for w in waiting for d in w.answer(within=2 * PROMPT)) == sorted(ids)
