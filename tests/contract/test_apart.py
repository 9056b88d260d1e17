"""The contract, kept by a broker and an archive that are two engines; and what holds only there."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from tidewheel import Tidewheel, backends
from tidewheel.backends.apart import apart
from tidewheel.backends.memory import wire
from tidewheel.backends.memory.broker import Broker as MemoryBroker
from tidewheel.backends.memory.consumer import Consumer as MemoryConsumer
from tidewheel.backends.memory.store import Store
from tidewheel.contract import Archive, Backend, Consumer, Final, Settlement
from tidewheel.core.outcome import Again, Succeeded
from tidewheel.errors import BrokerUnavailable, ConfigurationError
from tidewheel.testing import running
from tidewheel.testing.conformance import *  # noqa: F403
from tidewheel.testing.conformance import Harness, Rig


class ApartHarness(Harness):
    remembers = False

    def __init__(self) -> None:
        self._ahead = 0.0
        self.carrier, self.keeper = (Store(clock=lambda: time.time() + self._ahead) for _ in range(2))

    def connect(self) -> Backend:
        carrier, keeper = wire(self.carrier), wire(self.keeper)
        assert keeper.archive is not None
        assert keeper.results is not None
        return apart(carrier, keeper, keeper.archive, keeper.results)

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    def kill(self, consumer: Consumer) -> None:
        carried = consumer._consumer  # type: ignore[attr-defined]
        assert isinstance(carried, MemoryConsumer)
        carried.abandon()


@pytest.fixture
def harness() -> Harness:
    return ApartHarness()


class Away(Archive):
    """An archive that can be switched off."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.away = False

    def keep(self, batch: Sequence[Final]) -> None:
        if self.away:
            raise BrokerUnavailable("the archive is away")
        self.archive.keep(batch)


@pytest.fixture
def stores() -> tuple[Store, Backend, Away]:
    carrier, keeper = Store(), wire(Store())
    assert keeper.archive is not None
    assert keeper.results is not None
    away = Away(keeper.archive)
    return carrier, apart(wire(carrier), keeper, away, keeper.results), away


class TestApart:
    def test_the_value_is_only_in_the_archive(self, stores: tuple[Store, Backend, Away]) -> None:
        carrier, both, _ = stores
        rig = _rig(both)
        (id_,) = rig.put()
        rig.run(rig.worker(both), Succeeded(b"secret"))
        assert both.results is not None
        assert both.results.records([id_])[id_].value == b"secret"
        assert carrier.jobs[id_].value is None

    def test_nothing_is_settled_while_the_archive_is_away(self, stores: tuple[Store, Backend, Away]) -> None:
        _carrier, both, away = stores
        rig = _rig(both)
        (id_,) = rig.put()
        worker = rig.worker(both)
        deliveries = rig.take(worker)
        away.away = True
        with pytest.raises(BrokerUnavailable):
            rig.settle(worker, deliveries)
        assert rig.results.records([id_])[id_].state == "running"
        away.away = False
        assert rig.settle(worker, deliveries) == ["ok"]
        assert rig.results.records([id_])[id_].value == b"value"

    def test_a_retry_is_no_result(self, stores: tuple[Store, Backend, Away]) -> None:
        _carrier, both, _ = stores
        rig = _rig(both)
        (id_,) = rig.put()
        rig.run(rig.worker(both), Again("retry", counted="attempts"))
        assert rig.results.records([id_])[id_].state == "ready"

    def test_a_zombie_s_late_outcome_changes_nothing(self, stores: tuple[Store, Backend, Away]) -> None:
        carrier, both, _ = stores
        rig = _rig(both)
        (id_,) = rig.put()
        zombie, other = rig.worker(both), rig.worker(both)
        (late,) = rig.take(zombie)
        carrier.killed.add(late.token.worker)
        rig.recover()
        carrier.clock = lambda: time.time() + 3600  # past the pause before a recovered job runs again
        (again,) = rig.take(other)
        assert other.settle([Settlement(id_, again.token, Succeeded(b"second"))]) == ["ok"]
        assert zombie.settle([Settlement(id_, late.token, Succeeded(b"first"))]) == ["gone"]
        assert rig.results.records([id_])[id_].value == b"second"

    def test_it_says_so(self, stores: tuple[Store, Backend, Away]) -> None:
        described = stores[1].broker.describe()
        assert described.results.startswith("memory:// (memory; volatile: ")


def _rig(backend: Backend) -> Rig:
    class Ready(Harness):
        def connect(self) -> Backend:
            return backend

        def kill(self, consumer: Consumer) -> None:
            raise NotImplementedError

    return Rig(Ready())


def test_an_app_with_results_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("apart")
    app = Tidewheel("memory://apart", results=f"sqlite:///{folder}/results.db")

    @app.task
    def double(x: int) -> int:
        return 2 * x

    with app, running(app):
        result = double.delay(21)
        assert result.get(10) == 42
        assert result.state == "succeeded"
    with Tidewheel(f"sqlite:///{folder}/results.db") as other:
        assert other.result(result.id).get(1) == 42


def test_the_same_url_twice_is_one_engine() -> None:
    assert type(backends.connect("memory://same", "memory://same").broker) is MemoryBroker


def test_an_engine_that_does_not_exist() -> None:
    with pytest.raises(ConfigurationError, match="results URL 'nosuch://x': unknown engine"):
        backends.connect("memory://", "nosuch://x")
