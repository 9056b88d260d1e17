"""Dead letters of RabbitMQ alone: seen without being lost, put back, deleted; by one at a time."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from cli_rig import run
from mill import job, settle, worker
from pika import BasicProperties
from rabbit_field import channel, opened

from tidewheel.backends.rabbitmq import reading
from tidewheel.backends.rabbitmq.faults import LOCKED, reply_code
from tidewheel.contract import Backend, Consumer, DeadLetters, JobFilter
from tidewheel.core.job import Delivery
from tidewheel.core.outcome import Dead
from tidewheel.errors import BrokerFull, BrokerUnavailable
from tidewheel.testing.conformance.harness import Aside, eventually

DEAD = JobFilter(state="dead")


@pytest.fixture
def backend(url: str) -> Backend:
    backend = opened(url)
    yield backend
    backend.broker.close()


@pytest.fixture
def letters(backend: Backend) -> DeadLetters:
    assert backend.dead_letters is not None
    return backend.dead_letters


def take(consumer: Consumer, number: int, queue: str = "default") -> list[Delivery]:
    found: list[Delivery] = []
    eventually(lambda: len(found.extend(consumer.claim([queue], number, 1)) or found) >= number)
    return found


def kill(backend: Backend, number: int = 1, **fields: object) -> list[str]:
    """Publish jobs that die; their ids."""
    jobs = [job(**fields) for _ in range(number)]
    backend.broker.publish(jobs)
    consumer = worker(backend)
    queue = jobs[0].queue
    assert set(settle(consumer, take(consumer, number, queue), Dead("failed", b"error", "attempts"))) == {"ok"}
    consumer.close()
    return [j.id for j in jobs]


def dead(backend: Backend, queue: str = "default") -> int:
    return backend.broker.counts([queue])[queue].dead


class TestLooking:
    def test_everything_is_told_and_stays(self, backend: Backend, letters: DeadLetters) -> None:
        (id_,) = kill(backend, headers={"a": "b"}, priority=4, body=b"b")
        for _ in range(3):
            (view,) = letters.jobs(DEAD)
            assert (view.id, view.state, view.task, view.queue, view.priority) == (id_, "dead", "tests.noop", "default", 4)
            assert (view.reason, view.error, view.attempts, view.deliveries) == ("failed", b"error", 1, 1)
            assert (view.body, view.headers) == (b"b", {"a": "b"})
            assert [entry.event for entry in view.history] == ["dead"]
            assert dead(backend) == 1, "given back before the call returns"

    def test_none(self, backend: Backend, letters: DeadLetters) -> None:
        assert letters.jobs(DEAD) == []
        backend.broker.publish([job()])
        assert letters.jobs(DEAD) == []
        assert letters.jobs(JobFilter(queue="nowhere")) == []
        assert letters.jobs(JobFilter(state="ready")) == []

    def test_filters_and_pages(self, backend: Backend, letters: DeadLetters) -> None:
        ids = kill(backend, 30)
        other, task = kill(backend, queue="other"), kill(backend, task="tests.other")
        assert {v.id for v in letters.jobs(DEAD)} == {*ids, *other, *task}
        assert [v.id for v in letters.jobs(JobFilter(queue="other"))] == other
        assert [v.id for v in letters.jobs(JobFilter(task="tests.other"))] == task
        assert [v.id for v in letters.jobs(JobFilter(ids=(ids[3], "unknown")))] == [ids[3]]
        pages, before = [], None
        while page := letters.jobs(JobFilter(task="tests.noop"), 7, before):
            pages.append([v.id for v in page])
            before = page[-1].id
        assert [len(p) for p in pages] == [7, 7, 7, 7, 3]
        assert [id_ for p in pages for id_ in p] == sorted(ids + other, reverse=True)

    def test_more_than_one_consumer_may_hold(self, backend: Backend, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "MOST", 10)
        ids = kill(backend, 35)
        assert {v.id for v in letters.jobs(DEAD)} == set(ids)
        assert dead(backend) == 35

    def test_a_page_of_many_is_the_newest(self, backend: Backend, letters: DeadLetters) -> None:
        ids = kill(backend, 2500)
        assert [v.id for v in letters.jobs(DEAD, 10)] == sorted(ids, reverse=True)[:10]
        assert dead(backend) == 2500

    def test_a_look_does_not_make_them_live_longer(
        self, url: str, backend: Backend, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reading, "SILENCE", 1.0)
        name = backend.broker._store.names.dead("default")  # type: ignore[attr-defined]
        with channel(url) as ch:
            ch.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum", "x-message-ttl": 3000})
        kill(backend)
        began = time.monotonic()

        def looked_in_vain() -> bool:
            return not letters.jobs(DEAD)

        eventually(looked_in_vain, within=25)
        assert time.monotonic() - began > 2

    def test_what_the_server_put_there_itself(self, url: str, backend: Backend, letters: DeadLetters) -> None:
        """As it does with a message that was handed out a hundred times."""
        (published,) = backend.broker.publish([job(body=b"b")])
        name = backend.broker._store.names.jobs("default", "normal")  # type: ignore[attr-defined]
        before = time.time()
        with channel(url) as ch:
            method, _, _ = eventually(lambda: (got := ch.basic_get(name))[0] and got)
            ch.basic_reject(method.delivery_tag, requeue=False)
        eventually(lambda: dead(backend) == 1)
        (view,) = letters.jobs(DEAD)
        assert (view.id, view.task, view.queue, view.reason, view.body) == (published.id, "tests.noop", "default", "poison", b"b")
        assert view.finished is not None
        assert before - 2 < view.finished < time.time() + 2
        assert letters.revive([published.id]) == [True]
        consumer = worker(backend)
        assert [d.id for d in take(consumer, 1)] == [published.id]
        consumer.close()

    def test_what_somebody_else_put_among_the_jobs(self, url: str, backend: Backend, letters: DeadLetters) -> None:
        """It ends there, and the worker goes on: none of it may end its connection, or it would come again and again."""
        name = backend.broker._store.names.jobs("default", "normal")  # type: ignore[attr-defined]
        backend.broker.publish([job()])
        strange: list[dict[str, Any]] = [
            {}, {"message_id": "a", "type": "t"}, {"message_id": "a", "type": "t", "headers": {}}, {"message_id": b"\xff" * 200},
            {"message_id": "é" * 100, "type": "é" * 127}, {"headers": {"é": [1, {"b": True}]}}, {"timestamp": 2**63},
        ]  # fmt: skip
        ours = ["{", "[]", "{}", '{"published":-1,"queue":"q"}', '{"published":1e300,"queue":"q"}', '{"published":"1","queue":"q"}']
        ours += ['{"published":1,"queue":""}', '{"published":1,"queue":"%s"}' % ("q" * 129), '{"published":1,"queue":"\u00e9"}', "\0"]
        strange += [{"message_id": "m", "type": "t", "headers": {"tidewheel": text}} for text in [*ours, 7, True]]
        with channel(url) as ch:
            ch.confirm_delivery()
            for fields in strange:
                ch.basic_publish("", name, b"body", BasicProperties(**fields))
        (published,) = backend.broker.publish([job()])
        consumer = worker(backend)
        found = take(consumer, 2)
        assert found[1].id == published.id
        assert settle(consumer, found) == ["ok", "ok"]
        eventually(lambda: dead(backend) == len(strange))
        assert {(v.reason, v.body) for v in letters.jobs(DEAD)} == {("undecodable", b"body")}
        assert not consumer.beat().lost
        consumer.close()

    def test_what_somebody_else_put_there(self, url: str, backend: Backend, letters: DeadLetters) -> None:
        (id_,) = kill(backend)
        name = backend.broker._store.names.dead("default")  # type: ignore[attr-defined]
        with channel(url) as ch:
            ch.confirm_delivery()
            ch.basic_publish("", name, b"one")
            ch.basic_publish("", name, b"two", BasicProperties(content_type="application/vnd.tidewheel.dead+msgpack"))
        assert dead(backend) == 3
        assert sorted((v.id, v.reason, v.body) for v in letters.jobs(DEAD)) == sorted(
            [(id_, "failed", b"body"), ("unknown", "undecodable", b"one"), ("unknown", "undecodable", b"two")]
        )
        assert letters.bury(["unknown"]) == [True]
        assert [v.id for v in letters.jobs(DEAD)] == [id_]


class TestPuttingBack:
    def test_it_runs_again_as_if_it_were_new(self, backend: Backend, letters: DeadLetters) -> None:
        first, second, third = kill(backend, 3, headers={"a": "b"}, lifetime=1.0, priority=-3)
        assert letters.revive([second, "unknown", first, second]) == [True, False, True, False]
        assert [v.id for v in letters.jobs(DEAD)] == [third]
        eventually(lambda: backend.broker.counts(["default"])["default"].ready == 2)
        consumer = worker(backend)
        found = take(consumer, 2)
        assert {d.id for d in found} == {first, second}
        for d in found:
            assert (d.attempts, d.strikes, d.losses) == (0, 0, 0)
            assert (d.envelope.headers, d.envelope.priority, d.envelope.body) == ({"a": "b"}, -3, b"body")
            assert d.envelope.expires is None, "or it would be too late already"
        assert settle(consumer, found) == ["ok", "ok"]
        consumer.close()

    def test_of_all_queues(self, backend: Backend, letters: DeadLetters) -> None:
        ids = [*kill(backend), *kill(backend, queue="other")]
        assert letters.revive(ids) == [True, True]
        counts = backend.broker.counts(["default", "other"])
        assert [(c.ready, c.dead) for c in counts.values()] == [(1, 0), (1, 0)]

    def test_one_that_died_twice_is_one_job(self, backend: Backend, letters: DeadLetters) -> None:
        """Who dies between the dead letter and the acknowledgement leaves both."""
        again = job()
        for reason in ("first", "last"):
            backend.broker.publish([again])
            consumer = worker(backend)
            settle(consumer, take(consumer, 1), Dead(reason))
            consumer.close()
        assert dead(backend) == 2
        assert [(v.id, v.reason) for v in letters.jobs(DEAD)] == [(again.id, "last")]
        assert letters.revive([again.id]) == [True]
        count = backend.broker.counts(["default"])["default"]
        assert (count.ready, count.dead) == (1, 0)

    def test_thousands(self, backend: Backend, letters: DeadLetters) -> None:
        ids = kill(backend, 3000)
        assert letters.revive(ids) == [True] * 3000
        count = backend.broker.counts(["default"])["default"]
        assert (count.ready, count.dead) == (3000, 0)

    def test_what_cannot_be_published_stays(self, backend: Backend, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch) -> None:
        ids = kill(backend, 2)
        store = backend.broker._store  # type: ignore[attr-defined]

        def refuse(*_: object) -> None:
            raise BrokerFull("an alarm")

        monkeypatch.setattr(store, "publish", refuse)
        with pytest.raises(BrokerFull):
            letters.revive(ids)
        assert {v.id for v in letters.jobs(DEAD)} == set(ids)

    def test_who_dies_after_publishing_leaves_both(self, backend: Backend, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch) -> None:
        (id_,) = kill(backend)

        def die(session: reading.Reading, *_: object) -> None:
            session._link.drop()
            eventually(lambda: session._link.error)
            raise BrokerUnavailable("died")

        monkeypatch.setattr(reading.Reading, "_release", die)
        with pytest.raises(BrokerUnavailable):
            letters.revive([id_])
        eventually(lambda: dead(backend) == 1)
        assert backend.broker.counts(["default"])["default"].ready == 1


class TestDeleting:
    def test_they_are_gone(self, backend: Backend, letters: DeadLetters) -> None:
        first, second = kill(backend, 2)
        assert letters.bury([first, "unknown"]) == [True, False]
        assert [v.id for v in letters.jobs(DEAD)] == [second]
        assert letters.bury([first]) == [False]
        assert letters.bury([]) == []
        assert backend.broker.counts(["default"])["default"].ready == 0


class TestTurns:
    def test_who_looks_meanwhile_waits_and_sees_everything(self, url: str, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        refused: list[int] = []
        monkeypatch.setattr(reading, "reply_code", lambda error: refused.append(reply_code(error)) or reply_code(error))
        ids = kill(backend, 20)
        others = [opened(url) for _ in range(2)]
        with reading.reading(backend.broker._store) as session, session.hold("default", lambda *_: None):  # type: ignore[attr-defined]
            assert dead(backend) == 0, "they are with us"
            looking = [Aside(other.dead_letters.jobs, DEAD) for other in others]  # type: ignore[union-attr]
            eventually(lambda: refused.count(LOCKED) > 2)
        for aside in looking:
            assert {v.id for v in aside.answer(within=20)} == set(ids)
        for other in others:
            other.broker.close()

    @pytest.mark.parametrize("every", [1, 2])
    def test_each_letter_is_revived_by_one(self, url: str, backend: Backend, every: int) -> None:
        """Although the server forgets acknowledgements of a channel that ends while there are more than 32 of them."""
        all_ids = kill(backend, 200)
        ids = all_ids[::every]
        others = [opened(url) for _ in range(3)]
        asides = [Aside(other.dead_letters.revive, ids) for other in others]  # type: ignore[union-attr]
        answers = [aside.answer(within=30) for aside in asides]
        assert [sum(a) for a in zip(*answers, strict=True)] == [1] * len(ids)
        count = backend.broker.counts(["default"])["default"]
        assert (count.ready, count.dead) == (len(ids), 200 - len(ids))
        for other in others:
            other.broker.close()

    def test_nobody_waits_for_ever(self, url: str, backend: Backend, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "TURN", 0.3)
        with reading.reading(backend.broker._store):  # type: ignore[attr-defined]
            with pytest.raises(BrokerUnavailable, match="somebody else"):
                letters.jobs(DEAD)
        assert letters.jobs(DEAD) == []

    def test_new_ones_meanwhile_are_not_lost(self, backend: Backend, letters: DeadLetters) -> None:
        ids = kill(backend, 50)
        stop = threading.Event()
        looks: list[int] = []

        def look() -> None:
            while not stop.is_set():
                looks.append(len(letters.jobs(DEAD, 1000)))

        looking = Aside(look)
        for _ in range(5):
            ids += kill(backend, 10)
        stop.set()
        looking.answer(within=30)
        assert looks
        assert {v.id for v in letters.jobs(DEAD, 1000)} == set(ids)
        assert min(looks) >= 50, "no look misses what was there before it"


class TestCommands:
    """What a person does, without a store."""

    def test_look_and_retry(self, url: str, backend: Backend) -> None:
        first, second = kill(backend), kill(backend, queue="other")
        listed = json.loads(run("-b", url, "dead", "list", "-o", "json").stdout)
        assert [(i["id"], i["queue"], i["reason"]) for i in listed] == [(second[0], "other", "failed"), (first[0], "default", "failed")]
        shown = json.loads(run("-b", url, "dead", "show", first[0], "-o", "json").stdout)
        assert (shown["id"], shown["state"], shown["attempts"]) == (first[0], "dead", 1)
        assert "no dead job" in run("-b", url, "dead", "show", "unknown", code=3).stderr
        assert "back in its queue" in run("-b", url, "retry", *first).stdout
        assert "no such dead job" in run("-b", url, "retry", *first, code=3).stdout
        assert backend.broker.counts(["default"])["default"].ready == 1

    def test_all(self, url: str, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tidewheel.cli.job.LETTERS", 4)
        ids = kill(backend, 10)
        (other,) = kill(backend, task="tests.other")
        assert set(run("-b", url, "retry", "--all", "--task", "tests.noop", "-q").stdout.split()) == set(ids)
        assert "deleted" in run("-b", url, "dead", "delete", "--all", "-y").stdout
        assert "no dead jobs" in run("-b", url, "dead").stderr
        assert other not in run("-b", url, "retry", "--all").stdout

    def test_what_it_still_cannot_do_is_said(self, url: str, backend: Backend) -> None:
        cannot = json.loads(run("-b", url, "status", "-o", "json").stdout)["broker"]["cannot"]
        assert cannot == ["keep results", "cancel jobs", "list jobs that are not dead"]
        assert "alone cannot list jobs" in run("-b", url, "jobs", code=1).stderr
        kill(backend)
        findings = json.loads(run("-b", url, "doctor", "-o", "json").stdout)["findings"]
        (finding,) = [f for f in findings if f["check"] == "dead jobs"]
        assert "tidewheel dead shows why" in finding["fix"]
