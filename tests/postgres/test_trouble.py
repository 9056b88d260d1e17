"""Sessions that are ended in the middle of a call, servers that die: nothing is lost or done twice, and all go on."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from mill import Mill, job, settle, worker
from postgres_field import opened
from postgres_server import Server, free_port

from tidewheel import Tidewheel
from tidewheel.backends.postgres.connections import Connection
from tidewheel.backends.postgres.store import Store, T
from tidewheel.contract import Backend, Consumer, Progress, Settlement
from tidewheel.core.outcome import Again, Dead, Succeeded
from tidewheel.errors import BrokerError, BrokerUnavailable, PublishUnknown
from tidewheel.testing.conformance.harness import Aside, eventually


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def store_of(backend: Backend) -> Store:
    store: Store = backend.broker._store  # type: ignore[attr-defined]
    return store


class Ended(Store):
    """Its session is ended by an administrator, once: before it says anything, or after the server has done it."""

    when = ""
    meanwhile: Callable[[], object] | None = None
    """What others do before it is noticed."""

    def on(self, connection: Connection, work: Callable[[Connection], T], limit: float) -> T:
        when, self.when = self.when, ""

        def disturbed(connection: Connection) -> T:
            if when == "before":
                self.end(connection)
            answer = work(connection)
            if when == "after":
                self.end(connection)
                if self.meanwhile is not None:
                    self.meanwhile()
                connection.execute("SELECT 1")  # where the answer is awaited, the news of the end comes
            return answer

        return super().on(connection, disturbed if when else work, limit)

    def end(self, connection: Connection) -> None:
        with closing(self.connections.make()) as other:
            other.execute(f"SELECT pg_terminate_backend({connection.info.backend_pid}, 5000)".encode())


WHEN = ["before", "after"]
OTHERS = b"""
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()
"""


class TestEndedSessions:
    """`pg_terminate_backend` at every verb."""

    @pytest.fixture
    def client(self, url: str) -> Iterator[tuple[Backend, Ended]]:
        from tidewheel.backends.postgres import wire
        from tidewheel.backends.postgres.address import parse

        store = Ended(parse(url))
        backend = wire(store)
        backend.broker.open()
        yield backend, store
        backend.broker.close()

    @pytest.mark.parametrize("when", WHEN)
    @pytest.mark.parametrize("many", [1, 7])
    def test_publish(self, client: tuple[Backend, Ended], when: str, many: int) -> None:
        backend, store = client
        backend.broker.publish([job()])
        batch = [job() for _ in range(many)]
        store.when = when
        receipts = backend.broker.publish(batch)
        assert [r.id for r in receipts] == [e.id for e in batch]
        assert backend.broker.counts()["default"].ready == many + 1

    def test_a_job_that_has_run_before_its_publication_was_answered(self, client: tuple[Backend, Ended], url: str) -> None:
        """A new job is not looked for among the ended; one that is published for the second time is."""
        backend, store = client
        other = opened(url)
        consumer = worker(other)

        def run() -> None:
            assert settle(consumer, consumer.claim(["default"], 5, 0)) == ["ok"]

        store.when, store.meanwhile = "after", run
        (receipt,) = backend.broker.publish([job()], fresh=True)
        assert not receipt.created
        assert backend.broker.counts(["default"])["default"].ready == 0
        consumer.close()
        other.broker.close()

    @pytest.mark.parametrize("when", WHEN)
    def test_claim(self, client: tuple[Backend, Ended], when: str) -> None:
        backend, store = client
        ids = [r.id for r in backend.broker.publish([job() for _ in range(5)])]
        consumer = worker(backend)
        store.when = when
        with pytest.raises(BrokerUnavailable, match="ended the connection"):
            consumer.claim(["default"], 5, 0)
        owned = list(consumer.owned())
        assert len(owned) == (5 if when == "after" else 0)
        rest = list(consumer.claim(["default"], 5, 0))
        assert sorted(d.id for d in owned + rest) == sorted(ids)
        assert consumer.beat().owned == 5
        assert settle(consumer, owned + rest) == ["ok"] * 5

    @pytest.mark.parametrize("when", WHEN)
    @pytest.mark.parametrize("outcome", [Succeeded(b"v"), Dead("failed"), Again("retry")], ids=lambda o: type(o).__name__)
    def test_settle(self, client: tuple[Backend, Ended], when: str, outcome: Any) -> None:
        backend, store = client
        (receipt,) = backend.broker.publish([job()])
        consumer = worker(backend)
        (delivery,) = consumer.claim(["default"], 1, 0)
        batch = [Settlement(delivery.id, delivery.token, outcome, (job(queue="next"),))]
        store.when = when
        assert list(consumer.settle(batch)) == (["gone"] if when == "after" else ["ok"])
        assert backend.results is not None
        assert backend.results.records([receipt.id])[receipt.id].state in ("succeeded", "dead", "ready")
        assert backend.broker.counts(["next"])["next"].ready == 1
        assert consumer.beat().owned == 0

    @pytest.mark.parametrize("when", WHEN)
    def test_everything_else(self, client: tuple[Backend, Ended], when: str) -> None:
        """What a second time does not harm is repeated without a word."""
        backend, store = client
        assert backend.results is not None
        assert backend.control is not None
        assert backend.browse is not None
        (receipt,) = backend.broker.publish([job()])
        consumer = worker(backend)
        (delivery,) = consumer.claim(["default"], 1, 0)
        for call in (
            lambda: consumer.beat([Progress(delivery.id, delivery.token, b"half")]).owned == 1,
            lambda: [d.id for d in consumer.owned()] == [receipt.id],
            lambda: backend.broker.sweep().recovered == 0,
            lambda: backend.broker.counts()["default"].running == 1,
            lambda: backend.results.records([receipt.id])[receipt.id].progress == b"half",
            lambda: list(backend.control.cancel([receipt.id])) == ["requested"],
            lambda: backend.browse.job(receipt.id).cancel_requested,
            lambda: backend.broker.describe().engine == "postgresql",
            lambda: backend.broker.now() > 0,
        ):
            store.when = when
            assert call()

    def test_a_worker_that_waits_goes_on(self, client: tuple[Backend, Ended], shared: Server) -> None:
        backend, store = client
        consumer = worker(backend)
        waiting = Aside(consumer.claim, ["default"], 1, 30)
        eventually(lambda: consumer._ears.marked)
        with closing(store.connections.make()) as other:
            other.execute(OTHERS)
        with pytest.raises(BrokerUnavailable, match=r"ended the connection|cannot be reached"):
            waiting.answer(within=5)
        assert list(consumer.claim(["default"], 1, 5)) == []
        assert consumer.news, "it may have been asked for something meanwhile"
        consumer.beat()
        waiting = Aside(consumer.claim, ["default"], 1, 30)
        backend.broker.publish([job()])
        assert len(waiting.answer(within=5)) == 1

    def test_who_waits_for_a_result_is_told_and_can_go_on(self, client: tuple[Backend, Ended]) -> None:
        backend, store = client
        assert backend.results is not None
        (receipt,) = backend.broker.publish([job()])
        waiting = Aside(backend.results.wait, [receipt.id], 30)
        ears = eventually(lambda: backend.results._ears)
        eventually(lambda: ears.marked)
        with closing(store.connections.make()) as other:
            other.execute(OTHERS)
        with pytest.raises(BrokerUnavailable):
            waiting.answer(within=5)
        consumer = worker(backend)
        settle(consumer, list(consumer.claim(["default"], 1, 0)))
        assert receipt.id in backend.results.wait([receipt.id], 5)


class TestAwayAndBack:
    """`delay` may fail, and may not hang."""

    def test_nobody_is_there(self) -> None:
        app = Tidewheel(f"postgresql://postgres@127.0.0.1:{free_port()}/postgres")

        @app.task(name="tests.noop")
        def noop() -> None: ...

        with within(3), pytest.raises(BrokerUnavailable, match="is it running"):
            noop.delay()

    def test_no_such_database(self, shared: Server) -> None:
        with pytest.raises(BrokerUnavailable, match="createdb"):
            opened(shared.url + "nonsense")

    def test_it_has_gone_since(self, server: Server) -> None:
        backend = opened(server.url)
        backend.broker.publish([job()])
        server.kill()
        for _ in range(2):
            with within(10), pytest.raises((BrokerUnavailable, PublishUnknown)):
                backend.broker.publish([job()])
        server.start()
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
            app = Tidewheel(f"postgresql://postgres@127.0.0.1:{deaf.getsockname()[1]}/postgres")
            with within(12), pytest.raises(BrokerUnavailable):
                app.counts()
            for s in fill:
                s.close()

    @pytest.mark.slow
    def test_the_server_stands_still(self, server: Server) -> None:
        """As a network that swallows everything: an outcome within seconds, and it is said that it is not known."""
        backend = opened(server.url)
        backend.broker.publish([job()])
        pids = [pid for (pid,) in server.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'tidewheel'")]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            with within(10), pytest.raises(PublishUnknown, match="publish the same ids again") as raised:
                backend.broker.publish([job()])
            assert len(raised.value.ids) == 1
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        assert backend.broker.publish([job()])[0].created

    def test_wake_needs_no_server(self, server: Server) -> None:
        consumer = worker(opened(server.url))
        waiting = Aside(consumer.claim, ["default"], 1, 30)
        eventually(lambda: consumer._ears.marked)
        server.kill()
        consumer.wake()
        with within(8):
            try:
                waiting.answer()
            except BrokerError:
                pass

    @pytest.mark.slow
    def test_it_crashes_under_load_and_nothing_is_lost(self, serve: Callable[..., Server]) -> None:
        """`pg_ctl stop -m immediate`, three times: claims and beats were not synced, and are made good."""
        server = serve()
        publisher = opened(server.url)
        mills = [Mill(opened(server.url)) for _ in range(2)]
        accepted: list[str] = []
        stop = threading.Event()

        def publish() -> None:
            while not stop.is_set():
                batch = [job() for _ in range(3)]
                for _ in range(100):
                    try:
                        publisher.broker.publish(batch)
                        accepted.extend(e.id for e in batch)
                        break
                    except BrokerError:
                        threading.Event().wait(0.05)

        publishing = Aside(publish)
        for n in range(3):
            eventually(lambda n=n: len(mills[0].ended) + len(mills[1].ended) > 300 * (n + 1), within=60)
            server.restart()
        stop.set()
        publishing.answer(60)
        eventually(lambda: publisher.broker.counts(["default"])["default"].ready == 0, within=60)
        for mill in mills:
            mill.stop()
        counts = publisher.broker.counts(["default"])["default"]
        assert (counts.ready, counts.running, counts.scheduled) == (0, 0, 0)
        assert publisher.results is not None
        states = {id_: r.state for id_, r in publisher.results.records(accepted).items()}
        assert set(states) == set(accepted), "accepted and lost"
        assert set(states.values()) == {"succeeded"}
        assert sum(mill.troubles for mill in mills) > 0


class TestForks:
    def test_a_child_makes_its_own_connections(self, url: str) -> None:
        backend = opened(url)
        backend.broker.publish([job()])
        consumer: Consumer = worker(backend)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                child = opened(url)
                child.broker.publish([job(queue="child")])
                backend.broker.publish([job(queue="inherited")])
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        assert backend.broker.publish([job()])[0].created
        assert len(consumer.claim(["default", "child", "inherited"], 10, 0)) == 4
        waiting = Aside(consumer.claim, ["default"], 1, 10)
        backend.broker.publish([job()])
        assert len(waiting.answer(within=5)) == 1
