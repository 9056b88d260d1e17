"""Connections that are cut or go silent, servers that die, alarms, queues that are deleted: what was confirmed is not lost, nobody hangs,
and all go on by themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest
from mill import Mill, job, settle, worker
from pika.exceptions import ChannelClosedByBroker
from proxy import Proxy
from rabbit_field import channel, opened
from rabbitmq_server import Server, free_port
from rig import until

from tidewheel import Tidewheel
from tidewheel.contract import Settlement
from tidewheel.core.job import Delivery
from tidewheel.core.limits import LOSS_LIMIT
from tidewheel.core.outcome import Again, Dead, Succeeded
from tidewheel.errors import BrokerFull, BrokerUnavailable, PublishUnknown
from tidewheel.testing.conformance.harness import eventually

pytestmark = pytest.mark.slow


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def through(proxy: Proxy, url: str, more: str = "") -> str:
    """The same server and prefix, by way of the proxy."""
    return f"amqp://guest:guest@127.0.0.1:{proxy.port}/?{url.split('?')[1]}{more}"


class TestPublishing:
    def test_nobody_is_there(self) -> None:
        app = Tidewheel(f"amqp://127.0.0.1:{free_port()}/")

        @app.task(name="tests.noop")
        def noop() -> None: ...

        with within(3), pytest.raises(BrokerUnavailable, match="is it running"):
            noop.delay()

    def test_a_connection_that_was_cut_meanwhile_is_replaced(self, proxy: Proxy, url: str) -> None:
        backend = opened(through(proxy, url))
        for _ in range(3):
            assert backend.broker.publish([job()])[0].created
            proxy.cut()
            eventually(lambda: backend.broker._store._publisher.lost)  # type: ignore[attr-defined]
        assert backend.broker.counts(["default"])["default"].ready == 3
        backend.broker.close()

    def test_an_answer_that_never_comes(self, proxy: Proxy, url: str) -> None:
        backend = opened(through(proxy, url, "&confirm_timeout=1&connect_timeout=1"))
        backend.broker.publish([job()])
        proxy.mode = "hole"
        with within(3), pytest.raises(PublishUnknown, match="publish the same ids again") as raised:
            backend.broker.publish([job(), job()])
        assert len(raised.value.ids) == 2
        with within(4), pytest.raises(BrokerUnavailable):
            backend.broker.publish([job()])
        proxy.mode = "pass"
        assert backend.broker.publish([job()])[0].created
        backend.broker.close()

    def test_an_answer_that_is_cut_off(self, proxy: Proxy, url: str) -> None:
        backend = opened(through(proxy, url))
        backend.broker.publish([job()])
        proxy.when(b"body", proxy.swallow_answer_and_cut)
        with within(3), pytest.raises(PublishUnknown):
            backend.broker.publish([job()])
        assert backend.broker.counts(["default"])["default"].ready == 2
        backend.broker.close()

    def test_the_queue_is_deleted_under_a_publisher(self, url: str) -> None:
        backend = opened(url)
        backend.broker.publish([job()])
        with channel(url) as ch:
            ch.queue_delete(backend.broker._store.names.jobs("default", "normal"))  # type: ignore[attr-defined]
        jobs = [job(priority=p) for p in (0, 5, 0)]
        assert [r.id for r in backend.broker.publish(jobs)] == [j.id for j in jobs]
        consumer = worker(backend)
        assert sorted(d.id for d in consumer.claim(["default"], 10, 0)) == sorted(j.id for j in jobs)
        consumer.close()
        backend.broker.close()

    def test_the_ladder_is_deleted_under_a_publisher(self, url: str) -> None:
        backend = opened(url)
        backend.broker.publish([job(delay=1.2)])
        with channel(url) as ch:
            ch.exchange_delete(backend.broker._store.names.delay(0))  # type: ignore[attr-defined]
        with pytest.raises((BrokerUnavailable, PublishUnknown)):
            backend.broker.publish([job(delay=1.2)])
        assert backend.broker.publish([job(delay=1.2)])[0].created
        backend.broker.close()

    def test_a_queue_that_is_full(self, server: Server, url: str) -> None:
        prefix = url.split("=")[1]
        server.ctl("set_policy", "tests", f"^{prefix}/full/normal$", '{"max-length": 5}', "--apply-to", "queues")
        backend = opened(url)
        try:
            with pytest.raises((BrokerFull, PublishUnknown)):
                for _ in range(50):
                    backend.broker.publish([job(queue="full")])
            with pytest.raises(BrokerFull, match="maximum length"):
                backend.broker.publish([job(queue="full")])
        finally:
            server.ctl("clear_policy", "tests")
        backend.broker.close()

    def test_a_queue_that_refuses_for_a_moment(self, server: Server, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever publishes neither sees it nor publishes anything twice. (It refuses also while it is being made.)"""
        prefix = url.split("=")[1]
        server.ctl("set_policy", "tests", f"^{prefix}/full/normal$", '{"max-length": 5}', "--apply-to", "queues")
        backend, consumer = opened(url), worker(opened(url))
        ended: list[str] = []

        def drain(seconds: float) -> None:
            claimed = consumer.claim(["full"], 100, 0.0)
            settle(consumer, claimed)
            ended.extend(d.id for d in claimed)
            time.sleep(seconds)  # what it stands in for; no server answers an acknowledgement, so nobody tells when there is room

        monkeypatch.setattr("tidewheel.backends.rabbitmq.store.time", SimpleNamespace(time=time.time, sleep=drain))
        try:
            jobs = [job(queue="full") for _ in range(60)]
            for start in range(0, 60, 3):
                assert all(r.created for r in backend.broker.publish(jobs[start : start + 3]))
            assert ended  # it was full
            drain(0)
            assert sorted(ended) == sorted(j.id for j in jobs)
        finally:
            server.ctl("clear_policy", "tests")
        consumer.close()
        backend.broker.close()


class TestAlarms:
    @pytest.mark.parametrize(
        ("raise_it", "mend"),
        [
            (("set_vm_memory_high_watermark", "0"), ("set_vm_memory_high_watermark", "0.6")),
            (("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "10MB")),
        ],
        ids=["memory", "disk"],
    )
    def test_it_is_told_in_time_and_mends_itself(self, server: Server, url: str, raise_it: tuple[str, ...], mend: tuple[str, ...]) -> None:
        backend = opened(url)
        backend.broker.publish([job() for _ in range(20)])
        consumer = worker(backend)
        first, second, third = consumer.claim(["default"], 3, 5)
        server.ctl(*raise_it)
        try:
            began = time.monotonic()
            with pytest.raises((BrokerFull, PublishUnknown)):
                for _ in range(5):  # the server hears of the alarm, and we of it, at a publication
                    backend.broker.publish([job()])
            assert time.monotonic() - began < 6
            with within(0.5), pytest.raises(BrokerFull, match="alarm"):
                backend.broker.publish([job()])
            assert any("alarm" in note for note in backend.broker.describe().notes)
            assert settle(consumer, [first]) == ["ok"], "draining goes on"
            with pytest.raises((BrokerFull, BrokerUnavailable)):
                consumer.settle([Settlement(second.id, second.token, Succeeded()), Settlement(third.id, third.token, Again("retry"))])
        finally:
            server.ctl(*mend)
        eventually(lambda: _publishes(backend), within=15)
        batch = [Settlement(second.id, second.token, Succeeded()), Settlement(third.id, third.token, Again("retry"))]
        assert list(consumer.settle(batch)) == ["ok", "ok"], "what was written before the trouble is not refused"
        consumer.close()
        backend.broker.close()


def _publishes(backend: object) -> bool:
    try:
        backend.broker.publish([job()])  # type: ignore[attr-defined]
    except (BrokerFull, BrokerUnavailable, PublishUnknown):
        return False
    return True


def _consumers(url: str, queue: str) -> int:
    with channel(url) as ch:
        try:
            return int(ch.queue_declare(queue, passive=True).method.consumer_count)
        except ChannelClosedByBroker:
            return 0


class TestWorking:
    def test_the_queue_is_deleted_under_a_worker(self, url: str) -> None:
        backend = opened(url)
        mill = Mill(backend)
        (first,) = backend.broker.publish([job()])
        eventually(lambda: first.id in mill.ended)
        with channel(url) as ch:
            ch.queue_delete(backend.broker._store.names.jobs("default", "normal"))  # type: ignore[attr-defined]
        # By one who had not published to the old one: see decision 0015.
        other = opened(url)
        (second,) = other.broker.publish([job()])
        eventually(lambda: second.id in mill.ended)
        other.broker.close()
        mill.stop()
        backend.broker.close()

    def test_a_queue_is_deleted_and_the_others_go_on(self, url: str) -> None:
        backend = opened(url)
        consumer = worker(backend)
        name = backend.broker._store.names.jobs("one", "normal")  # type: ignore[attr-defined]
        left = 2

        def claim() -> list[str]:
            nonlocal consumer
            for _ in range(5):
                try:
                    return [d.id for d in consumer.claim(["one", "two"], 5, 20)]
                except BrokerUnavailable:  # deleted at the very moment when it was looked at: a worker tries again, too
                    if consumer.beat().lost:
                        consumer.close()
                        consumer = worker(backend)
            return []

        backend.broker.publish([job(queue=q) for q in ("one", "two")])
        while left:
            left -= len(settle(consumer, consumer.claim(["one", "two"], 2, 10)))
        with ThreadPoolExecutor(1) as pool:
            claimed = pool.submit(claim)
            eventually(lambda: _consumers(url, name) == 1)
            with channel(url) as ch:
                ch.queue_delete(name)
            eventually(lambda: _consumers(url, name) == 1)
            (r,) = backend.broker.publish([job(queue="two")])
            assert claimed.result(30) == [r.id]
        consumer.close()
        backend.broker.close()

    def test_a_connection_is_cut_with_jobs_in_hand(self, proxy: Proxy, url: str) -> None:
        direct, backend = opened(url), opened(through(proxy, url))
        direct.broker.publish([job() for _ in range(3)])
        consumer = worker(backend)
        held = consumer.claim(["default"], 2, 5)
        proxy.cut()
        eventually(lambda: consumer.beat().lost)
        assert settle(consumer, held) == ["gone", "gone"]
        assert list(consumer.owned()) == []
        with pytest.raises(BrokerUnavailable):
            consumer.claim(["default"], 1, 5)
        heir = worker(direct)
        again = heir.claim(["default"], 10, 5)
        assert {d.losses for d in again if d.id in {h.id for h in held}} == {1}
        heir.close()
        consumer.close()
        direct.broker.close()
        backend.broker.close()

    def test_a_network_that_swallows_everything_is_noticed(self, proxy: Proxy, url: str) -> None:
        backend = opened(through(proxy, url, "&heartbeat=1"))
        backend.broker.publish([job()])
        consumer = worker(backend)
        consumer.claim(["default"], 1, 5)
        proxy.mode = "hole"
        eventually(lambda: consumer.beat().lost, within=20)
        direct = opened(url)
        heir = worker(direct)
        (again,) = heir.claim(["default"], 1, 20)
        assert again.losses == 1
        heir.close()
        proxy.mode = "pass"
        consumer.close()
        backend.broker.close()
        direct.broker.close()

    def test_the_server_closes_all_connections_under_load(self, server: Server, url: str) -> None:
        backend = opened(url)
        mills = [Mill(opened(url)) for _ in range(2)]
        published: set[str] = set()
        unknown: set[str] = set()
        closing: list[threading.Thread] = []
        for n in range(60):
            if n in (15, 40):
                closing.append(threading.Thread(target=server.ctl, args=("close_all_connections", "test"), daemon=True))
                closing[-1].start()
            jobs = [job() for _ in range(20)]
            try:
                published |= {r.id for r in backend.broker.publish(jobs)}
            except PublishUnknown as error:
                unknown |= set(error.ids)
                published |= {j.id for j in jobs} - unknown
            except BrokerUnavailable:
                continue
        for thread in closing:
            thread.join(30)
        (last,) = backend.broker.publish([job()])
        eventually(lambda: {*published, last.id} <= {i for m in mills for i in m.ended}, within=30)
        eventually(lambda: all(m.sessions > 1 for m in mills))
        for mill in mills:
            mill.stop()
        backend.broker.close()

    def test_the_server_is_killed_under_load(self, server: Server, url: str) -> None:
        """Nothing that was confirmed is lost: neither what is ready nor what waits in the ladder."""
        backend = opened(url)
        mills = [Mill(opened(url)) for _ in range(2)]

        def ended() -> set[str]:
            return {i for m in mills for i in m.ended}

        # RabbitMQ 3.10 forgets a queue if it is killed within half a second after that was made (decision 0015).
        early = [job(delay=4.2), job()]
        backend.broker.publish([*early])
        eventually(lambda: {j.id for j in early} <= ended())
        late = [job(delay=4.3) for _ in range(20)]
        published = {r.id for r in backend.broker.publish(late)}
        back = threading.Thread(target=server.start, daemon=True)
        for n in range(60):
            if n == 20:
                server.kill()
                back.start()
            try:
                published |= {r.id for r in backend.broker.publish([job() for _ in range(20)])}
            except (PublishUnknown, BrokerUnavailable):
                back.join(60)
        with suppress(AssertionError):  # the one below says more
            until("all that was confirmed has run", lambda: published <= ended(), 40)
        missing = published - ended()
        lost = len(missing & {j.id for j in late})
        assert not missing, (lost, len(missing), [(m.sessions, len(m.ended)) for m in mills], backend.broker.counts(["default"]))
        assert all(m.sessions > 1 for m in mills)
        for mill in mills:
            mill.stop()
        backend.broker.close()

    def test_a_job_that_kills_its_workers_ends_in_the_dead_letters(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tidewheel.core.outcome.recovery_delay", lambda times: 1.0)  # else it takes minutes
        backend = opened(url)
        backend.broker.publish([job()])
        for n in range(LOSS_LIMIT):
            consumer = worker(backend)
            (delivery,) = consumer.claim(["default"], 1, 5)
            assert (delivery.losses, delivery.deliveries) == (n, n + 1)
            consumer._session.link.drop()
            eventually(lambda c=consumer: c.beat().lost)
        consumer = worker(backend)
        assert list(consumer.claim(["default"], 1, 0.5)) == []
        eventually(lambda: backend.broker.counts(["default"])["default"].dead == 1)
        consumer.close()
        backend.broker.close()

    def test_a_second_loss_makes_it_wait(self, url: str) -> None:
        backend = opened(url)
        backend.broker.publish([job()])
        for _ in range(2):
            consumer = worker(backend)
            assert len(consumer.claim(["default"], 1, 5)) == 1
            consumer._session.link.drop()
            eventually(lambda c=consumer: c.beat().lost)
        consumer = worker(backend)
        began = time.monotonic()
        (delivery,) = consumer.claim(["default"], 1, 5)
        assert time.monotonic() - began > 0.95
        assert (delivery.losses, delivery.deliveries) == (2, 3)
        consumer.close()
        backend.broker.close()

    def test_what_is_not_ours_ends_in_the_dead_letters(self, url: str) -> None:
        backend = opened(url)
        backend.broker.publish([job()])
        name = backend.broker._store.names.jobs("default", "normal")  # type: ignore[attr-defined]
        with channel(url) as ch:
            for _ in range(3):
                ch.basic_publish("", name, b"whatever")
        consumer, claimed = worker(backend), list[Delivery]()

        def buried() -> bool:
            claimed.extend(consumer.claim(["default"], 10, 0.1))  # again and again, like a worker: one may see the first only
            return backend.broker.counts(["default"])["default"].dead == 3

        eventually(buried)
        assert len(claimed) == 1
        consumer.close()
        backend.broker.close()

    def test_what_is_pushed_to_a_worker_that_stops_claiming_goes_to_others(self, url: str) -> None:
        """Also what it had claimed and gives back is not a loss."""
        backend = opened(url)
        first, second = worker(backend), worker(opened(url))
        got = threading.Thread(target=lambda: held.extend(first.claim(["default"], 5, 20)), daemon=True)
        held: list[object] = []
        got.start()
        eventually(lambda: first._session.tapped)
        jobs = [job() for _ in range(4)]
        backend.broker.publish(jobs[:1])
        got.join(10)
        backend.broker.publish(jobs[1:])
        found = {d.id: d for d in held}  # type: ignore[attr-defined]
        deadline = time.monotonic() + 10
        while len(found) < 4 and time.monotonic() < deadline:
            found |= {d.id: d for d in second.claim(["default"], 5, 0.3)}
        assert set(found) == {j.id for j in jobs}
        # What is under way while a consumer is cancelled the server itself takes back, and counts.
        assert sum(d.losses for d in found.values()) <= 1
        first.close()
        second.close()
        backend.broker.close()

    def test_dead_letters_keep_what_is_known(self, url: str) -> None:
        from tidewheel.backends.rabbitmq import letters

        backend = opened(url)
        (receipt,) = backend.broker.publish([job(headers={"a": "b"})])
        consumer = worker(backend)
        assert settle(consumer, consumer.claim(["default"], 1, 5), Dead("failed", b"error", "attempts")) == ["ok"]
        with channel(url) as ch:
            _, props, body = ch.basic_get(backend.broker._store.names.dead("default"), auto_ack=True)  # type: ignore[attr-defined]
        view = letters.view(letters.read("default", props, body))
        assert (view.id, view.state, view.reason, view.error, view.attempts) == (receipt.id, "dead", "failed", b"error", 1)
        assert (view.body, view.headers) == (b"body", {"a": "b"})
        consumer.close()
        backend.broker.close()
