"""`settle`: the outcome is written once, by whoever holds the job, with its follow-ups."""

from __future__ import annotations

import pytest

from tidewheel.contract import Settlement
from tidewheel.core.job import Token
from tidewheel.core.outcome import Again, AnyOutcome, Cancelled, Dead, Expired, Succeeded
from tidewheel.ids import job_id
from tidewheel.testing.conformance.harness import Rig


class TestSettle:
    def test_a_success_ends_the_job(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        assert rig.settle(worker, rig.take(worker), Succeeded(b"\x00value")) == ["ok"]
        assert rig.take(worker) == []
        record = rig.results.records([id_])[id_]
        assert (record.state, record.value, record.error) == ("succeeded", b"\x00value", None)

    def test_an_empty_batch_is_nothing(self, rig: Rig) -> None:
        assert list(rig.worker().settle([])) == []

    def test_again_puts_it_back(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        rig.run(worker, Again("returned"))
        assert [d.id for d in rig.take(worker)] == [id_]

    def test_again_after_a_delay(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        rig.run(worker, Again("snooze", 2 * rig.tick))
        assert rig.take(worker) == []
        rig.pass_time(2.1)
        assert [d.id for d in rig.take(worker)] == [id_]

    @pytest.mark.parametrize("counted", ["", "attempts", "strikes", "losses"])
    def test_again_counts_what_it_says(self, rig: Rig, counted: str) -> None:
        rig.put()
        worker = rig.worker()
        for n in range(3):
            (delivery,) = rig.take(worker)
            assert {c: getattr(delivery, c) for c in ("attempts", "strikes", "losses")} == {
                c: n if c == counted else 0 for c in ("attempts", "strikes", "losses")
            }
            rig.settle(worker, [delivery], Again("retry", 0.0, counted))  # type: ignore[arg-type]

    def test_again_keeps_the_whole_envelope(self, rig: Rig) -> None:
        for body in (b"short", b"long" * 10_000):
            rig.put(body=body, priority=3, headers={"a": "b"}, key=job_id() if rig.harness.looks_up else None, queue="q")
            worker = rig.worker()
            (first,) = rig.take(worker, queues=("q",))
            rig.settle(worker, [first], Again("retry", counted="attempts"))
            (second,) = rig.take(worker, queues=("q",))
            assert second.envelope == first.envelope
            rig.settle(worker, [second])

    def test_dead_ends_it_with_its_reason(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        rig.run(worker, Dead("failed", b"error", "attempts"))
        assert rig.take(worker) == []
        record = rig.results.records([id_])[id_]
        assert (record.state, record.reason, record.error, record.attempts) == ("dead", "failed", b"error", 1)
        assert rig.broker.counts(["default"])["default"].dead == 1

    @pytest.mark.parametrize(("outcome", "state"), [(Cancelled(), "cancelled"), (Expired(), "expired")])
    def test_the_other_ends(self, rig: Rig, outcome: Cancelled | Expired, state: str) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        rig.run(worker, outcome)
        assert rig.take(worker) == []
        assert rig.results.records([id_])[id_].state == state

    def test_repeating_it_is_harmless(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        deliveries = rig.take(worker)
        assert rig.settle(worker, deliveries, Succeeded(b"1")) == ["ok"]
        assert rig.settle(worker, deliveries, Succeeded(b"2")) == ["gone"]
        assert rig.settle(worker, deliveries, Again("retry", counted="attempts")) == ["gone"]
        assert rig.results.records([id_])[id_].value == b"1"
        assert rig.take(worker) == []

    def test_repeating_an_again_is_harmless(self, rig: Rig) -> None:
        rig.put()
        worker = rig.worker()
        deliveries = rig.take(worker)
        assert rig.settle(worker, deliveries, Again("retry", counted="attempts")) == ["ok"]
        assert rig.settle(worker, deliveries, Again("retry", counted="attempts")) == ["gone"]
        assert [d.attempts for d in rig.take(worker)] == [1]

    def test_the_same_delivery_twice_in_a_batch_counts_once(self, rig: Rig) -> None:
        (id_, other) = rig.put(2)
        worker = rig.worker()
        first, second = rig.take(worker)
        batch = [Settlement(d.id, d.token, Succeeded(b"%d" % n)) for n, d in enumerate((first, second, first))]
        assert sorted(worker.settle(batch)) == ["gone", "ok", "ok"]
        assert set(rig.results.records([id_, other])) == {id_, other}

    def test_somebody_elses_delivery_is_stale(self, rig: Rig) -> None:
        rig.needs("looks_up")
        rig.put()
        worker, thief = rig.worker(), rig.worker()
        (delivery,) = rig.take(worker)
        for forged in (Token("somebody", delivery.token.claim), Token(delivery.token.worker, delivery.token.claim + 1)):
            assert list(thief.settle([Settlement(delivery.id, forged, Succeeded())])) == ["stale"]
        assert rig.settle(worker, [delivery]) == ["ok"]

    def test_an_earlier_claim_of_the_same_worker_is_stale(self, rig: Rig) -> None:
        rig.put()
        worker = rig.worker()
        (first,) = rig.take(worker)
        rig.settle(worker, [first], Again("returned"))
        (second,) = rig.take(worker)
        assert rig.settle(worker, [first], Succeeded(b"late")) == ["stale"]
        assert rig.settle(worker, [second]) == ["ok"]

    def test_an_unknown_job_is_gone(self, rig: Rig) -> None:
        worker = rig.worker()
        assert list(worker.settle([Settlement(job_id(), Token("w", 1), Succeeded())])) == ["gone"]

    def test_verdicts_are_in_order_and_each_for_itself(self, rig: Rig) -> None:
        ids = rig.put(6)
        worker = rig.worker()
        deliveries = rig.take(worker)
        rig.settle(worker, deliveries[1:2])
        rig.settle(worker, deliveries[3:4], Again("returned"))
        (again,) = rig.take(worker)
        assert again.id == ids[3]
        assert rig.settle(worker, deliveries) == ["ok", "gone", "ok", "stale", "ok", "ok"]
        assert rig.settle(worker, [again]) == ["ok"]

    def test_a_batch_of_every_kind(self, rig: Rig) -> None:
        rig.put(5)
        worker = rig.worker()
        outcomes: list[AnyOutcome] = [Succeeded(), Again("retry", counted="attempts"), Dead("failed"), Cancelled(), Succeeded(b"v")]
        batch = [Settlement(d.id, d.token, o) for d, o in zip(rig.take(worker), outcomes, strict=True)]
        assert list(worker.settle(batch)) == ["ok"] * 5
        counts = rig.broker.counts(["default"])["default"]
        assert (counts.ready, counts.running, counts.dead) == (1, 0, 1)

    def test_a_thousand_at_once(self, rig: Rig) -> None:
        ids = rig.put(1000)
        worker = rig.worker()
        assert rig.settle(worker, rig.take(worker)) == ["ok"] * 1000
        assert {r.state for r in rig.results.records(ids).values()} == {"succeeded"}

    def test_follow_ups_come_with_it(self, rig: Rig) -> None:
        rig.put()
        worker = rig.worker()
        (delivery,) = rig.take(worker)
        next_jobs = (rig.job(body=b"a"), rig.job(body=b"b" * 5000, queue="other"))
        assert list(worker.settle([Settlement(delivery.id, delivery.token, Succeeded(), next_jobs)])) == ["ok"]
        assert sorted(d.id for d in rig.take(worker, queues=("default", "other"))) == sorted(job.id for job in next_jobs)

    def test_a_stale_settlement_has_no_follow_ups(self, rig: Rig) -> None:
        rig.put()
        worker = rig.worker()
        (delivery,) = rig.take(worker)
        settlement = Settlement(delivery.id, delivery.token, Succeeded(), (rig.job(),))
        assert list(worker.settle([settlement])) == ["ok"]
        assert list(worker.settle([Settlement(delivery.id, delivery.token, Succeeded(), (rig.job(),))])) == ["gone"]
        assert len(rig.take(worker)) == 1

    def test_a_follow_up_that_is_known_is_stored_once(self, rig: Rig) -> None:
        rig.needs("looks_up")
        (known,) = rig.put(queue="other")
        rig.put()
        worker = rig.worker()
        (delivery,) = rig.take(worker)
        assert list(worker.settle([Settlement(delivery.id, delivery.token, Succeeded(), (rig.job(id=known, queue="other"),))])) == ["ok"]
        assert [d.id for d in rig.take(worker, queues=("other",))] == [known]

    def test_again_for_a_job_that_is_to_be_cancelled_cancels_it(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        deliveries = rig.take(worker)
        assert list(rig.control.cancel([id_])) == ["requested"]
        assert rig.settle(worker, deliveries, Again("retry", counted="attempts")) == ["ok"]
        assert rig.take(worker) == []
        assert rig.results.records([id_])[id_].state == "cancelled"

    def test_a_success_beats_a_cancellation(self, rig: Rig) -> None:
        (id_,) = rig.put()
        worker = rig.worker()
        deliveries = rig.take(worker)
        rig.control.cancel([id_])
        assert rig.settle(worker, deliveries) == ["ok"]
        assert rig.results.records([id_])[id_].state == "succeeded"

    @pytest.mark.parametrize("size", [0, 1, 5000, 1_000_000])
    def test_values_of_any_size(self, rig: Rig, size: int) -> None:
        (id_,) = rig.put()
        rig.run(rig.worker(), Succeeded(b"\xfe" * size))
        assert rig.results.records([id_])[id_].value == b"\xfe" * size
