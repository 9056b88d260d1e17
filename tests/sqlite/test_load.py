"""How it behaves with a lot in it. Generous limits: they find a missing index, not a slow day."""

from __future__ import annotations

import time

import pytest
from ground import Ground, job, settle, worker

from tidewheel.core.outcome import Again

pytestmark = pytest.mark.slow


def test_a_hundred_thousand_delayed_jobs_do_not_slow_claims(ground: Ground) -> None:
    backend = ground.backend()
    consumer = worker(backend)

    def cost() -> float:
        """CPU seconds of 200 claims and settlements of one job."""
        backend.broker.publish([job() for _ in range(200)])
        began = time.process_time()
        for _ in range(200):
            assert settle(consumer, consumer.claim(["default"], 1, 0)) == ["ok"]
        return time.process_time() - began

    cost()
    before = min(cost() for _ in range(3))
    for _ in range(100):
        backend.broker.publish([job(delay=1e6, priority=100) for _ in range(1000)])
    assert min(cost() for _ in range(3)) < 2 * before + 0.05
    began = time.monotonic()
    assert backend.broker.counts()["default"].scheduled == 100_000
    backend.broker.sweep()
    assert time.monotonic() - began < 1.0
    consumer.close()


def test_a_hundred_thousand_that_become_due_at_once(ground: Ground) -> None:
    ahead = 0.0
    backend = ground.backend(lambda: time.time() + ahead)
    consumer = worker(backend)
    for _ in range(20):
        backend.broker.publish([job(delay=1000.0) for _ in range(1000)])
    ahead = 2000.0
    began = time.monotonic()
    assert len(consumer.claim(["default"], 100, 0)) == 100
    assert time.monotonic() - began < 0.5, "one claim moves a limited number"
    ended = 100
    while deliveries := consumer.claim(["default"], 1000, 0):
        settle(consumer, deliveries)
        ended += len(deliveries)
    assert ended == 20_000
    consumer.close()


def test_pruning_in_small_steps(ground: Ground) -> None:
    ahead = 0.0
    backend = ground.backend(lambda: time.time() + ahead)
    consumer = worker(backend)
    backend.broker.publish([job(body=b"x" * 2000) for _ in range(5000)])
    settle(consumer, consumer.claim(["default"], 1000, 0), Again("retry", counted="attempts"))
    while settle(consumer, consumer.claim(["default"], 1000, 0)):
        pass
    ahead = 4000.0
    steps = []
    while pruned := backend.broker.sweep(1000).pruned:
        steps.append(pruned)
    assert steps == [1000] * 5
    with backend.broker._store.read() as db:  # type: ignore[attr-defined]
        for table in ("job", "payload", "history"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    consumer.close()


def test_batches_cost_little_for_each_job(ground: Ground) -> None:
    """Some 25 µs of CPU were measured for claiming and settling one job of a batch of 256; six times that is a mistake somewhere."""
    backend = ground.backend()
    consumer = worker(backend)
    for _ in range(20):
        backend.broker.publish([job() for _ in range(256)])
    began = time.process_time()
    while deliveries := consumer.claim(["default"], 256, 0):
        settle(consumer, deliveries)
    assert (time.process_time() - began) / (20 * 256) < 150e-6
    consumer.close()
