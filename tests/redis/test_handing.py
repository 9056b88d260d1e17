"""A job that is published for an idle worker is claimed in the same step (docs/decisions/0012)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from redis_harness import RealHarness
from redis_server import Server

from tidewheel.backends.redis.consumer import Consumer
from tidewheel.contract import Consumer as AnyConsumer
from tidewheel.contract import Settlement
from tidewheel.core.outcome import Succeeded
from tidewheel.testing.conformance.harness import Aside, Rig, eventually


@pytest.fixture
def rig(shared: Server) -> Iterator[Rig]:
    made = Rig(RealHarness(shared))
    yield made
    made.close()


@pytest.fixture
def redis(rig: Rig) -> Any:
    return cast(RealHarness, rig.harness).client


def waiting(rig: Rig, worker: AnyConsumer, wait: float = 30.0) -> Aside:
    """A claim that waits, once the server has its offer."""
    client = cast(RealHarness, rig.harness).client
    claim = Aside(worker.claim, ["default"], 5, wait)
    assert isinstance(worker, Consumer)
    eventually(lambda: client.hexists("{tidewheel}:offer", worker._id))
    return claim


def test_it_is_running_when_its_publication_answers(rig: Rig, redis: Any) -> None:
    worker = rig.worker(rig.client())
    claim = waiting(rig, worker)
    (id_,) = rig.put(body=b"x" * 5000, priority=7)
    assert rig.results.records([id_])[id_].state == "running"
    (delivery,) = claim.answer(within=2)
    assert (delivery.id, delivery.deliveries, delivery.envelope.body, delivery.envelope.priority) == (id_, 1, b"x" * 5000, 7)
    assert worker.beat().owned == 1
    assert [d.token for d in worker.owned()] == [delivery.token]
    assert rig.broker.counts()["default"].running == 1
    assert list(worker.settle([Settlement(id_, delivery.token, Succeeded(b"v"))])) == ["ok"]
    assert rig.results.records([id_])[id_].value == b"v"
    assert not redis.exists("{tidewheel}:offer")


def test_every_handed_job_has_a_token_of_its_own(rig: Rig) -> None:
    worker = rig.worker(rig.client())
    tokens = set()
    for _ in range(5):
        claim = waiting(rig, worker)
        rig.put()
        tokens |= {d.token for d in claim.answer(within=2)}
    assert len(tokens) == 5


def test_jobs_with_times_keys_and_expiry_are_handed_too(rig: Rig, redis: Any) -> None:
    worker = rig.worker(rig.client())
    claim = waiting(rig, worker)
    (id_,) = rig.put(lifetime=100.0, key="k", headers={"a": "b"})
    (delivery,) = claim.answer(within=2)
    assert (delivery.id, delivery.envelope.key, delivery.envelope.headers) == (id_, "k", {"a": "b"})
    assert delivery.envelope.expires is not None
    assert not redis.zcard("{tidewheel}:late")


def test_several_at_once_are_claimed_together(rig: Rig) -> None:
    worker = rig.worker(rig.client())
    claim = waiting(rig, worker)
    ids = rig.put(3)
    assert [d.id for d in claim.answer(within=2)] == ids


def test_no_offer_outlives_its_claim(rig: Rig, redis: Any) -> None:
    worker = rig.worker(rig.client())
    assert list(worker.claim(["default"], 1, 0.05)) == []
    assert not redis.exists("{tidewheel}:offer")
    (id_,) = rig.put()
    assert rig.results.records([id_])[id_].state == "ready"
    assert [d.id for d in rig.take(rig.worker())] == [id_]


def test_who_is_told_to_return_returns_with_what_was_handed_to_it(rig: Rig) -> None:
    """Whatever the order in which `wake` and a publication arrive, no job stays behind with a worker that does not know of it."""
    worker = rig.worker(rig.client())
    for _ in range(50):
        claim = waiting(rig, worker)
        wake = Aside(worker.wake)
        (id_,) = rig.put()
        got = [d.id for d in claim.answer(within=2)]
        wake.answer(within=2)
        if not got:
            assert rig.results.records([id_])[id_].state == "ready"
            got = [d.id for d in worker.claim(["default"], 5, 0)] or [d.id for d in worker.claim(["default"], 5, 2)]
        assert got == [id_]
        worker.settle([Settlement(d.id, d.token, Succeeded()) for d in worker.owned()])
        worker.claim([], 0, 0.001)  # if the wake came too late, it is meant for this one


def test_after_a_broken_connection_nothing_is_lost(rig: Rig, redis: Any) -> None:
    worker = rig.worker(rig.client())
    claim = waiting(rig, worker)
    for client in redis.client_list(_type="pubsub"):
        redis.client_kill_filter(_id=client["id"])
    (id_,) = rig.put()
    # The claim may raise, return empty, or have the job; then the worker asks what it owns and claims again.
    try:
        got = [d.id for d in claim.answer(within=5)]
    except Exception:
        got = []
    got = got or [d.id for d in worker.owned()]

    def again() -> list[str]:
        return got or [d.id for d in worker.claim(["default"], 1, 0.5)]

    assert eventually(again) == [id_]


def test_an_offer_that_the_server_remembers_from_before_is_void(rig: Rig, redis: Any) -> None:
    worker = rig.worker(rig.client())
    assert isinstance(worker, Consumer)
    claim = waiting(rig, worker)
    offered = redis.hget("{tidewheel}:offer", worker._id)
    worker.wake()
    assert claim.answer(within=2) == []
    worker._ears.shut()
    redis.hset("{tidewheel}:offer", worker._id, offered)  # as after a restart with an older disk
    assert list(worker.claim(["default"], 1, 0.05)) == []
    assert not redis.exists("{tidewheel}:offer")
