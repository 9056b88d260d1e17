"""Publishing in transactions of the user's that are awaited. For engines that have the role `AsyncTransactions`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tidewheel.contract import AsyncTransactions
from tidewheel.errors import ConfigurationError
from tidewheel.testing.conformance.harness import Aside, Rig
from tidewheel.testing.conformance.transactions import MAKE, Stop, accounts


@asynccontextmanager
async def connected(rig: Rig, *, elsewhere: bool = False) -> AsyncIterator[Any]:
    connection = await rig.harness.adata(elsewhere=elsewhere)
    try:
        yield connection
    finally:
        await connection.close()


class TestAsyncTransactions:
    @pytest.fixture
    def role(self, rig: Rig) -> AsyncTransactions:
        if rig.backend.async_transactions is None:
            pytest.skip("this engine shares no transaction that is awaited")
        return rig.backend.async_transactions

    @pytest.fixture
    def within(self, rig: Rig, role: AsyncTransactions) -> Callable[[Callable[[Any], Awaitable[None]]], None]:
        """Runs a test with a user's connection to the broker's database, with a table of theirs."""

        async def run(test: Callable[[Any], Awaitable[None]]) -> None:
            async with connected(rig) as data:
                await data.execute(MAKE)
                await data.commit()
                await test(data)

        return lambda test: asyncio.run(run(test))

    def test_job_and_data_appear_together(self, rig: Rig, role: AsyncTransactions, within: Any) -> None:
        job = rig.job()
        other = rig.client()

        async def test(data: Any) -> None:
            assert role.takes(data)
            async with role.begin(data) as connection:
                await connection.execute("INSERT INTO account VALUES ('ada')")
                (receipt,) = await role.publish([job], connection)
                assert (receipt.id, receipt.created) == (job.id, True)
                assert accounts(rig) == []
                assert other.broker.counts(["default"])["default"].ready == 0

        within(test)
        assert accounts(rig) == ["ada"]
        assert [d.id for d in rig.take(rig.worker())] == [job.id]

    def test_an_error_undoes_both(self, rig: Rig, role: AsyncTransactions, within: Any) -> None:
        async def test(data: Any) -> None:
            with pytest.raises(Stop):
                async with role.begin(data) as connection:
                    await connection.execute("INSERT INTO account VALUES ('ada')")
                    await role.publish([rig.job(), rig.job()], connection)
                    raise Stop

        within(test)
        assert accounts(rig) == []
        assert rig.take(rig.worker()) == []

    def test_a_cancellation_undoes_both(self, rig: Rig, role: AsyncTransactions, within: Any) -> None:
        async def test(data: Any) -> None:
            published = asyncio.Event()

            async def publish() -> None:
                async with role.begin(data) as connection:
                    await connection.execute("INSERT INTO account VALUES ('ada')")
                    await role.publish([rig.job()], connection)
                    published.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(publish())
            await published.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with role.begin(data) as connection:  # which is as good as new
                await connection.execute("INSERT INTO account VALUES ('eve')")

        within(test)
        assert accounts(rig) == ["eve"]
        assert rig.take(rig.worker()) == []

    def test_within_a_transaction_the_block_is_a_savepoint(self, rig: Rig, role: AsyncTransactions, within: Any) -> None:
        first, second, third = rig.job(), rig.job(), rig.job()

        async def test(data: Any) -> None:
            async with role.begin(data) as connection:
                await role.publish([first], connection)
                with pytest.raises(Stop):
                    async with role.begin(connection):
                        await connection.execute("INSERT INTO account VALUES ('eve')")
                        await role.publish([second], connection)
                        raise Stop
                async with role.begin(connection):
                    await connection.execute("INSERT INTO account VALUES ('ada')")
                    await role.publish([third], connection)

        within(test)
        assert accounts(rig) == ["ada"]
        assert [d.id for d in rig.take(rig.worker())] == [first.id, third.id]

    def test_in_a_transaction_that_the_user_began_and_ends(self, rig: Rig, role: AsyncTransactions, within: Any) -> None:
        job = rig.job()

        async def test(data: Any) -> None:
            await data.execute("INSERT INTO account VALUES ('ada')")
            await role.publish([job], data)
            await data.commit()
            await data.execute("INSERT INTO account VALUES ('eve')")
            await role.publish([rig.job()], data)
            await data.rollback()

        within(test)
        assert accounts(rig) == ["ada"]
        assert [d.id for d in rig.take(rig.worker())] == [job.id]

    def test_an_idle_worker_hears_of_it(self, rig: Rig, role: AsyncTransactions, within: Any) -> None:
        worker, job = rig.worker(), rig.job()
        claim = Aside(worker.claim, ["default"], 10, 30.0)

        async def test(data: Any) -> None:
            async with role.begin(data) as connection:
                await role.publish([job], connection)

        within(test)
        assert [d.id for d in claim.answer(10)] == [job.id]

    def test_known_ids_and_keys_are_recognised(self, rig: Rig, role: AsyncTransactions, within: Any) -> None:
        (known,) = rig.put()
        keyed, again = rig.job(key="k"), rig.job(key="k")

        async def test(data: Any) -> None:
            async with role.begin(data) as connection:
                (repeated,) = await role.publish([rig.job(id=known)], connection)
                first, second = await role.publish([keyed, again], connection)
            assert (repeated.id, repeated.created) == (known, False)
            assert (first.id, first.created) == (keyed.id, True)
            assert (second.id, second.created) == (keyed.id, False)

        within(test)

    def test_many_and_all_kinds(self, rig: Rig, role: AsyncTransactions, within: Any) -> None:
        long, late = rig.job(body=b"x" * 100_000), rig.job(delay=rig.tick * 50)
        jobs = [*(rig.job() for _ in range(300)), long, late]

        async def test(data: Any) -> None:
            async with role.begin(data) as connection:
                assert await role.publish([], connection) == []
                assert [r.id for r in await role.publish(jobs, connection)] == [j.id for j in jobs]

        within(test)
        taken = {d.id: d for d in rig.take(rig.worker())}
        assert set(taken) == {j.id for j in jobs} - {late.id}
        assert taken[long.id].envelope.body == long.body
        assert rig.broker.counts(["default"])["default"].scheduled == 1

    @pytest.mark.parametrize("thing", [None, "a url", object()])
    def test_what_is_no_connection_is_refused(self, rig: Rig, role: AsyncTransactions, thing: object) -> None:
        assert not role.takes(thing)

        async def publish() -> None:
            await role.publish([rig.job()], thing)

        async def begin() -> None:
            async with role.begin(thing):
                pass

        for attempt in (publish, begin):
            with pytest.raises(ConfigurationError, match=type(thing).__name__):
                asyncio.run(attempt())

    def test_a_connection_to_another_database_is_refused(self, rig: Rig, role: AsyncTransactions) -> None:
        async def publish() -> None:
            async with connected(rig, elsewhere=True) as stranger:
                await role.publish([rig.job()], stranger)

        async def begin() -> None:
            async with connected(rig, elsewhere=True) as stranger, role.begin(stranger):
                pass

        for attempt in (publish, begin):
            with pytest.raises(ConfigurationError, match="one commit"):
                asyncio.run(attempt())

    def test_who_commits_inside_of_the_block_is_told(self, rig: Rig, role: AsyncTransactions, within: Any) -> None:
        async def test(data: Any) -> None:
            with pytest.raises(Exception, match=r"commit\(\)"):
                async with role.begin(data) as connection:
                    await connection.commit()

        within(test)
        assert rig.put()  # and nothing is blocked by it
