"""Publishing and settling in transactions of the user's. For engines that have the role `Transactions`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tidewheel.contract import Settlement, Transactions
from tidewheel.core.outcome import Again, Succeeded
from tidewheel.errors import ConfigurationError
from tidewheel.testing.conformance.harness import Aside, Rig

MAKE = "CREATE TABLE account (name VARCHAR(20) PRIMARY KEY)"


def accounts(rig: Rig) -> list[str]:
    """What is committed, as another connection sees it."""
    connection = rig.harness.data()
    try:
        return [row[0] for row in connection.execute("SELECT name FROM account ORDER BY name").fetchall()]
    finally:
        connection.close()


class Stop(Exception):
    pass


class TestTransactions:
    @pytest.fixture
    def role(self, rig: Rig) -> Transactions:
        if rig.backend.transactions is None:
            pytest.skip("this engine shares no transaction with anybody")
        return rig.backend.transactions

    @pytest.fixture
    def data(self, rig: Rig, role: Transactions) -> Iterator[Any]:
        """A user's connection to the broker's database, with a table of theirs."""
        connection = rig.harness.data()
        connection.execute(MAKE)
        connection.commit()
        yield connection
        connection.close()

    def test_job_and_data_appear_together(self, rig: Rig, role: Transactions, data: Any) -> None:
        job = rig.job()
        other = rig.client()
        with role.begin(data) as connection:
            connection.execute("INSERT INTO account VALUES ('ada')")
            (receipt,) = role.publish([job], connection)
            assert (receipt.id, receipt.created) == (job.id, True)
            assert accounts(rig) == []
            assert other.broker.counts(["default"])["default"].ready == 0
        assert accounts(rig) == ["ada"]
        assert other.broker.counts(["default"])["default"].ready == 1
        assert [d.id for d in rig.take(rig.worker())] == [job.id]

    def test_an_error_undoes_both(self, rig: Rig, role: Transactions, data: Any) -> None:
        with pytest.raises(Stop), role.begin(data) as connection:
            connection.execute("INSERT INTO account VALUES ('ada')")
            role.publish([rig.job(), rig.job()], connection)
            raise Stop
        assert accounts(rig) == []
        assert rig.take(rig.worker()) == []

    def test_within_a_transaction_the_block_is_a_savepoint(self, rig: Rig, role: Transactions, data: Any) -> None:
        first, second, third = rig.job(), rig.job(), rig.job()
        with role.begin(data) as connection:
            role.publish([first], connection)
            with pytest.raises(Stop), role.begin(connection):
                connection.execute("INSERT INTO account VALUES ('eve')")
                role.publish([second], connection)
                raise Stop
            with role.begin(connection):
                connection.execute("INSERT INTO account VALUES ('ada')")
                role.publish([third], connection)
        assert accounts(rig) == ["ada"]
        assert [d.id for d in rig.take(rig.worker())] == [first.id, third.id]

    def test_in_a_transaction_that_the_user_began_and_ends(self, rig: Rig, role: Transactions, data: Any) -> None:
        data.execute("INSERT INTO account VALUES ('ada')")
        job = rig.job()
        role.publish([job], data)
        data.commit()
        data.execute("INSERT INTO account VALUES ('eve')")
        role.publish([rig.job()], data)
        data.rollback()
        assert accounts(rig) == ["ada"]
        assert [d.id for d in rig.take(rig.worker())] == [job.id]

    def test_an_idle_worker_hears_of_it(self, rig: Rig, role: Transactions, data: Any) -> None:
        worker, job = rig.worker(), rig.job()
        claim = Aside(worker.claim, ["default"], 10, 30.0)
        with role.begin(data) as connection:
            role.publish([job], connection)
        assert [d.id for d in claim.answer(10)] == [job.id]

    def test_known_ids_and_keys_are_recognised(self, rig: Rig, role: Transactions, data: Any) -> None:
        (known,) = rig.put()
        keyed, again = rig.job(key="k"), rig.job(key="k")
        with role.begin(data) as connection:
            (repeated,) = role.publish([rig.job(id=known)], connection)
            first, second = role.publish([keyed, again], connection)
        assert (repeated.id, repeated.created) == (known, False)
        assert (first.id, first.created) == (keyed.id, True)
        assert (second.id, second.created) == (keyed.id, False)

    def test_many_and_all_kinds(self, rig: Rig, role: Transactions, data: Any) -> None:
        long, late = rig.job(body=b"x" * 100_000), rig.job(delay=rig.tick * 50)
        jobs = [*(rig.job() for _ in range(300)), long, late]
        with role.begin(data) as connection:
            assert [r.id for r in role.publish(jobs, connection)] == [j.id for j in jobs]
        taken = {d.id: d for d in rig.take(rig.worker())}
        assert set(taken) == {j.id for j in jobs} - {late.id}
        assert taken[long.id].envelope.body == long.body
        assert rig.broker.counts(["default"])["default"].scheduled == 1

    def test_effect_and_acknowledgement_are_one(self, rig: Rig, role: Transactions, data: Any) -> None:
        (job,) = rig.put()
        (delivery,) = rig.take(worker := rig.worker())
        follow = rig.job(queue="next")
        waiting = Aside(rig.results.wait, [job], 30.0)
        with role.begin() as connection:
            connection.execute("INSERT INTO account VALUES ('ada')")
            assert role.settle([Settlement(job, delivery.token, Succeeded(b"value"), (follow,))], connection) == ["ok"]
            assert rig.results.records([job])[job].state == "running"
        assert waiting.answer(10)[job].value == b"value"
        assert accounts(rig) == ["ada"]
        assert worker.beat().owned == 0
        assert rig.settle(worker, [delivery]) == ["gone"]
        assert [d.id for d in rig.take(worker, queues=["next"])] == [follow.id]

    def test_a_failed_commit_acknowledges_nothing(self, rig: Rig, role: Transactions, data: Any) -> None:
        (job,) = rig.put()
        (delivery,) = rig.take(worker := rig.worker())
        with pytest.raises(Stop), role.begin() as connection:
            connection.execute("INSERT INTO account VALUES ('ada')")
            assert role.settle([Settlement(job, delivery.token, Succeeded(b"value"))], connection) == ["ok"]
            raise Stop
        assert accounts(rig) == []
        assert worker.beat().owned == 1
        assert rig.settle(worker, [delivery]) == ["ok"]

    def test_who_lost_its_claim_is_refused(self, rig: Rig, role: Transactions, data: Any) -> None:
        (job,) = rig.put()
        (delivery,) = rig.take(zombie := rig.worker())
        rig.kill(zombie)
        rig.recover()
        rig.pass_time(20)
        (again,) = rig.take(rig.worker())
        assert again.id == job
        with pytest.raises(Stop), role.begin() as connection:
            connection.execute("INSERT INTO account VALUES ('zombie')")
            assert role.settle([Settlement(job, delivery.token, Succeeded(b"old"))], connection) == ["stale"]
            raise Stop
        assert accounts(rig) == []
        assert rig.results.records([job])[job].state == "running"

    def test_other_outcomes_can_be_settled_too(self, rig: Rig, role: Transactions, data: Any) -> None:
        (job,) = rig.put()
        (delivery,) = rig.take(worker := rig.worker())
        with role.begin() as connection:
            settlement = Settlement(job, delivery.token, Again("retry", counted="attempts"))
            assert role.settle([settlement], connection) == ["ok"]
        (again,) = rig.take(worker)
        assert (again.id, again.attempts) == (job, 1)

    @pytest.mark.parametrize("thing", [None, "a url", object()])
    def test_what_is_no_connection_is_refused(self, rig: Rig, role: Transactions, thing: object) -> None:
        with pytest.raises(ConfigurationError, match=type(thing).__name__):
            role.publish([rig.job()], thing)
        if thing is not None:
            with pytest.raises(ConfigurationError, match=type(thing).__name__), role.begin(thing):
                pass

    def test_a_connection_to_another_database_is_refused(self, rig: Rig, role: Transactions) -> None:
        stranger = rig.harness.data(elsewhere=True)
        try:
            with pytest.raises(ConfigurationError, match="one commit"):
                role.publish([rig.job()], stranger)
            with pytest.raises(ConfigurationError, match="one commit"), role.begin(stranger):
                pass
        finally:
            stranger.close()

    def test_who_commits_inside_of_the_block_is_told(self, rig: Rig, role: Transactions, data: Any) -> None:
        with pytest.raises(Exception, match=r"commit\(\)"), role.begin(data) as connection:
            connection.commit()
        assert rig.put()  # and nothing is blocked by it
