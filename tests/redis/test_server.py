"""The server as it is found: versions, settings, passwords, sockets, namespaces; and what is said of how safe jobs are there."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from field import opened
from mill import job, settle, worker
from redis_server import Server

from tidewheel import Tidewheel
from tidewheel.backends import connect
from tidewheel.backends.redis.store import Store
from tidewheel.errors import BrokerCorrupt, BrokerFull, BrokerUnavailable, ConfigurationError
from tidewheel.testing.conformance.harness import Aside, eventually

Serve = Callable[..., Server]


class TestOpening:
    @pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
    def test_an_evicting_policy_is_refused(self, serve: Serve, policy: str) -> None:
        server = serve(maxmemory_policy=policy)
        with pytest.raises(ConfigurationError, match="CONFIG SET maxmemory-policy noeviction") as raised:
            opened(server.url)
        assert policy in str(raised.value)
        server.client().config_set("maxmemory-policy", "noeviction")
        opened(server.url).broker.close()

    def test_an_old_server_is_refused(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Store, "info", lambda store: {"redis_version": "6.0.16"})
        with pytest.raises(ConfigurationError, match=r"6\.2 or newer"):
            opened(server.url)

    def test_a_newer_layout_is_refused(self, server: Server) -> None:
        server.client().set("{tidewheel}:schema", 99)
        with pytest.raises(BrokerCorrupt, match="newer version"):
            opened(server.url)

    def test_a_password(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        server = serve(requirepass="s3cret")
        for url in (server.url, server.url.replace("//", "//:wr0ng@")):
            with pytest.raises(BrokerUnavailable, match="TIDEWHEEL_REDIS_PASSWORD") as raised:
                opened(url)
            assert "wr0ng" not in str(raised.value)
        backend = opened(server.url.replace("//", "//:s3cret@"))
        assert backend.broker.publish([job()])[0].created
        assert "s3cret" not in backend.broker.describe().url
        monkeypatch.setenv("TIDEWHEEL_REDIS_PASSWORD", "s3cret")
        app = Tidewheel(server.url)
        assert app.counts()["default"].ready == 1
        app.close()
        backend.broker.close()

    def test_a_user_who_may_do_no_more_than_we_need(self, server: Server) -> None:
        server.client().execute_command(
            "ACL", "SETUSER", "wheel", "on", ">pw", "~{tidewheel}*", "&{tidewheel}*", "+@all", "-@dangerous", "+info"
        )
        backend = opened(server.url.replace("//", "//wheel:pw@"))
        consumer = worker(backend)
        backend.broker.publish([job()])
        assert settle(consumer, list(consumer.claim(["default"], 1, 1))) == ["ok"]
        described = backend.broker.describe()
        assert described.level == "volatile"
        consumer.close()
        backend.broker.close()

    def test_a_user_who_may_not(self, server: Server) -> None:
        server.client().execute_command("ACL", "SETUSER", "guest", "on", ">pw", "~other*", "+@all")
        with pytest.raises(BrokerUnavailable, match="ACL SETUSER"):
            opened(server.url.replace("//", "//guest:pw@")).broker.publish([job()])

    def test_a_unix_socket(self, server: Server) -> None:
        backend = opened(f"unix://{server.socket}?db=3")
        backend.broker.publish([job()])
        assert opened(server.url.replace("/0", "/3")).broker.counts()["default"].ready == 1
        assert opened(server.url).broker.counts() == {}

    def test_prefixes_know_nothing_of_each_other(self, server: Server) -> None:
        one, other = opened(server.url + "?prefix=one"), opened(server.url + "?prefix=other")
        one.broker.publish([job(key="k")])
        assert other.broker.counts() == {}
        assert other.broker.publish([job(key="k")])[0].created
        assert [d.envelope.key for d in worker(other).claim(["default"], 10, 0)] == ["k"]
        assert one.broker.counts()["default"].ready == 1
        assert {key.split(b":")[0] for key in server.client().keys("*")} == {b"{one}", b"{other}"}

    def test_every_key_lies_in_one_slot(self, server: Server) -> None:
        backend = opened(server.url)
        consumer = worker(backend)
        backend.broker.publish([job(), job(delay=50), job(key="k", lifetime=100, queue="q")])
        settle(consumer, list(consumer.claim(["default", "q"], 1, 0)))
        assert backend.results is not None
        backend.results.wait([job().id], 0)
        keys = server.client().keys("*")
        assert len(keys) > 8
        assert all(key.startswith(b"{tidewheel}:") for key in keys)


class TestDescription:
    @pytest.mark.parametrize(
        ("settings", "level"),
        [
            ({"appendonly": "no"}, "volatile"),
            ({"appendonly": "yes", "appendfsync": "everysec"}, "process"),
            ({"appendonly": "yes", "appendfsync": "always"}, "power loss"),
            ({"appendonly": "yes", "appendfsync": "no"}, "volatile"),
            ({"appendonly": "no", "save": "3600 1"}, "volatile"),
        ],
    )
    def test_levels(self, serve: Serve, settings: dict[str, str], level: str) -> None:
        described = opened(serve(**settings).url).broker.describe()
        assert (described.engine, described.level) == ("redis", level)
        assert any("appendonly yes" in note for note in described.notes) is (settings["appendonly"] == "no")
        if settings["appendonly"] == "no":
            assert ("since its last snapshot" in described.durability) is ("save" in settings)

    def test_where_config_may_not_be_read(self, serve: Serve) -> None:
        server = serve(appendonly="yes", rename_command="CONFIG nobody")
        described = opened(server.url).broker.describe()
        assert described.level == "process"
        assert any("durability unknown" in note for note in described.notes)

    def test_a_failed_snapshot_and_a_missing_bound_are_told(self, serve: Serve) -> None:
        server = serve(save="3600 1")
        _break_saving(server)
        notes = " ".join(opened(server.url).broker.describe().notes)
        assert "MISCONF" in notes
        assert "maxmemory is not set" in notes


def _break_saving(server: Server) -> None:
    shutil.rmtree(server.folder)
    client = server.client()
    client.set("x", 1)
    client.bgsave()
    eventually(lambda: (i := client.info("persistence"))["rdb_last_bgsave_status"] != "ok" and not i["rdb_bgsave_in_progress"])


class TestRefusals:
    """The server is there and does not want to. Nothing is stored, and it is said what mends it."""

    def test_it_cannot_save(self, serve: Serve) -> None:
        server = serve(save="3600 1")
        backend = opened(server.url)
        _break_saving(server)
        with pytest.raises(BrokerUnavailable, match="cannot save to its disk"):
            backend.broker.publish([job()])
        with pytest.raises(BrokerUnavailable, match="cannot save"):
            worker(backend)
        opened(server.url).broker.close()
        server.client().config_set("stop-writes-on-bgsave-error", "no")
        assert backend.broker.publish([job()])[0].created

    def test_a_replica(self, server: Server) -> None:
        backend = opened(server.url)
        server.client().replicaof("127.0.0.1", 1)
        with pytest.raises(BrokerUnavailable, match="read-only replica"):
            backend.broker.publish([job()])
        assert any("replica" in note for note in backend.broker.describe().notes)
        server.client().replicaof("NO", "ONE")
        assert backend.broker.publish([job()])[0].created

    def test_somebodys_long_script(self, serve: Serve) -> None:
        server = serve(busy_reply_threshold="50")
        backend = opened(server.url)
        hog = threading.Thread(target=_hog, args=(server,))
        hog.start()
        with pytest.raises(BrokerUnavailable, match="SCRIPT KILL"):
            for _ in range(100_000):
                backend.broker.counts()
        server.client().script_kill()
        hog.join(10)
        assert backend.broker.publish([job()])[0].created

    def test_its_scripts_are_forgotten(self, server: Server) -> None:
        backend = opened(server.url)
        consumer = worker(backend)
        client = server.client()
        ids = []
        for _ in range(3):
            client.script_flush()
            ids.append(backend.broker.publish([job()])[0].id)
            client.script_flush()
            (delivery,) = consumer.claim(["default"], 1, 0)
            client.script_flush()
            assert settle(consumer, [delivery]) == ["ok"]
        assert backend.results is not None
        assert {r.state for r in backend.results.records(ids).values()} == {"succeeded"}

    def test_keys_of_somebody_else(self, server: Server) -> None:
        server.client().set("{tidewheel}:job", "mine")
        with pytest.raises(BrokerCorrupt, match="prefix"):
            opened(server.url).broker.publish([job()])


def _hog(server: Server) -> None:
    client = server.client(socket_timeout=30)
    try:
        client.eval("while true do end", 0)
    except Exception:
        pass


@pytest.mark.parametrize("flags", [True, False], ids=["redis-7", "redis-6"])
def test_a_full_server_takes_nothing_and_drains(server: Server, flags: bool) -> None:
    client = server.client()
    backend = opened(server.url, flags=flags)
    consumer = worker(backend)
    first = [job(body=b"x" * 500) for _ in range(300)]
    backend.broker.publish(first)
    held = list(consumer.claim(["default"], 100, 0))
    client.config_set("maxmemory", client.info("memory")["used_memory"] - 1000)
    before = {key: _content(client, key) for key in client.keys("*")}
    for batch in ([job()], [job(key="k", delay=5)], [job(body=b"y" * 10_000) for _ in range(50)]):
        with pytest.raises(BrokerFull, match="maxmemory"):
            backend.broker.publish(batch)
    assert {key: _content(client, key) for key in client.keys("*")} == before
    assert not consumer.beat().lost
    assert settle(consumer, held) == ["ok"] * 100
    while more := list(consumer.claim(["default"], 50, 0)):
        assert set(settle(consumer, more)) == {"ok"}
    backend.broker.sweep()
    assert backend.results is not None
    assert {r.state for r in backend.results.records([e.id for e in first]).values()} == {"succeeded"}
    assert backend.results.forget([e.id for e in first]) == 300
    client.config_set("maxmemory", 0)
    assert backend.broker.publish([job()])[0].created


def _content(client: object, key: bytes) -> object:
    return client.dump(key)  # type: ignore[attr-defined]


def test_a_thousand_times_more_than_usual_is_all_or_nothing(server: Server) -> None:
    backend, other = opened(server.url), opened(server.url)
    seen: set[int] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            found = other.broker.counts(["default"])["default"]
            seen.add(found.ready + found.scheduled)

    watching = threading.Thread(target=watch)
    watching.start()
    batch = [job(delay=100.0 if n % 3 == 0 else 0.0) for n in range(20_000)]
    receipts = backend.broker.publish(batch)
    done.set()
    watching.join()
    assert [r.id for r in receipts] == [e.id for e in batch]
    assert seen <= {0, 20_000}
    assert not any(r.created for r in backend.broker.publish(batch))


def test_more_than_can_be_is_said(server: Server) -> None:
    with pytest.raises(ConfigurationError, match="publish them in several"):
        opened(server.url).broker.publish([job()] * 250_001)
    with pytest.raises(ConfigurationError, match="bytes in one publication"):
        opened(server.url).broker.publish([job(body=bytes(1_000_000))] * 300)


def test_a_node_of_a_cluster(serve: Serve) -> None:
    """One that checks that a script touches keys of one slot only."""
    server = serve(cluster_enabled="yes")
    client = server.client()
    client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    eventually(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
    backend = opened(server.url)
    consumer = worker(backend)
    waiting = Aside(consumer.claim, ["default", "other"], 5, 20)
    ids = [r.id for r in backend.broker.publish([job(), job(queue="other", key="k", lifetime=60), job(delay=100)])]
    deliveries = list(waiting.answer(within=5))
    deliveries += consumer.claim(["default", "other"], 5, 0)
    assert {d.id for d in deliveries} == set(ids[:2])
    assert backend.results is not None
    assert backend.control is not None
    listening = Aside(backend.results.wait, ids[:1], 20)
    assert settle(consumer, deliveries) == ["ok", "ok"]
    assert set(listening.answer(within=6)) == {ids[0]}
    assert list(backend.control.cancel(ids[2:])) == ["cancelled"]
    backend.broker.sweep()
    consumer.close()


def test_results_in_another_database(server: Server) -> None:
    backend = connect(server.url.replace("/0", "/8"), server.url.replace("/0", "/9"))
    backend.broker.open()
    (receipt,) = backend.broker.publish([job()])
    consumer = worker(backend)
    assert backend.results is not None
    listening = Aside(backend.results.wait, [receipt.id], 20)
    eventually(lambda: server.client(db=9).hlen("{tidewheel}:wait") == 1)
    assert settle(consumer, list(consumer.claim(["default"], 1, 0))) == ["ok"]
    assert listening.answer(within=2)[receipt.id].value == b"v"
    assert server.client(db=8).hlen("{tidewheel}:archive") == 0
    assert server.client(db=9).hlen("{tidewheel}:archive") == 1
    consumer.close()
    backend.broker.close()


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem"), "-subj", "/CN=redis"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return tmp_path


def test_within_tls(serve: Serve, certificates: Path) -> None:
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    cert = str(certificates / "cert.pem")
    serve(tls_port=str(port), tls_cert_file=cert, tls_key_file=str(certificates / "key.pem"), tls_ca_cert_file=cert, tls_auth_clients="no")
    backend = opened(f"rediss://127.0.0.1:{port}/0?ca={cert}")
    consumer = worker(backend)
    waiting = Aside(consumer.claim, ["default"], 1, 20)
    backend.broker.publish([job(body=b"x" * 100_000)])
    deliveries = list(waiting.answer(within=5))
    assert backend.results is not None
    listening = Aside(backend.results.wait, [deliveries[0].id], 20)
    assert settle(consumer, deliveries) == ["ok"]
    assert len(listening.answer(within=5)) == 1
    with pytest.raises(BrokerUnavailable, match="certificate"):
        opened(f"rediss://127.0.0.1:{port}/0")
    with pytest.raises(BrokerUnavailable, match=r"[Hh]ostname|certificate"):
        opened(f"rediss://localhost:{port}/0?ca={cert}")
    backend.broker.close()


def test_an_id_that_is_none(server: Server) -> None:
    with pytest.raises(ConfigurationError, match="not a job id"):
        opened(server.url).broker.publish([job(id="17")])


def test_a_forked_child_makes_its_own_connections(server: Server, tmp_path: Path) -> None:
    backend = opened(server.url)
    backend.broker.publish([job()])
    parent = server.client().client_list()
    said = tmp_path / "said"
    pid = os.fork()
    if pid == 0:
        try:
            backend.broker.publish([job()])
            said.write_text(str(backend.broker.counts()["default"].ready))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert said.read_text() == "2"
    still = {c["id"] for c in server.client().client_list()}
    assert {c["id"] for c in parent if c["name"] == "tidewheel"} <= still
    assert backend.broker.counts()["default"].ready == 2
