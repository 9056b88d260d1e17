"""Idempotency keys: one job per key and queue, while it lives and for a while after."""

from __future__ import annotations

import pytest

from tidewheel.core.outcome import Again, Cancelled, Dead, Succeeded
from tidewheel.testing.conformance.harness import Aside, Rig


class TestKeys:
    @pytest.fixture(autouse=True)
    def _only_where_keys_are(self, rig: Rig) -> None:
        rig.needs("looks_up")

    def test_a_taken_key_answers_with_its_holder(self, rig: Rig) -> None:
        (holder,) = rig.put(key="k")
        job = rig.job(key="k")
        (receipt,) = rig.broker.publish([job])
        assert (receipt.id, receipt.created) == (holder, False)
        assert [d.id for d in rig.take(rig.worker())] == [holder]
        assert rig.results.records([job.id]) == {}

    def test_each_queue_has_its_own(self, rig: Rig) -> None:
        rig.put(key="k")
        rig.put(key="k", queue="other")
        assert len(rig.take(rig.worker(), queues=("default", "other"))) == 2

    def test_no_key_is_no_key(self, rig: Rig) -> None:
        rig.put(2)
        rig.put(2, key=None)
        assert len(rig.take(rig.worker())) == 4

    def test_the_same_key_twice_in_a_batch(self, rig: Rig) -> None:
        first, second, other = rig.job(key="k"), rig.job(key="k"), rig.job()
        assert [(r.id, r.created) for r in rig.broker.publish([first, second, other])] == [
            (first.id, True), (first.id, False), (other.id, True),
        ]  # fmt: skip

    def test_a_known_id_counts_more_than_a_taken_key(self, rig: Rig) -> None:
        (first,) = rig.put(key="k")
        (second,) = rig.put(key="l")
        (receipt,) = rig.broker.publish([rig.job(id=second, key="k")])
        assert (receipt.id, receipt.created) == (second, False)
        assert first != second

    def test_it_is_taken_while_the_job_is_delayed_runs_or_waits_for_its_retry(self, rig: Rig) -> None:
        (holder,) = rig.put(key="k", delay=rig.tick)
        worker = rig.worker()
        assert rig.broker.publish([rig.job(key="k")])[0].id == holder
        rig.pass_time(1.1)
        deliveries = rig.take(worker)
        assert rig.broker.publish([rig.job(key="k")])[0].id == holder
        rig.settle(worker, deliveries, Again("retry", rig.tick, "attempts"))
        assert rig.broker.publish([rig.job(key="k")])[0].id == holder

    @pytest.mark.parametrize("outcome", [Succeeded(ttl=0.0), Dead("failed"), Cancelled()], ids=["succeeded", "dead", "cancelled"])
    def test_it_is_free_when_its_window_is_over(self, rig: Rig, outcome: Succeeded | Dead | Cancelled) -> None:
        (holder,) = rig.put(key="k", key_window=3 * rig.tick)
        rig.run(rig.worker(), outcome)
        rig.pass_time(2)
        assert rig.broker.publish([rig.job(key="k")])[0].id == holder
        rig.pass_time(1.2)
        job = rig.job(key="k")
        assert (rig.broker.publish([job])[0].id, len(rig.take(rig.worker()))) == (job.id, 1)
        assert rig.broker.publish([rig.job(key="k")])[0].id == job.id

    @pytest.mark.parametrize("outcome", [Succeeded(b"v", ttl=10.0), Cancelled(ttl=10.0)], ids=["succeeded", "cancelled"])
    def test_a_window_can_be_longer_than_the_result_is_kept(self, rig: Rig, outcome: Succeeded | Cancelled) -> None:
        (holder,) = rig.put(key="k", key_window=1000.0)
        rig.run(rig.worker(), outcome)
        rig.look_ahead(900)
        rig.broker.sweep()
        assert rig.results.records([holder]) == {}
        assert rig.broker.publish([rig.job(key="k")])[0].id == holder

    def test_no_window_at_all(self, rig: Rig) -> None:
        rig.put(key="k", key_window=0.0)
        rig.run(rig.worker())
        assert rig.broker.publish([rig.job(key="k")])[0].created

    def test_a_purged_job_gives_its_key_back(self, rig: Rig) -> None:
        rig.put(key="k")
        rig.broker.purge("default")
        assert rig.broker.publish([rig.job(key="k")])[0].created

    def test_a_revived_job_lives_beside_a_new_holder(self, rig: Rig) -> None:
        (old,) = rig.put(key="k", key_window=0.0)
        rig.run(rig.worker(), Dead("failed"))
        (new,) = rig.put(key="k")
        assert list(rig.control.revive([old])) == [True]
        assert sorted(d.id for d in rig.take(rig.worker())) == sorted([old, new])

    def test_many_clients_at_once_make_one_job(self, rig: Rig) -> None:
        clients = [rig.client() for _ in range(4)]
        for n in range(10):
            asides = [Aside(client.broker.publish, [rig.job(key=f"k{n}")]) for client in clients]
            receipts = [aside.answer()[0] for aside in asides]
            assert len({r.id for r in receipts}) == 1
            assert [r.created for r in receipts].count(True) == 1
        assert len(rig.take(rig.worker())) == 10
