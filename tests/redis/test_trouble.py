"""Connections that are cut or go silent in the middle of a call, and servers that die: nothing is lost or done twice, and all go on."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from field import opened, sha
from mill import Mill, job, settle, worker
from proxy import Proxy
from redis_harness import VirtualHarness
from redis_server import Server

from tidewheel import Tidewheel
from tidewheel.contract import Settlement
from tidewheel.core.outcome import Again, Succeeded
from tidewheel.errors import BrokerUnavailable, PublishUnknown
from tidewheel.testing.conformance.harness import Aside, eventually

Serve = Callable[..., Server]


SLOW = [pytest.param(how, marks=pytest.mark.slow) for how in ("hole", "mute")]
HOW = ["cut_before", "swallow_answer_and_cut", *SLOW]
"""How a call is disturbed: see `Proxy`."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def closed_port() -> int:
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


class TestPublishing:
    """`delay` may fail, and may not hang."""

    def test_nobody_is_there(self) -> None:
        app = Tidewheel(f"redis://127.0.0.1:{closed_port()}/0")

        @app.task(name="tests.noop")
        def noop() -> None: ...

        with within(3), pytest.raises(BrokerUnavailable, match="is it running"):
            noop.delay()

    def test_it_has_gone_since(self, server: Server) -> None:
        backend = opened(server.url)
        backend.broker.publish([job()])
        server.kill()
        for _ in range(2):
            with within(2), pytest.raises(BrokerUnavailable, match="is it running"):
                backend.broker.publish([job()])
        server.start()
        assert backend.broker.publish([job()])[0].created

    @pytest.mark.slow
    def test_the_network_swallows_everything(self, proxy: Proxy) -> None:
        backend = opened(proxy.url)
        proxy.mode = "hole"
        with within(5.6), pytest.raises(PublishUnknown, match="does not answer in time") as raised:
            backend.broker.publish([job()])
        assert len(raised.value.ids) == 1
        with within(5.6), pytest.raises((BrokerUnavailable, PublishUnknown)):
            backend.broker.publish([job()])
        proxy.mode = "pass"
        assert backend.broker.publish([job()])[0].created

    def test_nobody_accepts(self) -> None:
        """A host that drops packets: the backlog of a listener that never accepts is full."""
        with closing(socket.socket()) as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            fill = [socket.socket() for _ in range(4)]
            for s in fill:
                s.setblocking(False)
                s.connect_ex(deaf.getsockname())
            app = Tidewheel(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
            with within(5), pytest.raises(BrokerUnavailable):
                app.counts()
            for s in fill:
                s.close()

    @pytest.mark.parametrize("how", ["cut_before", "swallow_answer_and_cut"])
    def test_cut_in_the_middle_it_is_stored_once(self, proxy: Proxy, how: str) -> None:
        backend = opened(proxy.url)
        batch = [job() for _ in range(5)]
        proxy.when(sha("publish_one"), getattr(proxy, how))
        receipts = backend.broker.publish(batch)
        assert [r.id for r in receipts] == [e.id for e in batch]
        assert backend.broker.counts()["default"].ready == 5

    @pytest.mark.slow
    def test_silence_after_it_was_stored(self, proxy: Proxy, server: Server) -> None:
        backend, direct = opened(proxy.url), opened(server.url)
        batch = [job()]
        proxy.when(sha("publish_one"), proxy.mute)
        with within(5.6), pytest.raises(PublishUnknown, match="publish the same ids again"):
            backend.broker.publish(batch)
        assert direct.broker.counts()["default"].ready == 1
        proxy.mode = "pass"
        assert not backend.broker.publish(batch)[0].created
        assert direct.broker.counts()["default"].ready == 1


class TestWorking:
    @pytest.mark.parametrize("how", HOW)
    def test_a_claim_that_is_disturbed(self, proxy: Proxy, how: str) -> None:
        backend = opened(proxy.url)
        ids = [r.id for r in backend.broker.publish([job() for _ in range(5)])]
        consumer = worker(backend)
        proxy.when(sha("claim"), getattr(proxy, how))
        with within(4), pytest.raises(BrokerUnavailable):
            consumer.claim(["default"], 5, 0)
        proxy.mode = "pass"
        owned = list(consumer.owned())
        happened = how in ("swallow_answer_and_cut", "mute")
        assert len(owned) == (5 if happened else 0)
        rest = list(consumer.claim(["default"], 5, 0))
        assert sorted(d.id for d in owned + rest) == sorted(ids)
        assert consumer.beat().owned == 5
        assert settle(consumer, owned + rest) == ["ok"] * 5

    @pytest.mark.parametrize("how", HOW)
    def test_a_settlement_that_is_disturbed(self, proxy: Proxy, how: str) -> None:
        backend = opened(proxy.url)
        (receipt,) = backend.broker.publish([job()])
        consumer = worker(backend)
        (delivery,) = consumer.claim(["default"], 1, 0)
        batch = [Settlement(delivery.id, delivery.token, Succeeded(b"v"), (job(queue="next"),))]
        proxy.when(sha("settle"), getattr(proxy, how))
        verdicts: list[str] = []
        with within(4):
            try:
                verdicts = list(consumer.settle(batch))
            except BrokerUnavailable:
                proxy.mode = "pass"
                verdicts = list(consumer.settle(batch))
        assert verdicts == (["gone"] if how in ("swallow_answer_and_cut", "mute") else ["ok"])
        assert backend.results is not None
        assert backend.results.records([receipt.id])[receipt.id].value == b"v"
        assert backend.broker.counts(["next"])["next"].ready == 1
        assert consumer.beat().owned == 0

    def test_a_worker_that_waits_notices_a_cut_and_goes_on(self, proxy: Proxy, server: Server) -> None:
        backend = opened(proxy.url)
        consumer = worker(backend)
        waiting = Aside(consumer.claim, ["default"], 1, 30)
        eventually(lambda: server.client().zcard("{tidewheel}:idle:default") == 1)
        proxy.cut()
        with pytest.raises(BrokerUnavailable):
            waiting.answer(within=5)
        assert list(consumer.claim(["default"], 1, 5)) == []
        assert consumer.news, "it may have been asked for something meanwhile"
        consumer.beat()
        waiting = Aside(consumer.claim, ["default"], 1, 30)
        backend.broker.publish([job()])
        assert len(waiting.answer(within=5)) == 1

    def test_wake_needs_no_server(self, server: Server) -> None:
        backend = opened(server.url)
        consumer = worker(backend)
        waiting = Aside(consumer.claim, ["default"], 1, 30)
        eventually(lambda: server.client().pubsub_channels())
        assert server.process is not None
        with paused(server):
            consumer.wake()
            assert list(waiting.answer(within=1)) == []

    def test_a_cancellation_is_heard_at_once(self, server: Server) -> None:
        backend = opened(server.url)
        consumer = worker(backend)
        (receipt,) = backend.broker.publish([job()])
        consumer.claim(["default"], 1, 0)
        consumer.claim(["default"], 0, 0.01)
        assert backend.control is not None
        consumer.beat()
        waiting = Aside(consumer.claim, ["default"], 0, 30)
        backend.control.cancel([receipt.id])
        waiting.answer(within=1)
        assert consumer.news
        assert consumer.beat().cancels == (receipt.id,)

    def test_who_leaves_hands_its_wake_up_on(self, server: Server) -> None:
        """Rung for work and gone without taking it: the next idle worker gets it, long before it would look for itself."""
        backend = opened(server.url)
        first, second = worker(backend), worker(opened(server.url))
        waiting = Aside(first.claim, ["default"], 1, 30)
        eventually(lambda: server.client().zcard("{tidewheel}:idle:default") == 1)
        first.wake()
        assert list(waiting.answer(within=2)) == []
        waiting = Aside(second.claim, ["default"], 1, 30)
        eventually(lambda: server.client().zcard("{tidewheel}:idle:default") == 2)
        backend.broker.publish([job()])
        first.close()
        assert len(waiting.answer(within=2)) == 1

    def test_a_dead_worker_that_was_idle_swallows_no_wake_up(self, server: Server) -> None:
        backend = opened(server.url)
        server.client().zadd("{tidewheel}:idle:default", {"long gone": 1.0})
        alive = worker(opened(server.url))
        waiting = Aside(alive.claim, ["default"], 1, 30)
        eventually(lambda: server.client().zcard("{tidewheel}:idle:default") == 2)
        backend.broker.publish([job()])
        assert len(waiting.answer(within=2)) == 1


class TestResults:
    def test_who_waits_survives_a_cut(self, proxy: Proxy, server: Server) -> None:
        backend, direct = opened(proxy.url), opened(server.url)
        assert backend.results is not None
        (receipt,) = direct.broker.publish([job()])
        waiting = Aside(backend.results.wait, [receipt.id], 30)
        eventually(lambda: server.client().hlen("{tidewheel}:wait") == 1)
        proxy.cut()
        with pytest.raises(BrokerUnavailable):
            waiting.answer(within=5)
        consumer = worker(direct)
        settle(consumer, list(consumer.claim(["default"], 1, 0)))
        assert receipt.id in backend.results.wait([receipt.id], 5)

    def test_a_long_result_comes_as_fast(self, server: Server) -> None:
        backend = opened(server.url)
        assert backend.results is not None
        (receipt,) = backend.broker.publish([job()])
        waiting = Aside(backend.results.wait, [receipt.id], 30)
        eventually(lambda: server.client().hlen("{tidewheel}:wait") == 1)
        consumer = worker(backend)
        settle(consumer, list(consumer.claim(["default"], 1, 0)), Succeeded(b"x" * 900_000))
        assert waiting.answer(within=2)[receipt.id].value == b"x" * 900_000

    def test_one_connection_listens_for_all(self, server: Server) -> None:
        backend = opened(server.url)
        results = backend.results
        assert results is not None
        ids = [r.id for r in backend.broker.publish([job() for _ in range(20)])]
        waiting = [Aside(results.wait, [id_], 30) for id_ in ids]
        eventually(lambda: server.client().hlen("{tidewheel}:wait") == 20)
        assert len([c for c in server.client().client_list() if c["sub"] != "0"]) == 1
        consumer = worker(backend)
        settle(consumer, list(consumer.claim(["default"], 20, 0)))
        assert [list(w.answer(within=3)) for w in waiting] == [[id_] for id_ in ids]
        assert server.client().hlen("{tidewheel}:wait") == 0

    def test_one_who_gives_up_leaves_the_others_listening(self, server: Server) -> None:
        backend = opened(server.url)
        results = backend.results
        assert results is not None
        first, second = (r.id for r in backend.broker.publish([job(), job()]))
        short = Aside(results.wait, [first], 0.3)
        long = Aside(results.wait, [second], 30)
        assert short.answer() == {}
        consumer = worker(backend)
        settle(consumer, list(consumer.claim(["default"], 2, 0)))
        assert set(long.answer(within=2)) == {second}


class TestClocks:
    """The server's clock jumps. Nobody who beats is taken for dead, and who is dead is found."""

    @pytest.mark.parametrize("jump", [3600.0, -3600.0])
    def test_it_jumps(self, shared: Server, jump: float) -> None:
        harness = VirtualHarness(shared)
        backend = harness.connect()
        backend.broker.open()
        backend.broker.publish([job(), job(), job(delay=5)])
        alive, dead = worker(backend), worker(backend)
        (held,), (lost,) = alive.claim(["default"], 1, 0), dead.claim(["default"], 1, 0)
        harness.advance(jump)
        for _ in range(3):
            assert not alive.beat().lost
            swept = harness.recover(backend)
            if swept.lost_workers:
                break
        assert (swept.recovered, swept.lost_workers) == (1, (lost.token.worker,))
        assert settle(alive, [held]) == ["ok"]
        assert settle(dead, [lost]) == ["gone"]
        harness.advance(-jump + 6)
        assert len(alive.claim(["default"], 10, 0)) == 2, "late by the jump at most, and not lost"
        backend.broker.close()
        harness.close()


@contextmanager
def paused(server: Server) -> Iterator[None]:
    """The server stands still, with everything that it holds."""
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


class TestLeases:
    """The two looks. A clock of our own takes the place of the observer's; the server's is real."""

    def test_a_worker_whose_beat_moves_between_two_looks_lives(self, server: Server) -> None:
        url = server.url + "?lease=1"
        backend = opened(url)
        consumer = worker(backend)
        store = consumer._store
        ahead = 0.0
        store.monotonic = lambda: time.monotonic() + ahead
        for _ in range(3):
            eventually(lambda: backend.broker.sweep() and store.run("sweep", [1, 1, 1])[3] != [], within=5)
            ahead += 1.0
            assert not consumer.beat().lost
            assert backend.broker.sweep().lost_workers == ()
        assert not consumer.beat().lost

    def test_a_frozen_observer_kills_nobody_who_beats(self, server: Server) -> None:
        """It saw the beat twice, and froze before it said so: the comparison fails."""
        backend = opened(server.url + "?lease=1")
        consumer = worker(backend)
        beat = server.client().hget("{tidewheel}:worker", consumer._id)
        consumer.beat()
        assert consumer._store.run("kill", [consumer._id, beat]) == 0
        assert not consumer.beat().lost

    def test_taking_back_can_be_finished_by_another(self, server: Server) -> None:
        backend = opened(server.url)
        consumer = worker(backend)
        backend.broker.publish([job() for _ in range(700)])
        consumer.claim(["default"], 700, 0)
        store = consumer._store
        beat = server.client().hget("{tidewheel}:worker", consumer._id)
        assert store.run("kill", [consumer._id, beat]) == 1
        # Here the observer dies. What it has begun is written down.
        swept = opened(server.url).broker.sweep()
        assert (swept.recovered, swept.lost_workers) == (700, (consumer._id,))
        assert backend.broker.counts()["default"].ready == 700
        assert backend.broker.counts()["default"].running == 0


@pytest.mark.slow
class TestRestarts:
    def test_killed_again_and_again_under_load(self, serve: Serve) -> None:
        """With an append-only file that is always synced nothing that was accepted is lost, and everybody goes on by himself. (With
        `everysec` a Redis that is killed in the middle of a sync loses what it took meanwhile.)"""
        server = serve(appendonly="yes", appendfsync="always")
        producer = opened(server.url)
        mills = [Mill(opened(server.url)) for _ in range(2)]
        accepted: set[str] = set()
        unknown: set[str] = set()
        kills, publications = 0, 0
        end = time.monotonic() + 12
        next_kill = time.monotonic() + 0.7
        while time.monotonic() < end:
            batch = [job() for _ in range(10)]
            try:
                producer.broker.publish(batch)
                accepted |= {e.id for e in batch}
                publications += 1
            except PublishUnknown as error:
                unknown |= set(error.ids)
            except BrokerUnavailable:
                pass
            if time.monotonic() > next_kill:
                server.restart()
                kills += 1
                next_kill = time.monotonic() + 0.7
        counts = eventually(lambda: (c := producer.broker.counts()) == {} or all(x.ready + x.running == 0 for x in c.values()), within=40)
        assert counts
        for mill in mills:
            mill.stop()
        assert kills >= 5
        assert publications > 20
        assert producer.results is not None
        records = producer.results.records(list(accepted))
        assert accepted - set(records) == set(), "accepted, and gone"
        assert {r.state for r in records.values()} == {"succeeded"}
        assert sum(m.troubles for m in mills) > 0

    def test_without_a_file_its_workers_begin_anew(self, server: Server) -> None:
        backend = opened(server.url)
        assert backend.broker.describe().level == "volatile"
        consumer = worker(backend)
        backend.broker.publish([job()])
        (delivery,) = consumer.claim(["default"], 1, 0)
        server.restart()
        assert settle(consumer, [delivery]) == ["gone"]
        assert consumer.beat().lost
        assert list(consumer.claim(["default"], 1, 0)) == []
        assert consumer.news, "so that it asks at once"
        again = worker(backend)
        backend.broker.publish([job()])
        assert len(again.claim(["default"], 1, 1)) == 1

    def test_returned_jobs_survive_a_restart(self, serve: Serve) -> None:
        server = serve(appendonly="yes", appendfsync="always")
        backend = opened(server.url)
        consumer = worker(backend)
        backend.broker.publish([job(), job(delay=0.3), job(key="k")])
        deliveries = list(consumer.claim(["default"], 5, 0))
        settle(consumer, deliveries[:1], Again("retry", 0.2, "attempts"))
        server.restart()
        assert consumer.beat().owned == 1
        with pytest.raises(BrokerUnavailable):
            consumer.claim(["default"], 0, 5)
        found = list(consumer.owned())
        deadline = time.monotonic() + 10
        while len(found) < 3 and time.monotonic() < deadline:
            found += consumer.claim(["default"], 5, 1)
        assert sorted(d.attempts for d in found) == [0, 0, 1]
        assert settle(consumer, found) == ["ok"] * 3
