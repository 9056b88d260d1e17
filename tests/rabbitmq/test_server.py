"""The server as it is found: passwords, vhosts, permissions, TLS, other servers; and what is said of what it can do."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from mill import job, settle, worker
from rabbit_field import channel, opened
from rabbitmq_server import Server

from tidewheel import Tidewheel
from tidewheel.backends.rabbitmq import listing
from tidewheel.backends.rabbitmq.address import parse
from tidewheel.backends.rabbitmq.guarantees import run_limit
from tidewheel.backends.rabbitmq.store import Store
from tidewheel.backends.rabbitmq.topology import Names
from tidewheel.core.outcome import Again
from tidewheel.errors import BrokerUnavailable, ConfigurationError, InvalidArguments, MissingRole
from tidewheel.testing.conformance.harness import eventually


class TestOpening:
    def test_a_wrong_password(self, server: Server) -> None:
        with pytest.raises(BrokerUnavailable, match="TIDEWHEEL_RABBITMQ_PASSWORD") as raised:
            opened(server.url.replace("guest:guest", "guest:wr0ng"))
        assert "wr0ng" not in str(raised.value)

    def test_no_such_vhost(self, server: Server) -> None:
        with pytest.raises(BrokerUnavailable, match="rabbitmqctl add_vhost nowhere"):
            opened(server.url + "nowhere")

    def test_a_user_who_may_do_no_more_than_we_need(self, server: Server, url: str) -> None:
        prefix = url.split("=")[1]
        server.ctl("add_user", "wheel", "pw")
        try:
            server.ctl("set_permissions", "wheel", f"^{prefix}/.*", f"^({prefix}/.*|amq\\.default)$", f"^{prefix}/.*")
            backend = opened(url.replace("guest:guest", "wheel:pw"))
            consumer = worker(backend)
            backend.broker.publish([job(), job(delay=1.1)])
            assert settle(consumer, consumer.claim(["default"], 1, 5), Again("retry")) == ["ok"]
            assert "default" in backend.broker.counts()
            consumer.close()
            backend.broker.close()
            other = opened(f"{server.url.replace('guest:guest', 'wheel:pw')}?prefix=other")
            with pytest.raises(BrokerUnavailable, match="rabbitmqctl set_permissions"):
                other.broker.publish([job()])
            other.broker.close()
        finally:
            server.ctl("delete_user", "wheel")

    def test_something_else_listens_there(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:

            def answer() -> None:
                sock, _ = listener.accept()
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                sock.recv(100)
                sock.close()

            threading.Thread(target=answer, daemon=True).start()
            with pytest.raises(BrokerUnavailable, match=r"AMQP|cannot be reached"):
                opened(f"amqp://127.0.0.1:{listener.getsockname()[1]}/")

    def test_nobody_answers_there(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            began = time.monotonic()
            with pytest.raises(BrokerUnavailable):
                opened(f"amqp://127.0.0.1:{listener.getsockname()[1]}/?connect_timeout=1")
            assert time.monotonic() - began < 5

    def test_no_such_host(self) -> None:
        with pytest.raises(BrokerUnavailable, match="no such host"):
            opened("amqp://nowhere.invalid/")

    def test_an_old_server_is_refused(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tidewheel.backends.rabbitmq.store.OLDEST", (99,))
        with pytest.raises(ConfigurationError, match="is needed"):
            opened(url)

    def test_tls(self, server: Server, url: str, certificates: Path) -> None:
        place = f"amqps://guest:guest@127.0.0.1:{server.tls_port}/?{url.split('?')[1]}"
        with pytest.raises(BrokerUnavailable, match=r"\?ca="):
            opened(place)
        backend = opened(f"{place}&ca={certificates}/ca.pem")
        backend.broker.publish([job(body=b"x" * 300_000) for _ in range(5)])
        consumer = worker(backend)
        claimed = consumer.claim(["default"], 5, 5)
        assert settle(consumer, claimed) == ["ok"] * len(claimed)
        consumer.close()
        backend.broker.close()
        with pytest.raises(BrokerUnavailable):
            opened(f"amqps://guest:guest@127.0.0.1:{server.port}/?ca={certificates}/ca.pem&connect_timeout=1")
        with pytest.raises(ConfigurationError, match="TLS file"):
            opened(f"{place}&ca=/nowhere/ca.pem")

    def test_prefixes_know_nothing_of_each_other(self, server: Server, url: str) -> None:
        one, other = opened(f"{url}-one"), opened(f"{url}-other")
        one.broker.publish([job()])
        assert other.broker.counts() == {}
        assert one.broker.counts()["default"].ready == 1
        one.broker.close()
        other.broker.close()

    def test_queues_that_others_made_are_found(self, url: str) -> None:
        for name in ("a", "b.c", "d:e"):
            backend = opened(url)
            backend.broker.publish([job(queue=name)])
            backend.broker.close()
        backend = opened(url)
        assert {q: c.ready for q, c in backend.broker.counts().items()} == {"a": 1, "b.c": 1, "d:e": 1}
        backend.broker.close()

    def test_a_list_longer_than_the_server_pushes_unasked(self, url: str) -> None:
        """2,000 messages, when a consumer names no limit."""
        backend = opened(url)
        backend.broker.publish([job()])
        names = Names(parse(url).prefix)
        with channel(url) as ch:
            for n in range(2500):
                ch.basic_publish("", names.queues, f"q{n}".encode())
            eventually(lambda: ch.queue_declare(names.queues, passive=True).method.message_count == 2501)
        assert len(listing.read(parse(url))) == 2501
        backend.broker.close()

    def test_a_queue_with_other_arguments_is_used_and_told(self, url: str) -> None:
        backend = opened(url)
        name = backend.broker._store.names.jobs("default", "normal")  # type: ignore[attr-defined]
        with channel(url) as ch:
            ch.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
        backend.broker.publish([job()])
        assert any(name in note for note in backend.broker.describe().notes)
        backend.broker.close()


class TestLimits:
    def test_a_key_is_refused_with_the_way_out(self, url: str) -> None:
        backend = opened(url)
        with pytest.raises(MissingRole, match="results="):
            backend.broker.publish([job(), job(key="k")])
        assert backend.broker.counts() == {}
        backend.broker.close()

    def test_results_are_refused_with_the_way_out(self, url: str) -> None:
        app = Tidewheel(url)

        @app.task(name="tests.noop")
        def noop() -> int:
            return 1

        with pytest.raises(MissingRole):
            noop.delay().get(1)
        app.close()

    def test_a_delay_beyond_the_ladder(self, url: str) -> None:
        backend = opened(url)
        with pytest.raises(InvalidArguments, match=r"8\.5 years"):
            backend.broker.publish([job(delay=2.0**28)])
        backend.broker.close()

    def test_headers_that_do_not_fit(self, url: str) -> None:
        backend = opened(url)
        with pytest.raises(InvalidArguments, match="headers are too large"):
            backend.broker.publish([job(headers={"h": "x" * 100_000})])
        backend.broker.close()

    def test_the_longest_run(self, url: str) -> None:
        store = Store(opened(url).broker._store.address)  # type: ignore[attr-defined]
        for version, said, seconds in (((3, 10, 8), "", 1800), ((3, 12), "", 86_400), ((3, 10), "&consumer_timeout=7200", 7200)):
            backend = opened(url + said)
            store = backend.broker._store  # type: ignore[attr-defined]
            store.version = version
            limit = run_limit(store)
            assert (limit.seconds, "?consumer_timeout=" in limit.mend) == (seconds, True)
            backend.broker.close()

    def test_it_describes_what_it_cannot_do(self, url: str) -> None:
        backend = opened(url)
        described = backend.broker.describe()
        assert described.engine == "rabbitmq"
        assert described.version.startswith(("3.", "4."))
        assert any("results=" in note for note in described.notes)
        assert "guest:guest" not in described.url
        assert backend.carrier is not None
        assert not any("results=" in note for note in backend.carrier.describe().notes)
        backend.broker.close()


class TestForks:
    def test_a_child_makes_its_own_connection(self, url: str) -> None:
        backend = opened(url)
        backend.broker.publish([job()])
        pid = os.fork()
        if pid == 0:
            try:
                backend.broker.publish([job()])
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        assert not backend.broker._store._publisher.lost  # type: ignore[attr-defined]
        backend.broker.publish([job()])
        assert backend.broker.counts(["default"])["default"].ready == 3
        backend.broker.close()
