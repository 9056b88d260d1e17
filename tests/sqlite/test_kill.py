"""Real processes, killed with SIGKILL at random moments. Nothing accepted is lost, nothing half-written stays, everything ends."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from ground import Child, Ground, Say, job, settle, worker

from tidewheel.contract import Backend
from tidewheel.core.job import Envelope

pytestmark = pytest.mark.kill


def work(say: Say, ground: Ground, seed: int, pause: float = 0.01) -> None:
    """Claim, do something, settle; for ever."""
    dice = random.Random(seed)
    backend = ground.backend()
    consumer = worker(backend)
    while True:
        deliveries = consumer.claim(["default"], dice.randint(1, 5), 0.5)
        _spend(dice.random() * pause)
        settle(consumer, deliveries)


def _spend(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_workers_killed_between_claim_and_settle(ground: Ground) -> None:
    backend = ground.backend()
    results = backend.results
    assert results is not None
    ids = [job().id for _ in range(2000)]
    backend.broker.publish([Envelope(id=i, task="t", body=b"") for i in ids])
    dice = random.Random(1)
    children = [Child(work, ground, n) for n in range(3)]
    kills = recovered = 0
    deadline = time.monotonic() + 60
    while len(results.wait(ids, 0.03)) < len(ids):
        assert time.monotonic() < deadline, backend.broker.counts()
        if kills < 100:
            victim = dice.randrange(len(children))
            children[victim].kill()
            kills += 1
            children[victim] = Child(work, ground, 1000 + kills)
        recovered += backend.broker.sweep().recovered
    for child in children:
        child.kill()
    backend.broker.sweep()
    records = results.records(ids)
    assert len(records) == len(ids)
    assert {r.state for r in records.values()} <= {"succeeded", "dead"}
    assert all(r.reason == "poison" for r in records.values() if r.state == "dead")
    assert kills > 20
    assert recovered > 0
    counts = backend.broker.counts(["default"])["default"]
    assert (counts.ready, counts.scheduled, counts.running) == (0, 0, 0)
    assert os.listdir(f"{ground.path}.run/workers") == []
    ground.check()


def test_a_dead_workers_jobs_are_back_with_the_next_sweep(ground: Ground) -> None:
    backend = ground.backend()
    for _ in range(10):
        backend.broker.publish([job() for _ in range(20)])

        def claim(say: Say) -> None:
            consumer = worker(ground.backend())
            say(str(len(consumer.claim(["default"], 20, 0))))
            signal.pause()

        child = Child(claim)
        assert child.hear() == "20"
        assert backend.broker.sweep().recovered == 0
        child.kill()
        began = time.monotonic()
        assert backend.broker.sweep().recovered == 20
        assert time.monotonic() - began < 1.0  # with a sweep each second: within two
        consumer = worker(backend)
        while settle(consumer, consumer.claim(["default"], 100, 0)):
            pass
        consumer.close()


def test_publishers_killed_in_the_midst(ground: Ground) -> None:
    """Batches are whole or not there, and every batch that was acknowledged is."""
    backend = ground.backend()
    size, acknowledged = 50, 0

    def publish(say: Say) -> None:
        client = ground.backend()
        while True:
            client.broker.publish([job(body=b"x" * 1500) for _ in range(size)])
            say("ok")

    dice = random.Random(2)
    kills = 40
    for _ in range(kills):
        child = Child(publish)
        child.hear()
        _spend(dice.random() * 0.03)
        acknowledged += 1 + child.kill().count("ok")
        stored = backend.broker.counts()["default"].ready
        assert stored % size == 0
        assert acknowledged <= stored // size <= acknowledged + kills
    ground.check()
    consumer = worker(backend)
    while settle(consumer, deliveries := consumer.claim(["default"], 500, 0)):
        assert all(d.envelope.body == b"x" * 1500 for d in deliveries)
    consumer.close()
    with backend.broker._store.read() as db:  # type: ignore[attr-defined]
        assert db.execute("SELECT count(*) FROM payload").fetchone() == (0,)


def test_one_kill_leaves_at_most_one_batch_unacknowledged(ground: Ground) -> None:
    backend = ground.backend()

    def publish(say: Say) -> None:
        client = ground.backend()
        while True:
            client.broker.publish([job()])
            say("ok")

    for n in range(30):
        before = backend.broker.counts(["default"])["default"].ready
        child = Child(publish)
        child.hear()
        _spend(random.Random(n).random() * 0.01)
        acknowledged = 1 + child.kill().count("ok")
        assert backend.broker.counts(["default"])["default"].ready - before in (acknowledged, acknowledged + 1)


def test_settlers_killed_in_the_midst(ground: Ground) -> None:
    """Each job's end is written with its result and its follow-up, or not at all."""
    backend = ground.backend()
    ids = [job().id for _ in range(2000)]
    backend.broker.publish([Envelope(id=i, task="t", body=b"b" * 1200) for i in ids])

    def run(say: Say) -> None:
        from tidewheel.contract import Settlement
        from tidewheel.core.outcome import Succeeded

        consumer = worker(ground.backend())
        say("ready")
        while deliveries := consumer.claim(["default"], 20, 0):
            next_jobs = [(Envelope(id=f"{d.id}+", task="next", body=b"", queue="next"),) for d in deliveries]
            consumer.settle([Settlement(d.id, d.token, Succeeded(b"v"), n) for d, n in zip(deliveries, next_jobs, strict=True)])
        signal.pause()

    dice = random.Random(3)
    for _ in range(25):
        child = Child(run)
        child.hear()
        _spend(dice.random() * 0.02)
        child.kill()
        backend.broker.sweep()
    assert backend.results is not None
    ended = {i for i, r in backend.results.records(ids).items() if r.state == "succeeded"}
    followed = {i.removesuffix("+") for i in backend.results.records([f"{i}+" for i in ids])}
    assert ended == followed
    assert len(ended) > 100
    ground.check()


def _contend(say: Say, ground: Ground, seed: int, checkpoint: int | None = None) -> None:
    dice = random.Random(seed)
    backend = ground.backend()
    if checkpoint is not None:
        backend.broker._store._writer.execute(f"PRAGMA wal_autocheckpoint = {checkpoint}").fetchone()  # type: ignore[attr-defined]
    consumer = worker(backend)
    for _ in range(100):
        backend.broker.publish([job(body=b"x" * dice.randint(0, 3000)) for _ in range(dice.randint(1, 4))])
        settle(consumer, consumer.claim(["default"], dice.randint(1, 6), 0))
        if dice.random() < 0.1:
            backend.broker.close()  # the last one to close checkpoints too
            backend.broker.open()
    consumer.close()


@pytest.mark.parametrize("checkpoint", [None, 5])
def test_four_processes_contend(ground: Ground, checkpoint: int | None) -> None:
    """With a checkpoint every few pages, so that commits and checkpoints meet as often as they can (the WAL-reset bug)."""
    children = [Child(_contend, ground, n, checkpoint) for n in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    ground.check()
    states = ground.states()
    assert set(states) <= {1, 3}, states
    backend: Backend = ground.backend()
    consumer = worker(backend)
    while settle(consumer, consumer.claim(["default"], 500, 0)):
        pass
    consumer.close()
    assert set(ground.states()) == {3}
