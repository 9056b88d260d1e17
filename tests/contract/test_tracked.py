"""The contract, kept by a carrier that cannot look jobs up and a keeper that knows them; and what holds only there."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from carrier import Post
from msgspec.structs import replace
from pair import Pair
from test_memory import MemoryHarness
from test_sqlite import SQLiteHarness
from tracked_harness import TrackedHarness

from tidewheel import backends
from tidewheel.backends import memory
from tidewheel.backends.memory import wire
from tidewheel.backends.memory.store import Store
from tidewheel.backends.tracked import tracked
from tidewheel.backends.tracked.broker import Broker as TrackedBroker
from tidewheel.backends.tracked.naming import Naming
from tidewheel.contract import Backend, JobFilter, WorkerInfo
from tidewheel.core.outcome import Again, Cancelled, Dead
from tidewheel.errors import BrokerFull, BrokerUnavailable, ConfigurationError, MissingRole, PublishUnknown
from tidewheel.testing.conformance import *  # noqa: F403
from tidewheel.testing.conformance import Harness


@pytest.fixture(params=["memory", "sqlite"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Harness:
    """By keeper."""
    return TrackedHarness(MemoryHarness() if request.param == "memory" else SQLiteHarness(tmp_path))


class TestPublishingToBoth:
    def test_the_carrier_has_the_message_and_the_keeper_the_row(self, pair: Pair) -> None:
        ids = pair.rig.put(3)
        assert sorted(pair.post.waiting()) == sorted(pair.jobs.jobs) == ids

    @pytest.mark.parametrize("error", [BrokerFull("disk alarm"), BrokerUnavailable("no"), ConfigurationError("too long")], ids=type)
    def test_what_the_carrier_refuses_leaves_nothing(self, pair: Pair, error: Exception) -> None:
        (before,) = pair.rig.put()
        pair.carrier.fail("publish", error=error)
        jobs = [pair.rig.job(key="k"), pair.rig.job(delay=60)]
        with pytest.raises(type(error)):
            pair.rig.broker.publish(jobs)
        assert list(pair.jobs.jobs) == [before]
        assert [r.created for r in pair.rig.broker.publish(jobs)] == [True, True]

    def test_what_was_there_before_is_not_withdrawn(self, pair: Pair) -> None:
        job, new = pair.rig.job(), pair.rig.job()
        pair.rig.broker.publish([job])
        pair.carrier.fail("publish")
        with pytest.raises(BrokerUnavailable):
            pair.rig.broker.publish([job, new])
        assert [d.id for d in pair.taken()] == [job.id]
        assert pair.state(new.id) is None

    def test_if_it_cannot_be_withdrawn_nobody_says_that_nothing_was_stored(self, pair: Pair) -> None:
        pair.carrier.fail("publish", error=BrokerFull("disk alarm"))
        pair.keeper.fail("withdraw")
        job = pair.rig.job()
        with pytest.raises(PublishUnknown, match="disk alarm; and then withdraw failed") as caught:
            pair.rig.broker.publish([job])
        assert caught.value.ids == (job.id,)

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_publication_of_which_nobody_knows_can_be_repeated(self, pair: Pair, when: str) -> None:
        job = pair.rig.job()
        pair.carrier.fail("publish", when, PublishUnknown("no confirmation", (job.id,)))
        with pytest.raises(PublishUnknown):
            pair.rig.broker.publish([job])
        assert not pair.rig.broker.publish([job])[0].created
        worker = pair.rig.worker()
        assert pair.rig.run(worker) == [job.id]
        assert pair.rig.take(worker) == []
        pair.ahead += 60
        assert pair.rig.take(worker) == []
        assert pair.post.waiting() == []

    def test_and_if_nobody_does_its_message_is_sent_after_all(self, pair: Pair) -> None:
        job = pair.rig.job()
        pair.carrier.fail("publish", error=PublishUnknown("no confirmation", (job.id,)))
        with pytest.raises(PublishUnknown):
            pair.rig.broker.publish([job])
        pair.until_missed()
        assert [d.id for d in pair.taken()] == [job.id]

    def test_when_the_keeper_does_not_answer_the_carrier_gets_nothing(self, pair: Pair) -> None:
        pair.keeper.fail("publish", "after", PublishUnknown("no answer", ()))
        job = pair.rig.job()
        with pytest.raises(PublishUnknown):
            pair.rig.broker.publish([job])
        assert pair.post.waiting() == []
        pair.rig.broker.publish([job])
        assert [d.id for d in pair.taken()] == [job.id]

    def test_a_known_job_that_runs_or_has_ended_gets_no_second_message(self, pair: Pair) -> None:
        running, ended = pair.rig.job(), pair.rig.job()
        pair.rig.broker.publish([running, ended])
        worker = pair.rig.worker()
        pair.rig.settle(worker, pair.rig.take(worker)[1:])
        pair.rig.broker.publish([running, ended])
        assert pair.post.waiting() == []

    def test_whose_key_is_taken_gets_no_message(self, pair: Pair) -> None:
        (holder,) = pair.rig.put(key="k")
        assert pair.rig.broker.publish([pair.rig.job(key="k")])[0].id == holder
        assert pair.post.waiting() == [holder]

    def test_of_twins_the_first_is_sent(self, pair: Pair) -> None:
        job = pair.rig.job(body=b"first")
        pair.rig.broker.publish([job, replace(job, body=b"second")])
        pair.jobs.jobs.clear()  # so that only the message tells
        assert [d.envelope.body for d in pair.taken()] == [b"first"]


class TestMissingMessages:
    def test_they_are_sent_again(self, pair: Pair) -> None:
        job = pair.rig.job(body=b"b", priority=4, headers={"a": "b"}, key="k", lifetime=500.0)
        pair.rig.broker.publish([job])
        pair.post.lose()
        assert pair.taken() == []
        pair.until_missed()
        assert pair.post.waiting() == [job.id]
        (delivery,) = pair.taken()
        for field in ("id", "task", "body", "queue", "priority", "headers", "key"):
            assert getattr(delivery.envelope, field) == getattr(job, field), field
        assert delivery.envelope.expires == pytest.approx(delivery.published + 500, abs=1)

    def test_not_at_once(self, pair: Pair) -> None:
        pair.rig.put()
        pair.post.lose()
        pair.ahead += 29
        pair.rig.broker.sweep()
        assert pair.post.waiting() == []

    def test_a_delayed_job_is_missed_after_it_was_due(self, pair: Pair) -> None:
        pair.rig.put(delay=100.0)
        pair.post.lose()
        pair.until_missed()
        pair.ahead += 80
        pair.rig.broker.sweep()
        assert pair.post.waiting() == []
        pair.until_missed()
        assert len(pair.taken()) == 1

    def test_what_only_waits_for_its_turn_is_not_missed(self, pair: Pair) -> None:
        ids = pair.rig.put(5)
        pair.until_missed()
        assert pair.post.waiting() == ids

    def test_a_backlog_elsewhere_hides_nothing(self, pair: Pair) -> None:
        (lost,) = pair.rig.put(queue="a")
        pair.post.lose()
        (there,) = pair.rig.put(queue="b")
        pair.until_missed()
        assert pair.post.waiting() == [there, lost]

    def test_what_runs_is_not_missed(self, pair: Pair) -> None:
        pair.rig.put()
        pair.taken()
        pair.until_missed()
        assert pair.post.waiting() == []

    def test_each_time_it_takes_longer(self, pair: Pair) -> None:
        (id_,) = pair.rig.put()
        sent = []
        for second in range(0, 1000, 10):
            pair.post.lose()
            pair.rig.broker.sweep()
            if pair.post.waiting() == [id_]:
                sent.append(second)
            pair.ahead += 10
        assert [round((b - a) / 60) for a, b in itertools.pairwise(sent)] == [1, 2, 4, 8]

    def test_thousands(self, pair: Pair) -> None:
        ids = pair.rig.put(12_000)
        pair.post.lose()
        pair.until_missed()
        worker, found = pair.rig.worker(), list[str]()
        while taken := pair.rig.run(worker, limit=10_000):
            found += taken
            pair.rig.broker.sweep()
        assert sorted(found) == sorted(ids)

    def test_one_process_sends_for_all(self, pair: Pair) -> None:
        others = [pair.rig, *(pair.other_app("post") for _ in range(3))]
        for other in others:
            other.worker(queues=("default",))
        (id_,) = pair.rig.put()
        pair.post.lose()
        pair.ahead += 31
        for other in others:
            other.broker.sweep()
            pair.ahead += 0.01
        assert pair.post.waiting() == [id_]
        for other in others[1:]:
            other.close()

    def test_the_other_carriers_jobs_are_none_of_ours(self, pair: Pair) -> None:
        other = pair.other_app("elsewhere", Post(pair.clock))
        other.put()
        pair.until_missed()
        assert pair.post.waiting() == []

    def test_when_the_keeper_lost_its_data_the_message_is_enough(self, pair: Pair) -> None:
        (id_,) = pair.rig.put(body=b"b", queue="q", key="k")
        worker = pair.rig.worker()
        (first,) = pair.rig.take(worker, queues=("q",))
        pair.rig.settle(worker, [first], Again("retry", counted="attempts"))
        pair.jobs.jobs.clear()
        (delivery,) = pair.taken("q")
        assert (delivery.id, delivery.envelope, delivery.attempts, delivery.deliveries) == (id_, first.envelope, 1, 2)


class TestSecondMessages:
    def test_behind_those_that_are_not_to_run_are_others(self, pair: Pair) -> None:
        """Who finds nothing takes the queue for empty."""
        ids = pair.rig.put(3)
        pair.rig.control.cancel(ids)
        (last,) = pair.rig.put()
        assert [d.id for d in pair.rig.take(pair.rig.worker(), limit=1)] == [last]

    def test_it_waits_while_the_job_runs_and_is_dropped_afterwards(self, pair: Pair) -> None:
        job = pair.rig.job()
        pair.rig.broker.publish([job])
        pair.rig.broker.publish([job])
        assert pair.post.waiting() == [job.id, job.id]
        worker = pair.rig.worker()
        deliveries = pair.rig.take(worker)
        assert [d.id for d in deliveries] == [job.id]
        for _ in range(3):
            pair.ahead += 11
            assert pair.taken() == []
            assert len(pair.post.waiting()) == 1
        assert pair.rig.settle(worker, deliveries) == ["ok"]
        pair.ahead += 11
        assert pair.taken() == []
        assert pair.post.waiting() == []

    @pytest.mark.parametrize("outcome", [None, Dead("failed"), Cancelled()])
    def test_an_ended_job_s_message_goes_away(self, pair: Pair, outcome: Dead | None) -> None:
        job = pair.rig.job()
        pair.rig.broker.publish([job])
        pair.rig.broker.publish([job])
        worker = pair.rig.worker()
        pair.rig.run(worker, outcome, limit=1)
        assert pair.rig.take(worker) == []
        assert not pair.post.store.jobs or all(j.state == "succeeded" for j in pair.post.store.jobs.values())


class TestMessagesThatMustNotRun:
    def test_a_job_cancelled_long_before_it_is_due(self, pair: Pair) -> None:
        (id_,) = pair.rig.put(delay=86_400.0)
        pair.rig.control.cancel([id_])
        pair.ahead += 2 * 3600
        pair.rig.broker.sweep()
        assert pair.state(id_) is None
        pair.ahead += 86_400
        assert pair.taken() == []
        assert pair.post.waiting() == []

    def test_a_job_cancelled_while_no_worker_was_there(self, pair: Pair) -> None:
        (id_,) = pair.rig.put()
        pair.rig.control.cancel([id_])
        pair.ahead += 10 * 86_400
        pair.rig.broker.sweep()
        assert pair.taken() == []

    @pytest.mark.parametrize("delay", [10.0, 86_400.0])
    def test_a_purged_job_that_was_not_due(self, pair: Pair, delay: float) -> None:
        pair.rig.put(delay=delay)
        assert pair.rig.broker.purge("default") == 1
        pair.ahead += delay + 1
        pair.rig.broker.sweep()
        assert pair.taken() == []

    def test_a_purge_reaches_both(self, pair: Pair) -> None:
        pair.rig.put(3)
        (other,) = pair.rig.put(queue="other")
        assert pair.rig.broker.purge("default") == 3
        assert pair.post.waiting() == [other]

    def test_others_are_not_looked_for(self, pair: Pair) -> None:
        """An old message of a job that is unknown, and was never cancelled, runs."""
        (id_,) = pair.rig.put()
        pair.jobs.jobs.clear()
        pair.ahead += 86_400
        assert [d.id for d in pair.taken()] == [id_]


class TestNames:
    def test_who_has_the_keeper_as_broker_sees_none_of_it(self, pair: Pair) -> None:
        alone = wire(pair.jobs)
        pair.rig.put(2)
        assert alone.broker.consumer(WorkerInfo(id="w", name="w")).claim(["default"], 10, 0) == []
        assert alone.broker.purge("default") == 0

    def test_and_the_pair_sees_nothing_of_theirs(self, pair: Pair) -> None:
        alone = wire(pair.jobs)
        alone.broker.publish([pair.rig.job(), pair.rig.job(queue="theirs")])
        alone.broker.consumer(WorkerInfo(id="w", name="theirs", queues=("default",)))
        ours = pair.rig.put(3)
        pair.rig.worker(queues=("default", "q"), name="ours")
        assert {q: c.ready for q, c in pair.rig.broker.counts().items()} == {"default": 3}
        assert [v.id for v in pair.rig.browse.jobs(JobFilter(), limit=2)] == sorted(ours, reverse=True)[:2]
        assert {v.queue for v in pair.rig.browse.jobs(JobFilter())} == {"default"}
        (theirs,) = alone.broker.publish([pair.rig.job()])
        assert pair.rig.browse.job(theirs.id) is None
        assert [(w.name, w.queues) for w in pair.rig.browse.workers()] == [("ours", ("default", "q"))]
        assert pair.taken("theirs") == []

    def test_two_carriers_with_one_keeper(self, pair: Pair) -> None:
        other = pair.other_app("elsewhere", Post(pair.clock))
        (ours,), (theirs,) = pair.rig.put(key="k"), other.put(key="k")
        assert [d.id for d in pair.taken()] == [ours]
        assert [d.id for d in other.take(other.worker())] == [theirs]
        other.close()


class TestRevivals:
    def test_a_revived_job_gets_a_message(self, pair: Pair) -> None:
        (id_,) = pair.rig.put()
        pair.rig.run(pair.rig.worker(), Dead("failed"))
        assert list(pair.rig.control.revive([id_])) == [True]
        assert pair.post.waiting() == [id_]

    def test_or_later_if_the_carrier_is_away(self, pair: Pair) -> None:
        (id_,) = pair.rig.put()
        pair.rig.run(pair.rig.worker(), Dead("failed"))
        pair.carrier.fail("publish")
        assert list(pair.rig.control.revive([id_])) == [True]
        assert pair.taken() == []
        pair.until_missed()
        assert [d.id for d in pair.taken()] == [id_]


def test_it_says_what_it_is(pair: Pair) -> None:
    described = pair.rig.broker.describe()
    assert (described.engine, described.level) == ("post", "volatile")
    assert described.durability == (
        "Messages are in memory. Each job is also kept in memory://: if one is lost, the other brings its jobs back."
    )
    assert described.results.startswith("memory:// (memory; volatile: ")


def test_not_every_engine_can_keep_jobs() -> None:
    with pytest.raises(MissingRole, match="use redis://, postgresql:// or sqlite:///"):
        tracked(Post(time.time).connect(), Backend(wire(Store()).broker), "post")


@pytest.mark.parametrize("keeper", ["memory://", "sqlite:///jobs.db", "redis://127.0.0.1", "postgresql://127.0.0.1/jobs"])
def test_a_carrier_with_results_elsewhere_is_tracked(keeper: str) -> None:
    backend = backends.connect("amqp://127.0.0.1", keeper)
    assert isinstance(backend.broker, TrackedBroker)
    assert backend.results is not None
    assert backend.control is not None
    assert backend.browse is not None


def test_it_is_a_carrier_that_is_tracked_whatever_else_it_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = wire(Store())
    for engine, is_tracked in (
        (Backend(whole.broker), False),
        (Backend(whole.broker, control=whole.control), False),
        (Backend(whole.broker, control=whole.control, carrier=whole.broker), True),
    ):
        monkeypatch.setattr(memory, "connect", lambda url, engine=engine: engine)
        assert isinstance(backends.connect("memory://", "sqlite:///jobs.db").broker, TrackedBroker) is is_tracked


@pytest.mark.parametrize(
    ("urls", "name"),
    [
        (("amqp://h", "amqps://u:p@other:5671/", "amqp://h/%2F", "amqp://h?heartbeat=5"), "rabbitmq"),
        (("amqp://h/shop", "amqp://other/shop?heartbeat=5"), "rabbitmq/shop"),
        (("amqp://h/shop?prefix=a", "amqp://h/shop?heartbeat=5&prefix=a"), "rabbitmq/shop?a"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_carrier_has_one_name_for_all_who_write_its_url(urls: tuple[str, ...], name: str) -> None:
    for url in urls:
        broker = backends.connect(url, "memory://").broker
        assert isinstance(broker, TrackedBroker)
        assert broker._pair.naming.inside("q") == f"{name}/q"


def test_a_name_that_begins_like_another_is_another() -> None:
    shop, all_ = Naming("rabbitmq/shop"), Naming("rabbitmq")
    assert (shop.outside(shop.inside("q")), all_.outside(shop.inside("q")), shop.outside(all_.inside("q"))) == ("q", None, None)
