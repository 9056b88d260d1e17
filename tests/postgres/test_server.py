"""What the server is set to, may do and may not, and how the schema fares: what is guaranteed, refused and said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from mill import job, settle, worker
from postgres_field import opened
from postgres_server import Bouncer, Server

from tidewheel.backends.postgres import migrating, wire
from tidewheel.backends.postgres.address import parse
from tidewheel.backends.postgres.faults import translate
from tidewheel.backends.postgres.schema import steps
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import Backend, Settlement, Transactions
from tidewheel.core.outcome import Dead, Succeeded
from tidewheel.errors import BrokerCorrupt, BrokerError, BrokerFull, BrokerUnavailable, ConfigurationError
from tidewheel.testing.conformance.harness import Aside, eventually

Serve = Callable[..., Server]


class TestWhatIsSaid:
    def test_the_usual(self, server: Server) -> None:
        told = opened(server.url).broker.describe()
        assert (told.engine, told.level, told.notes) == ("postgresql", "power loss", ())
        assert told.version.startswith(str(server.client().info.server_version // 10000))

    def test_fsync_off_is_said_loudly(self, url: str) -> None:
        told = opened(url).broker.describe()
        assert told.level == "volatile"
        assert any("fsync is off" in note and "fsync = on" in note for note in told.notes)

    def test_asynchronous_commit(self, serve: Serve) -> None:
        told = opened(serve(synchronous_commit="off", full_page_writes="off").url).broker.describe()
        assert told.level == "process"
        assert any("ALTER ROLE" in note for note in told.notes)
        assert any("full_page_writes is off" in note for note in told.notes)

    def test_a_synchronous_standby(self, server: Server) -> None:
        """Nobody follows, so commits would wait: it is only asked."""
        backend = opened(server.url)
        server.sql("ALTER SYSTEM SET synchronous_standby_names = 'other'")
        server.sql("SELECT pg_reload_conf()")
        eventually(lambda: server.sql("SHOW synchronous_standby_names") == [("other",)])
        assert backend.broker.describe().level == "replicated"

    def test_an_old_snapshot(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        backend = opened(url)
        store: Store = backend.broker._store  # type: ignore[attr-defined]
        store._statements["describe"] = store.sql("describe").replace(b"600 s", b"0 s")
        with psycopg.connect(url) as other:
            other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            other.execute("SELECT 1")
            notes = backend.broker.describe().notes
        assert any("a transaction has kept dead rows" in n and "pg_terminate_backend" in n for n in notes)

    def test_a_pooler(self, bouncer: Bouncer, url: str) -> None:
        told = opened(bouncer.through(url)).broker.describe()
        assert any("a pooler stands before the server" in note for note in told.notes)

    def test_no_password_is_said(self, url: str) -> None:
        backend = opened(url.replace("postgres@", "postgres:hush@"))
        assert "hush" not in repr(backend.broker.describe())


class TestWhatIsRefused:
    def test_a_read_only_server(self, url: str) -> None:
        """As a standby answers: everything that only looks goes on."""
        backend = opened(url)
        (receipt,) = backend.broker.publish([job()])
        store: Store = backend.broker._store  # type: ignore[attr-defined]
        store.connections.drop()
        made = store.connections._made

        def read_only(connection: Any) -> None:
            made(connection)
            connection.execute("SET default_transaction_read_only = on")

        store.connections._made = read_only
        with pytest.raises(BrokerUnavailable, match=r"read-only standby.*primary"):
            backend.broker.publish([job()])
        assert backend.broker.counts()["default"].ready == 1
        assert backend.results is not None
        assert backend.results.records([receipt.id])[receipt.id].state == "ready"

    def test_no_connection_to_spare(self, serve: Serve) -> None:
        server = serve(max_connections="12", superuser_reserved_connections="0")
        others = [server.client() for _ in range(11)]
        with pytest.raises(BrokerUnavailable, match=r"no connection to spare.*max_connections"):
            # The first takes the last place; its worker listens on another.
            worker(opened(server.url))
        for other in others:
            other.close()

    def test_a_user_who_may_not(self, shared: Server, url: str) -> None:
        database = url.rsplit("/", 1)[1]
        shared.sql(f"DROP ROLE IF EXISTS nobody_{database}")
        shared.sql(f"CREATE ROLE nobody_{database} LOGIN; REVOKE CREATE ON DATABASE {database} FROM PUBLIC")
        theirs = url.replace("postgres@", f"nobody_{database}@")
        with pytest.raises(BrokerError, match="tidewheel db migrate"):
            opened(theirs)
        opened(url)
        with pytest.raises(BrokerUnavailable, match="permissions"):
            opened(theirs)
        shared.sql(
            f"GRANT USAGE, CREATE ON SCHEMA tidewheel TO nobody_{database};"
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tidewheel TO nobody_{database};",
            database,
        )
        backend = opened(theirs)
        backend.broker.publish([job()])
        consumer = worker(backend)
        assert settle(consumer, list(consumer.claim(["default"], 1, 0))) == ["ok"]

    @pytest.mark.parametrize(
        ("state", "kind", "said"),
        [
            ("57P01", BrokerUnavailable, "ended the connection"), ("57P02", BrokerUnavailable, "ended the connection"),
            ("57P03", BrokerUnavailable, "starting up"), ("08006", BrokerUnavailable, "is it running"),
            ("53300", BrokerUnavailable, "max_connections"), ("53100", BrokerFull, "no room"), ("40001", BrokerUnavailable, "try again"),
            ("40P01", BrokerUnavailable, "try again"), ("55P03", BrokerUnavailable, "holds a lock"),
            ("25006", BrokerUnavailable, "standby"), ("28P01", BrokerUnavailable, "PGPASSWORD"),
            ("42P01", BrokerCorrupt, "tidewheel db migrate"), ("57014", BrokerUnavailable, "statement_timeout"),
        ],
    )  # fmt: skip
    def test_every_code_has_a_sentence(self, state: str, kind: type[BrokerError], said: str) -> None:
        error = psycopg.errors.lookup(state)("it says so, password=hush")
        fault = translate(error, parse("postgresql://u:p@h/d"))
        assert type(fault) is kind
        assert said in str(fault)
        assert "hush" not in str(fault)

    def test_conflicts_are_tried_again(self, url: str) -> None:
        """Two who publish the same keys in another order, and a deadlock that is somebody else's fault."""
        first, second = opened(url), opened(url)
        for n in range(20):
            a, b = job(key=f"a{n}"), job(key=f"b{n}")
            asides = [Aside(first.broker.publish, [a, b]), Aside(second.broker.publish, [job(key=f"b{n}"), job(key=f"a{n}")])]
            receipts = [aside.answer() for aside in asides]
            assert receipts[0][0].id == receipts[1][1].id
            assert receipts[0][1].id == receipts[1][0].id


class TestSchema:
    def test_two_apps_in_two_schemas(self, url: str) -> None:
        one, other = opened(url + "?schema=one"), opened(url + "?schema=other")
        (receipt,) = one.broker.publish([job()])
        assert other.broker.counts() == {}
        waiting = Aside(worker(other).claim, ["default"], 1, 0.5)
        one.broker.publish([job()])
        assert waiting.answer() == []
        assert [d.id for d in worker(one).claim(["default"], 1, 0)] == [receipt.id]

    def test_a_schema_of_somebody_else(self, shared: Server, url: str) -> None:
        shared.sql("CREATE SCHEMA theirs; CREATE TABLE theirs.job (x int)", url.rsplit("/", 1)[1])
        with pytest.raises(BrokerCorrupt, match=r"something else; choose another with \?schema="):
            opened(url + "?schema=theirs")

    def test_many_processes_open_a_new_database_at_once(self, url: str) -> None:
        for aside in [Aside(opened, url) for _ in range(6)]:
            aside.answer().broker.close()
        status = wire(Store(parse(url))).migrations
        assert status is not None
        assert all(step.applied is not None for step in status.status())

    def test_migrate_says_what_it_did(self, url: str) -> None:
        role = wire(Store(parse(url))).migrations
        assert role is not None
        assert {step.applied for step in role.status()} == {None}
        assert all("{schema}" not in step.sql and '"tidewheel".' in step.sql for step in role.status())
        assert [m.number for m in role.migrate()] == [s.number for s in steps()]
        assert role.migrate() == []

    def test_an_older_schema_is_the_operator_s_business(self, shared: Server, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        opened(url)
        later = type(steps()[0])(len(steps()) + 1, "later", 1, "ALTER TABLE {schema}.job ADD later text")
        monkeypatch.setattr(migrating, "steps", lambda: (*steps(), later))
        monkeypatch.setattr(migrating, "newest", lambda: later.number)
        with pytest.raises(BrokerError, match=rf"older than this release.*{later.number} later.*tidewheel db migrate"):
            opened(url)
        role = wire(Store(parse(url))).migrations
        assert role is not None
        assert [m.name for m in role.migrate()] == ["later"]
        opened(url)

    def test_an_old_worker_on_a_newer_schema(self, shared: Server, url: str) -> None:
        """What is added does not disturb it, not even while it works with prepared statements."""
        backend = opened(url)
        consumer = worker(backend)
        backend.broker.publish([job() for _ in range(4)])
        assert settle(consumer, list(consumer.claim(["default"], 1, 0))) == ["ok"]
        shared.sql(
            "ALTER TABLE tidewheel.job ADD later text DEFAULT 'x'; ALTER TABLE tidewheel.ended ADD later text;"
            "INSERT INTO tidewheel.migration VALUES (999, 'later', 1, 1)",
            url.rsplit("/", 1)[1],
        )
        assert settle(consumer, list(consumer.claim(["default"], 1, 0))) == ["ok"]
        again = opened(url)
        assert settle(worker(again), list(worker(again).claim(["default"], 1, 0))) in (["ok"], ["stale"])
        assert again.broker.publish([job()])[0].created

    def test_a_schema_that_needs_a_newer_release(self, shared: Server, url: str) -> None:
        opened(url)
        shared.sql("INSERT INTO tidewheel.migration VALUES (999, 'later', 1, 999)", url.rsplit("/", 1)[1])
        with pytest.raises(BrokerCorrupt, match="upgrade Tidewheel here"):
            opened(url)


class TestTransactions:
    """What the suite does not know: this driver's kinds of connection."""

    @pytest.fixture
    def role(self, url: str) -> Iterator[tuple[Backend, Transactions]]:
        backend = opened(url)
        assert backend.transactions is not None
        yield backend, backend.transactions
        backend.broker.close()

    def test_another_kind_of_rows(self, role: tuple[Backend, Transactions], url: str) -> None:
        backend, transactions = role
        with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as mine, transactions.begin(mine):
            assert transactions.publish([job(), job(key="k")], mine)[0].created
            assert mine.execute("SELECT 1 AS one").fetchone() == {"one": 1}
        assert backend.broker.counts()["default"].ready == 2

    def test_a_task_that_passes_over_a_failed_statement_has_failed(self, role: tuple[Backend, Transactions]) -> None:
        """An error of the broker's would be a lost run, and come again."""
        backend, transactions = role
        consumer = worker(backend)
        backend.broker.publish([job()])
        (delivery,) = consumer.claim(["default"], 1, 0)
        with pytest.raises(ConfigurationError, match="block of its own"), transactions.begin() as ours:
            with pytest.raises(psycopg.errors.DivisionByZero):
                ours.execute("SELECT 1 / 0")
            transactions.settle([Settlement(delivery.envelope.id, delivery.token, Succeeded(None))], ours)
        assert settle(consumer, [delivery]) == ["ok"]

    def test_autocommit_without_a_block(self, role: tuple[Backend, Transactions], url: str) -> None:
        with psycopg.connect(url, autocommit=True) as mine, pytest.raises(ConfigurationError, match="autocommit"):
            role[1].publish([job()], mine)

    def test_a_look_leaves_no_transaction_open(self, role: tuple[Backend, Transactions], url: str) -> None:
        with psycopg.connect(url) as mine, role[1].begin(mine):
            pass
        with psycopg.connect(url) as mine:
            with role[1].begin(mine):
                role[1].publish([job()], mine)
            assert mine.info.transaction_status == psycopg.pq.TransactionStatus.IDLE

    def test_a_worker_is_not_kept_waiting_by_a_long_one(self, role: tuple[Backend, Transactions], url: str) -> None:
        """A lock that lasts to the end of the user's transaction would keep workers from saying that they are idle."""
        backend, transactions = role
        consumer = worker(backend)
        with psycopg.connect(url) as mine, transactions.begin(mine):
            transactions.publish([job()], mine)
            waiting = Aside(consumer.claim, ["default"], 1, 30)
            eventually(lambda: consumer._ears.marked)
            began = time.monotonic()
            backend.broker.publish([job()])
            assert len(waiting.answer(5)) == 1
            assert time.monotonic() - began < 1

    def test_through_a_pooler(self, bouncer: Bouncer, url: str) -> None:
        backend = opened(bouncer.through(url))
        assert backend.transactions is not None
        with psycopg.connect(bouncer.through(url), prepare_threshold=None) as mine, backend.transactions.begin(mine):
            backend.transactions.publish([job()], mine)
        (delivery,) = worker(backend).claim(["default"], 1, 0)
        assert delivery.deliveries == 1


def test_broadcasts_need_a_session(bouncer: Bouncer, url: str) -> None:
    backend = opened(bouncer.through(url))
    assert backend.broadcaster is not None
    with pytest.raises(BrokerUnavailable, match=r"\?listen=host:port"):
        backend.broadcaster.listen(lambda message: None)
    direct = opened(f"{bouncer.through(url)}?listen=127.0.0.1:{bouncer.server.port}")
    assert direct.broadcaster is not None
    import queue

    heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    end = direct.broadcaster.listen(heard.put)
    assert backend.broadcaster.send(b"x" * 100_000) == 1
    assert heard.get(timeout=5) == b"x" * 100_000
    end()
    with pytest.raises(ConfigurationError, match="takes up to"):
        backend.broadcaster.send(b"x" * 2_000_000)


def test_listen_off_looks_instead(url: str) -> None:
    consumer = worker(opened(url + "?listen=off"))
    waiting = Aside(consumer.claim, ["default"], 1, 30)
    opened(url).broker.publish([job()])
    assert len(waiting.answer(5)) == 1
    with closing(psycopg.connect(url)) as other:
        here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        row = other.execute(f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND {here}").fetchone()
    assert row == (0,)


def test_dead_letters_outlive_their_results(url: str) -> None:
    """Each ended job lies in the partition of its own time, and a partition that is missing is made."""
    backend = opened(url)
    consumer = worker(backend)
    backend.broker.publish([job() for _ in range(3)])
    outcomes = [Succeeded(b"v", 60.0), Dead("failed"), Succeeded(b"v", 90 * 86_400.0)]
    for delivery, outcome in zip(consumer.claim(["default"], 3, 0), outcomes, strict=True):
        assert settle(consumer, [delivery], outcome) == ["ok"]
    with closing(psycopg.connect(url)) as other:
        rows = other.execute("SELECT tableoid::regclass::text, state FROM tidewheel.ended ORDER BY keep").fetchall()
    assert len({table for table, _ in rows}) == 3
    assert [state for _, state in rows] == [3, 4, 3]
