"""`async with app.transaction(…)` and `using(tx=…)` on a connection that is awaited: jobs and data in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest
from postgres_server import Bouncer
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from tidewheel import Tidewheel
from tidewheel.errors import BrokerUnavailable, ConfigurationError, MissingRole
from tidewheel.task import Task
from tidewheel.testing import run_pending
from tidewheel.testing.conformance.harness import eventually

Connection: TypeAlias = psycopg.AsyncConnection[Any]


class Stop(Exception):
    pass


@pytest.fixture
def app(url: str) -> Iterator[Tidewheel]:
    with Tidewheel(url) as app:
        yield app


@pytest.fixture
def task(app: Tidewheel) -> Task[[int], int]:
    return app.task(name="task")(lambda n: n)


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Connection]:
    connection = await psycopg.AsyncConnection.connect(url, **options)
    try:
        yield connection
    finally:
        await connection.close()


def within(url: str, test: Callable[[Connection], Awaitable[None]], **options: Any) -> None:
    """Run a test with a connection of the user's to this database, with a table of theirs."""

    async def run() -> None:
        async with connected(url, **options) as data:
            await data.execute("CREATE TABLE IF NOT EXISTS account (name text PRIMARY KEY)")
            await data.commit()
            await test(data)

    asyncio.run(run())


def names(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM account ORDER BY name").fetchall()]


def ready(app: Tidewheel) -> int:
    return sum(c.ready for c in app.counts().values())


def held_up(connection: psycopg.Connection[Any]) -> bool:
    """Whether somebody waits for a lock of somebody's."""
    row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
    return row is not None and row[0] > 0


class Obstacle:
    """Somebody else who is about to publish this key: whoever publishes it, too, waits for the end of their transaction."""

    def __init__(self, url: str, key: str) -> None:
        self._app = Tidewheel(url)
        self._connection = psycopg.connect(url)
        self._app.task(name="task")(lambda n: n).using(key=key, tx=self._connection).delay(0)

    async def met(self) -> None:
        """Until somebody waits."""
        with psycopg.connect(self._connection.info.dsn, autocommit=True) as looking:
            await asyncio.to_thread(eventually, lambda: held_up(looking))

    def remove(self) -> None:
        self._connection.rollback()

    def __enter__(self) -> Obstacle:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()
        self._app.close()


class TestTheBlock:
    def test_all_that_is_published_in_it_belongs_to_it(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        async def test(data: Connection) -> None:
            async with app.transaction(data) as connection:  # the first use of the app: it opens by itself
                assert connection is data
                await connection.execute("INSERT INTO account VALUES ('ada')")
                first = await task.adelay(1)
                several = await app.apublish_many([task.call(2), task.using(priority=3).call(3)])
                both = await asyncio.gather(task.adelay(4), task.adelay(5))
                assert ready(app) == 0
                assert names(url) == []
            assert ready(app) == 5
            assert names(url) == ["ada"]
            assert data.info.transaction_status == TransactionStatus.IDLE
            await asyncio.to_thread(run_pending, app)
            assert [await r.aget() for r in (first, *several, *both)] == [1, 2, 3, 4, 5]

        within(url, test)

    def test_an_error_undoes_it_and_the_next_one_is_as_good_as_new(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        async def test(data: Connection) -> None:
            for name, error in (("ada", Stop), ("bob", asyncio.CancelledError)):
                with pytest.raises(error):
                    async with app.transaction(data):
                        await data.execute("INSERT INTO account VALUES (%s)", (name,))
                        await task.adelay(1)
                        raise error
            async with app.transaction(data):
                await data.execute("INSERT INTO account VALUES ('eve')")
                await task.adelay(2)
            await task.adelay(3)  # after it: for itself

        within(url, test)
        assert ready(app) == 2
        assert names(url) == ["eve"]

    def test_a_block_within_it_is_a_savepoint(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        async def test(data: Connection) -> None:
            async with app.transaction(data):
                await task.adelay(1)
                with pytest.raises(Stop):
                    async with app.transaction(data):
                        await task.adelay(2)
                        raise Stop
                async with app.transaction(data):
                    await task.adelay(3)
                assert ready(app) == 0
            assert ready(app) == 2

        within(url, test)

    @pytest.mark.parametrize("options", [{"autocommit": True}, {"row_factory": dict_row}, {"prepare_threshold": 0}])
    def test_connections_of_any_make(self, app: Tidewheel, task: Task[[int], int], url: str, options: dict[str, Any]) -> None:
        async def test(data: Connection) -> None:
            async with app.transaction(data):
                await task.adelay(1)
                assert (await task.using(key="k").adelay(2)).created
                assert not (await task.using(key="k").adelay(3)).created
            assert data.info.transaction_status == TransactionStatus.IDLE

        within(url, test, **options)
        assert ready(app) == 2

    def test_through_a_pooler(self, bouncer: Bouncer, url: str) -> None:
        with Tidewheel(bouncer.through(url)) as app:
            task = app.task(name="task")(lambda n: n)

            async def test(data: Connection) -> None:
                async with app.transaction(data):
                    await task.adelay(1)

            within(bouncer.through(url), test, prepare_threshold=None)
            assert ready(app) == 1

    def test_a_failure_that_was_caught_is_not_passed_over(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        """The server then undoes everything at the commit, and neither it nor psycopg calls that an error."""

        async def fail(data: Connection) -> None:
            with pytest.raises(psycopg.errors.DivisionByZero):
                await data.execute("SELECT 1 / 0")

        async def test(data: Connection) -> None:
            with pytest.raises(ConfigurationError, match="block of its own"):
                async with app.transaction(data):
                    await task.adelay(1)
                    await fail(data)
            with pytest.raises(ConfigurationError, match="block of its own"):
                async with app.transaction(data):
                    await fail(data)
                    await task.adelay(1)
            with pytest.raises(ConfigurationError, match="block of its own"), psycopg.connect(url) as other, app.transaction(other):
                task.delay(1)
                with pytest.raises(psycopg.errors.DivisionByZero):
                    other.execute("SELECT 1 / 0")
            async with app.transaction(data):
                await task.adelay(2)
                async with app.transaction(data):
                    await task.adelay(3)
                    with pytest.raises(psycopg.errors.DivisionByZero):
                        async with data.transaction():
                            await data.execute("SELECT 1 / 0")

        within(url, test)
        assert ready(app) == 2

    def test_a_server_that_goes_away(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        async def test(data: Connection) -> None:
            with pytest.raises(BrokerUnavailable, match="ended the connection"):
                async with app.transaction(data):
                    await task.adelay(1)
                    with psycopg.connect(url) as other:
                        other.execute("SELECT pg_terminate_backend(%s)", (data.info.backend_pid,))
                    await task.adelay(2)

        within(url, test)
        assert ready(app) == 0


class TestWhoIsCancelled:
    def test_in_the_middle_of_publishing(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        async def test(data: Connection) -> None:
            async def publish() -> None:
                async with app.transaction(data):
                    await data.execute("INSERT INTO account VALUES ('ada')")
                    await task.using(key="k").adelay(1)

            with Obstacle(url, "k") as obstacle:
                publishing = asyncio.create_task(publish())
                await obstacle.met()
                publishing.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await publishing
            async with app.transaction(data):  # nobody holds its turn
                assert (await task.using(key="k").adelay(2)).created

        within(url, test)
        assert ready(app) == 1
        assert names(url) == []

    def test_whose_cancellation_is_caught_in_the_block(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        async def test(data: Connection) -> None:
            with Obstacle(url, "k") as obstacle, pytest.raises(ConfigurationError, match="block of its own"):
                async with app.transaction(data):
                    await task.adelay(1)
                    other = asyncio.create_task(task.using(key="k").adelay(2))
                    await obstacle.met()
                    other.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await other

        within(url, test)
        assert ready(app) == 0

    def test_at_the_end_of_the_block_while_another_task_publishes(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        async def test(data: Connection) -> None:
            others: list[asyncio.Task[Any]] = []
            at_the_end = asyncio.Event()

            async def publish() -> None:
                async with app.transaction(data):
                    others.append(asyncio.create_task(task.using(key="k").adelay(1)))
                    await obstacle.met()
                    at_the_end.set()

            with Obstacle(url, "k") as obstacle:
                publishing = asyncio.create_task(publish())
                await at_the_end.wait()
                publishing.cancel()
                obstacle.remove()
                with pytest.raises(asyncio.CancelledError):
                    await publishing
                await asyncio.gather(*others, return_exceptions=True)
            assert data.info.transaction_status == TransactionStatus.IDLE

        within(url, test)
        assert ready(app) == 0


class TestTasksThatTheBlockStarted:
    def test_who_is_publishing_when_an_error_ends_it(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        """Such a publication would otherwise go on after the rollback, in a transaction that nobody knows of, and those that wait for
        their turn without one.
        """

        async def test(data: Connection) -> None:
            with Obstacle(url, "k") as obstacle:
                others: list[asyncio.Task[Any]] = []
                at_the_end = asyncio.Event()

                async def publish() -> None:
                    async with app.transaction(data):
                        others.append(asyncio.create_task(task.using(key="k").adelay(1)))
                        others.append(asyncio.create_task(task.adelay(2)))  # waits for its turn
                        await obstacle.met()
                        at_the_end.set()
                        raise Stop

                publishing = asyncio.create_task(publish())
                await at_the_end.wait()
                assert not publishing.done()
                obstacle.remove()
                with pytest.raises(Stop):
                    await publishing
                finished, refused = await asyncio.gather(*others, return_exceptions=True)
                assert finished.created
                assert isinstance(refused, ConfigurationError)
                assert "await what publishes within its block" in str(refused)
            assert data.info.transaction_status == TransactionStatus.IDLE

        within(url, test)
        assert ready(app) == 0

    def test_who_outlives_it_publishes_for_itself(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        async def test(data: Connection) -> None:
            over = asyncio.Event()

            async def later() -> None:
                await over.wait()
                await task.adelay(1)

            async with app.transaction(data):
                other = asyncio.create_task(later())
            over.set()
            await other
            assert ready(app) == 1

        within(url, test)

    def test_two_publish_the_key_of_a_job_that_has_ended(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        """Each takes three statements: one after the other, not in turns."""
        ended = task.using(key="k").delay(0)
        assert run_pending(app) == 1

        async def test(data: Connection) -> None:
            async with app.transaction(data):
                for one in await asyncio.gather(*(task.using(key="k").adelay(n) for n in range(5))):
                    assert (one.id, one.created) == (ended.id, False)

        within(url, test)
        assert ready(app) == 0


class TestUsingTx:
    def test_it_joins_a_transaction_that_others_end(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        async def test(data: Connection) -> None:
            joined = task.using(tx=data)
            await joined.adelay(1)
            await data.rollback()
            assert ready(app) == 0
            first, second = await asyncio.gather(joined.adelay(2), app.apublish_many([joined.call(3), joined.call(4)]))
            assert first.created
            assert len(second) == 2
            assert ready(app) == 0
            await data.commit()
            assert ready(app) == 3
            with pytest.raises(ConfigurationError, match="different connections"):
                await app.apublish_many([task.call(1), joined.call(2)])

        within(url, test)

    def test_a_first_look_leaves_the_user_s_transaction_alone(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        async def test(data: Connection) -> None:
            await asyncio.gather(task.using(tx=data).adelay(1), data.execute("INSERT INTO account VALUES ('ada')"))
            await data.commit()

        within(url, test)
        assert ready(app) == 1
        assert names(url) == ["ada"]

    def test_none_is_open_in_autocommit(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        async def test(data: Connection) -> None:
            with pytest.raises(ConfigurationError, match=r"autocommit.*`async with app\.transaction"):
                await task.using(tx=data).adelay(1)
            async with data.transaction():
                await task.using(tx=data).adelay(2)

        within(url, test, autocommit=True)
        assert ready(app) == 1


class TestTheWrongSpelling:
    def test_an_awaited_connection_in_blocking_words(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        mend = r"psycopg\.AsyncConnection.*`async with app\.transaction.*adelay"

        async def test(data: Connection) -> None:
            with pytest.raises(ConfigurationError, match=mend), app.transaction(data):
                pass
            with pytest.raises(ConfigurationError, match=mend):
                task.using(tx=data).delay(1)
            for publish in (lambda: task.delay(1), lambda: task.map([1]), lambda: app.publish_many([task.call(1)])):
                with pytest.raises(ConfigurationError, match=mend):
                    async with app.transaction(data):
                        publish()

        within(url, test)
        assert ready(app) == 0

    def test_a_blocking_connection_in_awaited_words(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        async def test(data: Connection) -> None:
            with psycopg.connect(url) as blocking:
                with pytest.raises(ConfigurationError, match=r"psycopg\.Connection, which blocks: `with app\.transaction"):
                    async with app.transaction(blocking):
                        pass
                with app.transaction(blocking):
                    await task.adelay(1)  # harmless: it takes a millisecond of the loop's
                await task.using(tx=blocking).adelay(2)
                blocking.rollback()

        within(url, test)
        assert ready(app) == 1

    def test_something_else(self, app: Tidewheel, task: Task[[int], int]) -> None:
        async def block() -> None:
            async with app.transaction(object()):
                pass

        async def publish() -> None:
            await task.using(tx=object()).adelay(1)

        for attempt in (block, publish):
            with pytest.raises(ConfigurationError, match=r"psycopg\.AsyncConnection, and this is <class 'object'>.*driver_connection"):
                asyncio.run(attempt())

    def test_a_closed_connection(self, app: Tidewheel, task: Task[[int], int], url: str) -> None:
        async def test(data: Connection) -> None:
            await data.close()
            with pytest.raises(ConfigurationError, match="closed"):
                async with app.transaction(data):
                    pass
            with pytest.raises(ConfigurationError, match="closed"):
                await task.using(tx=data).adelay(1)

        within(url, test)

    @pytest.mark.parametrize("elsewhere", ["memory://", "sqlite:///{}/jobs.db"])
    def test_an_engine_that_cannot(self, url: str, tmp_path: Path, elsewhere: str) -> None:
        with Tidewheel(elsewhere.format(tmp_path)) as app:

            async def test(data: Connection) -> None:
                with pytest.raises(MissingRole, match=r"`async with`.*a postgresql:// broker can"):
                    async with app.transaction(data):
                        pass
                with pytest.raises(
                    (MissingRole, ConfigurationError), match=r"or sqlite:// broker can|sqlite3\.Connection.*AsyncConnection"
                ):
                    await app.task(name="task")(lambda n: n).using(tx=data).adelay(1)

            within(url, test)
