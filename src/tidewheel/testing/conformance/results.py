"""The role `results`: what came of a job, and waiting for it."""

from __future__ import annotations

import time

import pytest

from tidewheel.contract import Settlement
from tidewheel.core.outcome import Again, Dead, Succeeded
from tidewheel.ids import job_id
from tidewheel.testing.conformance.harness import PROMPT, Aside, Rig


class TestResults:
    def test_unknown_jobs_are_missing(self, rig: Rig) -> None:
        assert rig.results.records([job_id(), "nonsense", ""]) == {}
        assert rig.results.records([]) == {}

    def test_live_jobs_have_a_state(self, rig: Rig) -> None:
        (scheduled,) = rig.put(delay=rig.tick)
        (running,) = rig.put()
        rig.take(rig.worker())
        (ready,) = rig.put()
        states = {id_: r.state for id_, r in rig.results.records([scheduled, ready, running]).items()}
        assert states == {scheduled: "scheduled", ready: "ready", running: "running"}

    def test_an_ended_job_has_everything(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        rig.run(worker, Again("retry", counted="attempts"))
        rig.run(worker, Succeeded(b"v"))
        record = rig.results.records([id_])[id_]
        assert (record.id, record.state, record.value, record.error, record.reason, record.attempts) == (
            id_,
            "succeeded",
            b"v",
            None,
            "",
            1,
        )
        assert record.finished == pytest.approx(rig.broker.now(), abs=5)

    def test_thousands_at_once(self, rig: Rig) -> None:
        ids = rig.put(3000)
        worker = rig.worker()
        while rig.run(worker):
            pass
        assert len(rig.results.records([*ids, job_id()])) == 3000
        assert len(rig.results.wait(ids, 0)) == 3000

    def test_no_value_is_kept_without_a_time_to_live(self, rig: Rig) -> None:
        (id_,) = rig.put()
        rig.run(rig.worker(), Succeeded(b"secret", ttl=0.0))
        record = rig.results.records([id_])[id_]
        assert (record.state, record.value) == ("succeeded", None)

    def test_it_is_not_shown_after_its_time_to_live(self, rig: Rig) -> None:
        (id_,) = rig.put()
        rig.run(rig.worker(), Succeeded(b"v", ttl=2 * rig.tick))
        rig.pass_time(1)
        assert id_ in rig.results.records([id_])
        rig.pass_time(1.1)
        assert rig.results.records([id_]) == {}
        assert rig.results.wait([id_], 0) == {}

    def test_waiting_for_what_has_ended_is_over_at_once(self, rig: Rig) -> None:
        ids = rig.put(3)
        rig.run(rig.worker(), limit=1)
        began = time.monotonic()
        assert set(rig.results.wait(ids, 30)) == {ids[0]}
        assert time.monotonic() - began < PROMPT

    def test_waiting_ends_when_a_job_ends(self, rig: Rig) -> None:
        ids = rig.put(2)
        worker = rig.worker(rig.client())
        deliveries = rig.take(worker)
        results = rig.results
        waiting = Aside(results.wait, ids, 30)
        rig.settle(worker, deliveries[1:], Dead("failed", b"error"))
        answer = waiting.answer(within=PROMPT)
        assert {id_: r.error for id_, r in answer.items()} == {deliveries[1].id: b"error"}

    def test_waiting_ends_when_a_job_is_cancelled(self, rig: Rig) -> None:
        ids = rig.put()
        results, control = rig.results, rig.control
        waiting = Aside(results.wait, ids, 30)
        control.cancel(ids)
        assert [r.state for r in waiting.answer(within=PROMPT).values()] == ["cancelled"]

    def test_many_may_wait(self, rig: Rig) -> None:
        ids = rig.put(4)
        worker = rig.worker(rig.client())
        deliveries = rig.take(worker)
        results = rig.results
        waiting = [Aside(results.wait, [id_], 30) for id_ in ids]
        rig.settle(worker, deliveries)
        assert [list(w.answer(within=2 * PROMPT)) for w in waiting] == [[id_] for id_ in ids]

    def test_waiting_lasts_no_longer_than_told(self, rig: Rig) -> None:
        ids = rig.put()
        began = time.monotonic()
        assert rig.results.wait(ids, 0.2) == {}
        assert 0.15 <= time.monotonic() - began < PROMPT

    def test_waiting_for_an_unknown_job_lasts(self, rig: Rig) -> None:
        assert rig.results.wait([job_id()], 0.05) == {}

    def test_wake_waiters_ends_the_waiting(self, rig: Rig) -> None:
        ids, results = rig.put(), rig.results
        waiting = Aside(results.wait, ids, 30)
        results.wake_waiters()
        assert waiting.answer(within=PROMPT) == {}

    def test_wake_waiters_just_before_the_waiting_is_not_lost(self, rig: Rig) -> None:
        ids, results = rig.put(), rig.results
        results.wake_waiters()
        assert Aside(results.wait, ids, 30).answer(within=PROMPT) == {}

    def test_forget_deletes_the_result_and_keeps_the_fact(self, rig: Rig) -> None:
        job = rig.job()
        rig.broker.publish([job])
        rig.run(rig.worker())
        assert rig.results.forget([job.id, job_id()]) == 1
        assert rig.results.records([job.id]) == {}
        assert rig.results.forget([job.id]) == 0
        assert not rig.broker.publish([job])[0].created

    def test_forget_leaves_live_jobs_alone(self, rig: Rig) -> None:
        ids = rig.put(2)
        worker = rig.worker()
        rig.take(worker, 1)
        assert rig.results.forget(ids) == 0
        assert set(rig.results.records(ids)) == set(ids)

    def test_forget_leaves_dead_letters_to_be_revived(self, rig: Rig) -> None:
        (id_,) = rig.put()
        rig.run(rig.worker(), Dead("failed", b"error"))
        assert rig.results.forget([id_]) == 1
        assert rig.results.records([id_]) == {}
        assert list(rig.control.revive([id_])) == [True]

    def test_the_result_is_there_when_the_settlement_answers(self, rig: Rig) -> None:
        other = rig.client()
        worker = rig.worker()
        for _ in range(20):
            (id_,) = rig.put()
            (delivery,) = rig.take(worker)
            worker.settle([Settlement(id_, delivery.token, Succeeded(b"v"))])
            assert other.results is None or other.results.records([id_])[id_].value == b"v"
