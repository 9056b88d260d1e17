"""What holds for a broker that cannot look jobs up, so that another engine can keep their state (`tidewheel.contract.Tracker`): it knows
messages, not jobs. Two of one job are two, and each is settled by itself."""

from __future__ import annotations

import pytest

from tidewheel.contract import Settlement
from tidewheel.core.job import Delivery
from tidewheel.core.outcome import Again, Succeeded
from tidewheel.testing.conformance.harness import Rig


class TestCarrier:
    @pytest.fixture(autouse=True)
    def _only_carriers(self, rig: Rig) -> None:
        if rig.backend.control is not None:
            pytest.skip("this engine looks jobs up")

    def twice(self, rig: Rig, together: bool) -> tuple[Delivery, Delivery]:
        """Two messages of one job, claimed by one worker."""
        job = rig.job()
        worker = rig.worker()
        self.worker = worker
        if together:
            rig.broker.publish([job, job])
            first, second = rig.take(worker)
        else:
            rig.broker.publish([job])
            (first,) = rig.take(worker)
            rig.broker.publish([job])
            (second,) = rig.take(worker)
        assert first.id == second.id == job.id
        return first, second

    @pytest.mark.parametrize("together", [True, False])
    def test_two_messages_of_one_job_have_two_tokens(self, rig: Rig, together: bool) -> None:
        first, second = self.twice(rig, together)
        assert first.token != second.token
        assert {d.token for d in self.worker.owned()} == {first.token, second.token}
        assert self.worker.beat().owned == 2

    @pytest.mark.parametrize("together", [True, False])
    @pytest.mark.parametrize("order", [0, 1])
    def test_each_is_acknowledged_by_itself(self, rig: Rig, together: bool, order: int) -> None:
        pair = self.twice(rig, together)
        for n, delivery in enumerate((pair[order], pair[1 - order])):
            assert rig.settle(self.worker, [delivery], Succeeded()) == ["ok"]
            assert self.worker.beat().owned == 1 - n
        self.worker.close()
        assert rig.take(rig.worker()) == []

    @pytest.mark.parametrize("together", [True, False])
    def test_one_is_put_back_and_the_other_acknowledged(self, rig: Rig, together: bool) -> None:
        first, second = self.twice(rig, together)
        batch = [Settlement(second.id, second.token, Again("returned")), Settlement(first.id, first.token, Succeeded())]
        assert list(self.worker.settle(batch)) == ["ok", "ok"]
        (again,) = rig.take(self.worker)
        assert again.id == first.id
        assert rig.settle(self.worker, [again]) == ["ok"]
        assert self.worker.beat().owned == 0

    def test_what_is_put_back_keeps_its_counters(self, rig: Rig) -> None:
        """They are all that is left if the other engine loses its own."""
        rig.put()
        worker = rig.worker()
        for counted in ("attempts", "strikes", "losses"):
            rig.settle(worker, rig.take(worker), Again("retry", 0.0, counted))
        rig.settle(worker, rig.take(worker), Again("returned"))
        (delivery,) = rig.take(worker)
        assert (delivery.attempts, delivery.strikes, delivery.losses) == (1, 1, 1)
