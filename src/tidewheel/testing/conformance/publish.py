"""`publish`: accepted means stored; the same id is one job."""

from __future__ import annotations

import threading

import pytest

from tidewheel.core.outcome import Dead
from tidewheel.testing.conformance.harness import Aside, Rig


class TestPublish:
    def test_an_envelope_comes_back_as_it_went_in(self, rig: Rig) -> None:
        job = rig.job(
            task="shop.tasks.pay",
            body=b"\x00\xff",
            priority=7,
            key="order 1" if rig.harness.looks_up else None,
            key_window=90.0,
            headers={"traceparent": "00-…", "ü": "\n"},
        )
        (receipt,) = rig.broker.publish([job])
        assert (receipt.id, receipt.created) == (job.id, True)
        (delivery,) = rig.take(rig.worker())
        got = delivery.envelope
        for field in ("id", "task", "body", "queue", "priority", "key", "key_window", "headers"):
            assert getattr(got, field) == getattr(job, field), field

    def test_the_end_of_its_lifetime_comes_back_as_a_moment(self, rig: Rig) -> None:
        rig.put(lifetime=5 * rig.tick)
        (delivery,) = rig.take(rig.worker())
        assert delivery.envelope.expires == pytest.approx(delivery.published + 5 * rig.tick, abs=0.5)

    def test_an_empty_batch_is_nothing(self, rig: Rig) -> None:
        assert list(rig.broker.publish([])) == []

    def test_receipts_are_in_order(self, rig: Rig) -> None:
        jobs = [rig.job() for _ in range(500)]
        assert [r.id for r in rig.broker.publish(jobs)] == [j.id for j in jobs]
        assert sorted(d.id for d in rig.take(rig.worker())) == sorted(j.id for j in jobs)

    def test_the_same_id_twice_is_one_job(self, rig: Rig) -> None:
        rig.needs("looks_up")
        job = rig.job()
        rig.broker.publish([job])
        (receipt,) = rig.broker.publish([job])
        assert (receipt.id, receipt.created) == (job.id, False)
        assert len(rig.take(rig.worker())) == 1

    def test_the_same_id_with_another_content_changes_nothing(self, rig: Rig) -> None:
        rig.needs("looks_up")
        job = rig.job(body=b"first")
        rig.broker.publish([job])
        rig.broker.publish([rig.job(id=job.id, body=b"second", queue="other", priority=9)])
        worker = rig.worker()
        assert [d.envelope.body for d in rig.take(worker, queues=("default", "other"))] == [b"first"]

    def test_the_same_id_twice_in_a_batch_is_one_job(self, rig: Rig) -> None:
        rig.needs("looks_up")
        job, other = rig.job(), rig.job()
        assert [(r.id, r.created) for r in rig.broker.publish([job, other, job])] == [(job.id, True), (other.id, True), (job.id, False)]
        assert len(rig.take(rig.worker())) == 2

    def test_a_batch_of_old_and_new_stores_the_new(self, rig: Rig) -> None:
        rig.needs("looks_up")
        old = [rig.job() for _ in range(10)]
        rig.broker.publish(old)
        new = [rig.job() for _ in range(10)]
        mixed = [job for pair in zip(old, new, strict=True) for job in pair]
        assert [r.created for r in rig.broker.publish(mixed)] == [False, True] * 10
        assert len(rig.take(rig.worker())) == 20

    def test_a_known_id_is_recognised_while_it_runs(self, rig: Rig) -> None:
        rig.needs("looks_up")
        job = rig.job()
        rig.broker.publish([job])
        worker = rig.worker()
        rig.take(worker)
        assert not rig.broker.publish([job])[0].created
        assert rig.take(worker) == []

    @pytest.mark.parametrize("outcome", [None, Dead("failed")], ids=["succeeded", "dead"])
    def test_a_known_id_is_recognised_after_it_ended(self, rig: Rig, outcome: Dead | None) -> None:
        rig.needs("looks_up")
        job = rig.job()
        rig.broker.publish([job])
        worker = rig.worker()
        rig.run(worker, outcome)
        assert not rig.broker.publish([job])[0].created
        assert rig.take(worker) == []

    @pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 4096, 65_536, 5_000_000])
    def test_bodies_of_any_size(self, rig: Rig, size: int) -> None:
        body = bytes(i % 251 for i in range(min(size, 997))) * (size // 997 + 1)
        rig.put(body=body[:size])
        worker = rig.worker()
        (delivery,) = rig.take(worker)
        assert delivery.envelope.body == body[:size]
        assert rig.settle(worker, [delivery]) == ["ok"]

    def test_bodies_of_every_byte(self, rig: Rig) -> None:
        bodies = [bytes([byte]) for byte in range(256)] + [bytes(range(256))]
        rig.broker.publish([rig.job(body=body) for body in bodies])
        assert sorted(d.envelope.body for d in rig.take(rig.worker())) == sorted(bodies)

    def test_names_of_every_character(self, rig: Rig) -> None:
        for name in ("a", "A-b_c.d:9", ".", "..", "-", "x" * 128):
            rig.put(queue=name, task=name)
            (delivery,) = rig.take(rig.worker(), queues=(name,))
            assert (delivery.envelope.queue, delivery.envelope.task) == (name, name)

    def test_keys_and_headers_of_any_text(self, rig: Rig) -> None:
        for text in ("'\"; --", "\x00", "%s {} \\", "日本語 😀", "x" * 512):
            key = text if rig.harness.looks_up else None
            rig.put(key=key, headers={"h": text, text: "v"})
            (delivery,) = rig.take(rig.worker())
            assert (delivery.envelope.key, delivery.envelope.headers) == (key, {"h": text, text: "v"})

    def test_a_batch_is_seen_whole_or_not_at_all(self, rig: Rig) -> None:
        rig.needs("atomic")
        other, stop, seen = rig.client(), threading.Event(), set[int]()

        def watch() -> None:
            while not stop.is_set():
                seen.add(other.broker.counts(["default"])["default"].ready)

        watching = Aside(watch)
        for _ in range(10):
            rig.put(100)
        stop.set()
        watching.answer()
        assert {n % 100 for n in seen} <= {0}

    def test_an_impossible_envelope_takes_its_batch_with_it(self, rig: Rig) -> None:
        """Where it is one: an engine that encodes nothing may take it."""
        jobs = [rig.job(), rig.job(headers={"h": object()}), rig.job()]
        try:
            rig.broker.publish(jobs)
        except Exception:
            assert rig.take(rig.worker()) == []

    def test_many_threads_may_publish(self, rig: Rig) -> None:
        for publishing in [Aside(lambda: [rig.put(5) for _ in range(10)]) for _ in range(8)]:
            publishing.answer()
        assert len(rig.take(rig.worker())) == 400

    def test_another_client_sees_what_was_published(self, rig: Rig) -> None:
        (id_,) = rig.put()
        assert [d.id for d in rig.take(rig.worker(rig.client()))] == [id_]
