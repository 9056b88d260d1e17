"""The role `control`: cancel, revive, bury."""

from __future__ import annotations

import pytest

from tidewheel.core.outcome import Again, Cancelled, Dead
from tidewheel.ids import job_id
from tidewheel.testing.conformance.harness import Rig


class TestControl:
    @pytest.mark.parametrize("delay", [0.0, 1000.0])
    def test_what_has_not_started_never_will(self, rig: Rig, delay: float) -> None:
        (id_,) = rig.put(delay=delay, body=b"long" * 10_000)
        assert list(rig.control.cancel([id_])) == ["cancelled"]
        assert rig.take(rig.worker()) == []
        record = rig.results.records([id_])[id_]
        assert (record.state, record.value) == ("cancelled", None)

    def test_what_runs_is_asked_to_stop(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        deliveries = rig.take(worker)
        assert list(rig.control.cancel([id_])) == ["requested"]
        assert list(rig.control.cancel([id_])) == ["requested"]
        assert rig.results.records([id_])[id_].state == "running"
        assert rig.settle(worker, deliveries, Cancelled()) == ["ok"]
        assert rig.results.records([id_])[id_].state == "cancelled"

    def test_what_waits_for_its_retry_is_cancelled(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        rig.run(worker, Again("retry", rig.tick, "attempts"))
        assert list(rig.control.cancel([id_])) == ["cancelled"]
        rig.pass_time(1.1)
        assert rig.take(worker) == []

    def test_what_has_ended_or_never_was(self, rig: Rig) -> None:
        (ended,) = rig.put()
        rig.run(rig.worker())
        (dead,) = rig.put()
        rig.run(rig.worker(), Dead("failed"))
        (ready,) = rig.put()
        assert list(rig.control.cancel([ended, job_id(), dead, ready, ready])) == ["ended", "unknown", "ended", "cancelled", "ended"]
        assert rig.results.records([ended])[ended].state == "succeeded"

    def test_a_cancelled_id_is_recognised(self, rig: Rig) -> None:
        job = rig.job()
        rig.broker.publish([job])
        rig.control.cancel([job.id])
        assert not rig.broker.publish([job])[0].created

    def test_revive_starts_anew(self, rig: Rig) -> None:
        (id_,) = rig.put(body=b"long" * 10_000, priority=4, headers={"a": "b"}, lifetime=2 * rig.tick)
        worker = rig.worker()
        rig.run(worker, Again("crashed", counted="strikes"))
        rig.run(worker, Again("lost", counted="losses"))
        (first,) = rig.take(worker)
        rig.settle(worker, [first], Dead("failed", b"error", "attempts"))
        rig.pass_time(3)
        assert list(rig.control.revive([id_])) == [True]
        assert rig.results.records([id_])[id_].state == "ready"
        assert rig.broker.counts(["default"])["default"].dead == 0
        (delivery,) = rig.take(worker)
        assert (delivery.id, delivery.attempts, delivery.strikes, delivery.losses) == (id_, 0, 0, 0)
        for field in ("body", "task", "queue", "priority", "headers", "key"):
            assert getattr(delivery.envelope, field) == getattr(first.envelope, field)
        assert delivery.token != first.token
        rig.settle(worker, [delivery])
        record = rig.results.records([id_])[id_]
        assert (record.state, record.error, record.reason) == ("succeeded", None, "")

    def test_revive_keeps_the_history(self, rig: Rig) -> None:
        (id_,) = rig.put()
        rig.run(rig.worker(), Dead("failed"))
        rig.control.revive([id_])
        view = rig.browse.job(id_)
        assert view is not None
        assert [h.event for h in view.history] == ["dead", "revived"]

    def test_only_the_dead_are_revived(self, rig: Rig) -> None:
        (ready,) = rig.put()
        (running,) = [d.id for d in rig.take(rig.worker())]
        (ended,) = rig.put()
        rig.run(rig.worker())
        assert list(rig.control.revive([ready, running, ended, job_id()])) == [False] * 4

    def test_revive_twice(self, rig: Rig) -> None:
        (id_,) = rig.put()
        rig.run(rig.worker(), Dead("failed"))
        assert list(rig.control.revive([id_, id_])) == [True, False]
        assert len(rig.take(rig.worker())) == 1

    def test_a_revived_job_is_the_last_of_its_queue(self, rig: Rig) -> None:
        (id_,) = rig.put()
        rig.run(rig.worker(), Dead("failed"))
        (other,) = rig.put()
        rig.control.revive([id_])
        assert [d.id for d in rig.take(rig.worker())] == [other, id_]

    def test_bury_deletes_the_dead_only(self, rig: Rig) -> None:
        (dead,) = rig.put(body=b"long" * 10_000)
        rig.run(rig.worker(), Dead("failed"))
        (ready,) = rig.put()
        assert list(rig.control.bury([dead, ready, dead, job_id()])) == [True, False, False, False]
        assert rig.browse.job(dead) is None
        assert rig.broker.counts(["default"])["default"].dead == 0
        assert list(rig.control.revive([dead])) == [False]
