"""`counts`, `purge`, `now` and `describe`."""

from __future__ import annotations

import pytest

from tidewheel.contract import Counts
from tidewheel.core.outcome import Dead
from tidewheel.testing.conformance.harness import Rig


class TestCounts:
    def test_an_empty_broker_knows_no_queues(self, rig: Rig) -> None:
        assert dict(rig.broker.counts()) == {}

    def test_a_queue_that_is_named_is_always_answered(self, rig: Rig) -> None:
        assert dict(rig.broker.counts(["a", "b"])) == {"a": Counts(), "b": Counts()}

    def test_every_state_is_counted(self, rig: Rig) -> None:
        rig.needs("counts_all")
        worker = rig.worker()
        rig.put(2)
        rig.run(worker, Dead("failed"))
        rig.put(3)
        rig.take(worker)
        rig.put(5, delay=rig.tick)
        rig.put(4)
        rig.put(1, queue="other")
        counts = rig.broker.counts()
        assert set(counts) == {"default", "other"}
        default = counts["default"]
        assert (default.ready, default.scheduled, default.running, default.dead) == (4, 5, 3, 2)
        assert (counts["other"].ready, counts["other"].running) == (1, 0)
        assert set(rig.broker.counts(["other"])) == {"other"}

    def test_what_has_ended_well_is_not_counted(self, rig: Rig) -> None:
        rig.put(2)
        rig.run(rig.worker())
        counts = rig.broker.counts(["default"])["default"]
        assert (counts.ready, counts.scheduled, counts.running, counts.dead, counts.oldest) == (0, 0, 0, 0, None)

    def test_the_age_of_the_oldest(self, rig: Rig) -> None:
        rig.needs("counts_all")
        rig.put(priority=-1)
        rig.pass_time(2)
        rig.put(priority=1)
        oldest = rig.broker.counts(["default"])["default"].oldest
        assert oldest == pytest.approx(2 * rig.tick, abs=max(0.5, 0.2 * rig.tick))

    def test_a_delayed_job_is_as_old_as_it_is_due(self, rig: Rig) -> None:
        rig.needs("counts_all")
        rig.put(delay=3 * rig.tick)
        rig.pass_time(4)
        rig.broker.sweep()
        assert rig.broker.counts(["default"])["default"].oldest == pytest.approx(rig.tick, abs=max(0.5, 0.2 * rig.tick))

    def test_purge_deletes_what_waits(self, rig: Rig) -> None:
        rig.needs("counts_all")
        worker = rig.worker()
        rig.put()
        rig.run(worker, Dead("failed"))
        rig.put()
        running = rig.take(worker)
        rig.put(3)
        rig.put(2, delay=rig.tick, body=b"long" * 5000)
        rig.put(1, queue="other")
        assert rig.broker.purge("default") == 5
        counts = rig.broker.counts()
        assert (counts["default"].ready, counts["default"].scheduled, counts["default"].running, counts["default"].dead) == (0, 0, 1, 1)
        assert counts["other"].ready == 1
        assert rig.settle(worker, running) == ["ok"]

    def test_purge_of_thousands(self, rig: Rig) -> None:
        rig.put(2500)
        assert rig.broker.purge("default") == 2500
        assert rig.broker.purge("default") == 0

    def test_the_clock_goes_on(self, rig: Rig) -> None:
        before = rig.broker.now()
        rig.pass_time(1)
        assert rig.broker.now() >= before + 0.9 * rig.tick

    def test_it_describes_itself(self, rig: Rig) -> None:
        described = rig.broker.describe()
        assert described.engine
        assert "://" in described.url
        assert described.durability.endswith(".")
        assert described.level in ("volatile", "process", "power loss", "replicated")
