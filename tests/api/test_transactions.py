"""`app.transaction`, `using(tx=…)` and `job.transaction()`: jobs and data in one commit, on SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidewheel import Context, Retry, Tidewheel
from tidewheel.errors import BrokerCorrupt, ConfigurationError, JobFailed, MissingRole
from tidewheel.testing import run_pending


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "site.db"


@pytest.fixture
def app(path: Path) -> Iterator[Tidewheel]:
    with Tidewheel(f"sqlite:///{path}") as app:
        app.counts()  # the file is there from here on
        yield app


@pytest.fixture
def data(app: Tidewheel, path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE account (name TEXT PRIMARY KEY)")
    yield connection
    connection.close()


def names(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = [name for (name,) in connection.execute("SELECT name FROM account ORDER BY name")]
    connection.close()
    return found


class Stop(Exception):
    pass


# -- publishing --------------------------------------------------------------------------------------------------------


def test_what_is_published_in_the_block_belongs_to_it(app: Tidewheel, data: sqlite3.Connection, path: Path) -> None:
    welcome = app.task(name="welcome")(lambda name: f"hello {name}")
    with app.transaction(data) as connection:
        assert connection is data
        connection.execute("INSERT INTO account VALUES ('ada')")
        results = [welcome.delay("ada"), *welcome.map(["bob", "eve"]), *app.publish_many([welcome.call("dan")])]
        assert not any(c.ready for c in app.counts().values())
    assert run_pending(app) == 4
    assert [r.get(1) for r in results] == ["hello ada", "hello bob", "hello eve", "hello dan"]
    assert names(path) == ["ada"]
    with pytest.raises(Stop), app.transaction(data):
        data.execute("INSERT INTO account VALUES ('eve')")
        welcome.delay("eve")
        raise Stop
    assert run_pending(app) == 0
    assert names(path) == ["ada"]


def test_async_publications_belong_to_it_too(app: Tidewheel, data: sqlite3.Connection) -> None:
    task = app.task(name="task")(lambda n: n)

    async def publish() -> None:
        with pytest.raises(Stop), app.transaction(data):
            await asyncio.gather(task.adelay(1), task.adelay(2))
            raise Stop
        await task.adelay(3)

    asyncio.run(publish())
    assert run_pending(app) == 1


def test_what_outlives_the_block_publishes_for_itself(app: Tidewheel, data: sqlite3.Connection) -> None:
    task = app.task(name="task")(lambda n: n)

    async def publish() -> None:
        over = asyncio.Event()

        async def later() -> None:
            await over.wait()
            await task.adelay(1)

        with app.transaction(data):
            job = asyncio.create_task(later())
        over.set()
        await job

    asyncio.run(publish())
    assert run_pending(app) == 1


def test_other_threads_and_other_apps_are_not_part_of_it(app: Tidewheel, data: sqlite3.Connection, tmp_path: Path) -> None:
    with Tidewheel(f"sqlite:///{tmp_path}/other.db") as other:
        here, there = app.task(name="t")(lambda: None), other.task(name="t")(lambda: None)
        started = threading.Event()

        def publish() -> None:
            started.set()
            here.delay()

        thread = threading.Thread(target=publish)
        with pytest.raises(Stop), app.transaction(data):
            thread.start()
            assert started.wait(10)
            here.delay()
            there.delay()
            raise Stop
        thread.join(10)  # it had to wait for the end of the block: SQLite has one writer
        assert run_pending(app) == 1
        assert run_pending(other) == 1


def test_using_tx_joins_a_transaction_that_is_open(app: Tidewheel, data: sqlite3.Connection) -> None:
    task = app.task(name="task")(lambda n: n)
    joined = task.using(tx=data, priority=5)
    data.execute("BEGIN IMMEDIATE")
    joined.delay(1)
    data.execute("ROLLBACK")
    assert run_pending(app) == 0
    data.execute("BEGIN IMMEDIATE")
    result = joined.delay(2)
    data.execute("COMMIT")
    assert run_pending(app) == 1
    assert result.get(1) == 2
    with pytest.raises(ConfigurationError, match="no transaction is open"):
        joined.delay(3)
    with pytest.raises(ConfigurationError, match="different connections"):
        app.publish_many([task.call(1), joined.call(2)])


def test_rows_may_be_of_any_make(app: Tidewheel, data: sqlite3.Connection) -> None:
    data.row_factory = lambda cursor, row: {c[0]: v for c, v in zip(cursor.description, row, strict=True)}
    task = app.task(name="task")(lambda n: n)
    with app.transaction(data):
        task.using(key="k").delay(1)
        assert task.using(key="k").delay(2).created is False
    assert run_pending(app) == 1


def test_an_engine_without_transactions_says_so(data: sqlite3.Connection) -> None:
    with Tidewheel("memory://transactions") as app:
        task = app.task(name="task")(lambda n: n)
        with pytest.raises(MissingRole, match=r"postgresql:// or sqlite://"), app.transaction(data):
            pass
        with pytest.raises(MissingRole, match="in a transaction of yours"):
            task.using(tx=data).delay(1)


def test_nothing_is_awaited_in_a_file(app: Tidewheel, data: sqlite3.Connection) -> None:
    async def begin() -> None:
        async with app.transaction(data):
            pass

    with pytest.raises(MissingRole, match=r"`async with`.*a postgresql:// broker can"):
        asyncio.run(begin())
    with pytest.raises(ConfigurationError, match=r"needs a sqlite3\.Connection.*<class 'object'>"):
        asyncio.run(app.task(name="task")(lambda n: n).using(tx=object()).adelay(1))


def test_inside_of_the_block_other_changes_are_refused_at_once(app: Tidewheel, data: sqlite3.Connection) -> None:
    task = app.task(name="task")(lambda n: n)
    result = task.delay(1)
    with app.transaction(data), pytest.raises(ConfigurationError, match="inside of its block"):
        result.cancel()
    assert result.cancel() == "cancelled"


# -- a file for both ----------------------------------------------------------------------------------------------------


def test_a_file_with_tables_of_another_program_is_used_when_told(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE account (name TEXT)")
    connection.close()
    with pytest.raises(BrokerCorrupt, match="shared=yes"):
        Tidewheel(f"sqlite:///{path}").counts()
    for url in (f"sqlite:///{path}?shared=yes", f"sqlite:///{path}"):
        with Tidewheel(url) as app:
            app.task(name="task")(lambda n: n).delay(1)
            assert run_pending(app) == 1
    assert names(path) == []


def test_a_table_of_the_same_name_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE Job (title TEXT)")
    connection.close()
    with pytest.raises(BrokerCorrupt, match="'Job'"):
        Tidewheel(f"sqlite:///{path}?shared=yes").counts()


# -- effect and acknowledgement -----------------------------------------------------------------------------------------


def test_a_task_commits_its_writes_with_its_acknowledgement(app: Tidewheel, data: sqlite3.Connection, path: Path) -> None:
    @app.task(name="after")
    def after(name: str) -> str:
        return name

    @app.task(context=True)
    def sign_up(job: Context, name: str) -> str:
        with job.transaction() as connection:
            connection.execute("INSERT INTO account VALUES (?)", (name,))
            after.delay(name)
        assert names(path) == []
        with job.transaction() as same:
            assert same is connection
        return f"hello {name}"

    result = sign_up.delay("ada")
    assert run_pending(app) == 2
    assert result.get(1) == "hello ada"
    assert names(path) == ["ada"]
    assert not any(c.running for c in app.counts().values())


@pytest.mark.parametrize("where", ["inside", "after"])
def test_a_task_that_raises_undoes_its_writes(app: Tidewheel, data: sqlite3.Connection, path: Path, where: str) -> None:
    after = app.task(name="after")(lambda: None)

    @app.task(context=True, retry=Retry(2, delay=0))
    def sign_up(job: Context, name: str) -> None:
        with job.transaction() as connection:
            connection.execute("INSERT INTO account VALUES (?)", (name,))
            after.delay()
            if job.attempt == 1 and where == "inside":
                raise Stop
        if job.attempt == 1:
            raise Stop

    result = sign_up.using(retry=1).delay("ada")
    assert run_pending(app) == 1
    with pytest.raises(JobFailed):
        result.get(1)
    assert names(path) == []
    result = sign_up.delay("ada")
    assert run_pending(app) == 3
    assert result.get(1) is None
    assert names(path) == ["ada"]


def test_a_block_whose_error_is_caught_was_undone(app: Tidewheel, data: sqlite3.Connection, path: Path) -> None:
    @app.task(context=True)
    def sign_up(job: Context) -> int:
        for name in ("eve", "ada"):
            try:
                with job.transaction() as connection:
                    connection.execute("INSERT INTO account VALUES (?)", (name,))
                    if name == "eve":
                        raise Stop
            except Stop:
                pass
        return 7

    result = sign_up.delay()
    assert run_pending(app) == 1
    assert result.get(1) == 7
    assert names(path) == ["ada"]


def test_an_error_at_the_commit_is_the_tasks_own(app: Tidewheel, data: sqlite3.Connection, path: Path) -> None:
    data.execute("CREATE TABLE owner (name TEXT REFERENCES account (name) DEFERRABLE INITIALLY DEFERRED)")

    @app.task(context=True)
    def own(job: Context) -> None:
        with job.transaction() as connection:
            connection.execute("INSERT INTO owner VALUES ('nobody')")

    result = own.delay()
    run_pending(app)
    with pytest.raises(JobFailed, match="FOREIGN KEY"):
        result.get(1)
    assert not any(c.running for c in app.counts().values())


def test_follow_ups_are_part_of_it(app: Tidewheel, data: sqlite3.Connection) -> None:
    after = app.task(name="after")(lambda: 7)

    @app.task(context=True)
    def first(job: Context) -> None:
        job.follow(after.call())
        with job.transaction() as connection:
            connection.execute("INSERT INTO account VALUES ('ada')")

    first.delay()
    assert run_pending(app) == 2


def test_where_it_cannot_be(app: Tidewheel) -> None:
    @app.task(context=True)
    async def wait(job: Context) -> None:
        with job.transaction():
            pass

    @app.task(context=True)
    def plain(job: Context) -> None:
        with job.transaction():
            pass

    result: Any = wait.delay()
    run_pending(app)
    with pytest.raises(JobFailed, match="`def` tasks"):
        result.get(1)
    with pytest.raises(ConfigurationError, match="no worker runs this job"):
        plain()
    with Tidewheel("memory://no-transactions") as other:
        task = other.task(context=True, name="plain")(plain.function)
        result = task.delay()
        run_pending(other)
        with pytest.raises(JobFailed, match="cannot publish in a transaction"):
            result.get(1)
