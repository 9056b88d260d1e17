"""How who waits is told: in the publication's own round trip once it is known that somebody waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from mill import job, settle, worker
from postgres_field import opened

from tidewheel.backends.postgres import consumer as consumers
from tidewheel.contract import Backend, Consumer
from tidewheel.core.job import Delivery
from tidewheel.errors import BrokerUnavailable
from tidewheel.testing.conformance.harness import Aside, eventually

PATIENCE = 20.0
"""Seconds: whoever looked for itself would find what is published in these tests only after that."""


@pytest.fixture
def backend(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    monkeypatch.setattr(consumers, "POLL", 3 * PATIENCE)
    backend = opened(url)
    yield backend
    backend.broker.close()


@pytest.fixture
def waiting(backend: Backend, url: str) -> Callable[[Consumer], Aside]:
    """Lets a consumer claim in a thread, and returns when those who publish can see that it waits."""

    def wait(consumer: Consumer) -> Aside:
        aside = Aside(consumer.claim, ["default"], 10, 2 * PATIENCE)
        with closing(psycopg.connect(url, autocommit=True)) as sql:
            marks = b"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted"
            eventually(lambda: (sql.execute(marks).fetchone() or (0,))[0] > 0)
        return aside

    return wait


def test_each_publication_wakes_who_waits(backend: Backend, waiting: Callable[[Consumer], Aside]) -> None:
    consumer = worker(backend)
    for n in range(4):  # the first one learns that somebody waits, the others ring in the same round trip
        claimed = waiting(consumer)
        (receipt,) = backend.broker.publish([job()])
        deliveries: list[Delivery] = claimed.answer(PATIENCE)
        assert [d.id for d in deliveries] == [receipt.id], n
        settle(consumer, deliveries)
    assert "default" in backend.broker._waited  # type: ignore[attr-defined]
    consumer.close()
    backend.broker.publish([job()])
    assert "default" not in backend.broker._waited  # type: ignore[attr-defined]


def test_a_publication_that_is_refused_while_somebody_waits(
    backend: Backend, waiting: Callable[[Consumer], Aside], url: str
) -> None:
    consumer = worker(backend)
    claimed = waiting(consumer)
    backend.broker.publish([job()])
    settle(consumer, claimed.answer(PATIENCE))
    with closing(psycopg.connect(url, autocommit=True)) as sql:
        sql.execute("ALTER TABLE tidewheel.job ADD CONSTRAINT good CHECK (task <> 'bad')")
    claimed = waiting(consumer)
    with pytest.raises(BrokerUnavailable, match="refuses"):
        backend.broker.publish([job(task="bad")])
    (receipt,) = backend.broker.publish([job()])
    assert [d.id for d in claimed.answer(PATIENCE) or consumer.claim(["default"], 10, PATIENCE)] == [receipt.id]
    consumer.close()
