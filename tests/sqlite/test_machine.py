"""Both engines against a model of the state machine (T1 to T15 of the design), by random steps.

    T1  absent -> waiting                publish: id and key unknown, else the receipt names who has them
    T2  scheduled -> ready               due; by whoever looks
    T3  ready -> running                 claim: deliveries + 1, a fresh token
    T4  waiting -> expired               too late, by whoever looks
    T5  running -> succeeded             settle, exact token
    T6  running -> waiting               settle Again, unless its cancellation was asked for
    T7  running -> dead                  settle Dead
    T8  running -> ready                 handed back, uncounted: returned, or its worker says goodbye
    T9  running -> waiting               its worker is dead, losses + 1
    T10 running -> dead                  the same, at the limit
    T11 running, to be cancelled         a request only
    T12 running -> cancelled             settled Cancelled; or Again, or its worker is dead, after a request
    T13 waiting -> cancelled             at once
    T14 dead -> ready                    revive, with fresh counters
    T15 ended -> absent                  prune: kept long enough

What the engine says of every job must be what the model says, after every step.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule, run_state_machine_as_test

from tidewheel.backends.memory import wire as wire_memory
from tidewheel.backends.memory.store import Store as MemoryStore
from tidewheel.backends.sqlite import wire as wire_sqlite
from tidewheel.backends.sqlite.place import parse
from tidewheel.backends.sqlite.store import Store as SQLiteStore
from tidewheel.contract import Backend, Consumer, Settlement, WorkerInfo
from tidewheel.core.job import Delivery, Envelope
from tidewheel.core.limits import LOSS_LIMIT, recovery_delay
from tidewheel.core.outcome import Again, AnyOutcome, Cancelled, Dead, Expired, Succeeded
from tidewheel.errors import BrokerUnavailable
from tidewheel.ids import incarnation, job_id
from tidewheel.testing.flaky import FlakyBroker

WORKERS = 3
TTL, DAY = 3600.0, 86_400.0


class Job:
    """A job in the model."""

    def __init__(self, envelope: Envelope, seq: int, now: float) -> None:
        self.envelope, self.seq = envelope, seq
        self.state = "waiting"
        self.due, self.expires = envelope.due_at(now), envelope.expires_at(now)
        self.worker: str | None = None
        self.claim = self.deliveries = self.attempts = self.strikes = self.losses = 0
        self.cancel = False
        self.reason = ""
        self.until = self.keep = self.free = 0.0

    def end(self, state: str, now: float, ttl: float = TTL, reason: str = "") -> None:
        self.state, self.cancel, self.reason = state, False, reason
        self.until = now + (ttl or 60.0)
        self.free = now + (self.envelope.key_window if self.envelope.key else 0.0)
        self.keep = max(now + max(ttl, 60.0), self.free, now + 14 * DAY if state == "dead" else 0.0)

    def again(self, now: float, delay: float) -> None:
        if self.cancel:
            self.end("cancelled", now)
        else:
            self.state, self.due, self.worker = "waiting", now + delay, None


class Machine(RuleBasedStateMachine):
    """The rules; a subclass says which engine."""

    jobs = Bundle("jobs")
    held = Bundle("held")
    connect: ClassVar[Callable[[Path, Callable[[], float]], Callable[[], Backend]]]

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000.0
        self.folder = Path(tempfile.mkdtemp(prefix="tidewheel-"))
        self.client = type(self).connect(self.folder, lambda: self.now)
        self.model: dict[str, Job] = {}
        self.seq = 0

    @initialize()
    def start(self) -> None:
        self.backend = self.client()
        self.backend.broker.open()
        self.flaky: list[FlakyBroker] = []
        self.workers: list[Consumer] = []
        self.names: list[str] = []
        self.dead: list[tuple[str, Consumer]] = []
        for _ in range(WORKERS):
            self._hire()

    def _hire(self) -> None:
        backend = self.client()
        backend.broker.open()
        flaky = FlakyBroker(backend.broker)
        name = incarnation()
        self.flaky.append(flaky)
        self.names.append(name)
        self.workers.append(flaky.consumer(WorkerInfo(id=name, name="w")))

    def teardown(self) -> None:
        if hasattr(self, "backend"):
            self._drain()
            for worker in self.workers:
                worker.close()
            for flaky in self.flaky:
                flaky.close()
            self.backend.broker.close()
        shutil.rmtree(self.folder)

    def _drain(self) -> None:
        """I1 and I6: nothing is lost, and nothing is stuck: with one good worker everything ends."""
        self._bury()
        for index in range(len(self.workers)):
            for delivery in self.workers[index].owned():
                assert self._settle(self.workers[index], delivery, Succeeded()) == "ok"
        for _ in range(50):
            self.now += 1000.0
            self.backend.broker.sweep()
            for delivery in self.workers[0].claim(["q"], 1000, 0):
                self.workers[0].settle([Settlement(delivery.id, delivery.token, Succeeded())])
            if self.backend.broker.counts(["q"])["q"].ready + self.backend.broker.counts(["q"])["q"].scheduled == 0:
                break
        counts = self.backend.broker.counts(["q"])["q"]
        assert (counts.ready, counts.scheduled, counts.running) == (0, 0, 0)

    # -- the model's own upkeep -----------------------------------------------------------------------------------------

    def _expire(self) -> None:
        for job in self.model.values():
            if job.state == "waiting" and job.expires is not None and job.expires <= self.now:
                job.end("expired", self.now)

    def _bury(self) -> None:
        gone = {name for name, _ in self.dead}
        for job in self.model.values():
            if job.state == "running" and job.worker in gone:
                job.losses += 1
                if job.cancel:
                    # The count does not matter any more; engines need not agree on it.
                    job.losses -= 1
                    job.end("cancelled", self.now)
                elif job.losses >= LOSS_LIMIT:
                    job.end("dead", self.now, reason="poison")
                else:
                    job.again(self.now, recovery_delay(job.losses) - 1.0)
        self.dead.clear()
        self.backend.broker.sweep()
        self._expire()
        for id_ in [i for i, job in self.model.items() if job.state not in ("waiting", "running") and job.keep <= self.now]:
            del self.model[id_]

    def _holder(self, queue_key: str | None) -> Job | None:
        if queue_key is None:
            return None
        for job in self.model.values():
            if job.envelope.key == queue_key and (job.state in ("waiting", "running") or job.free > self.now):
                return job
        return None

    # -- rules ----------------------------------------------------------------------------------------------------------

    @rule(
        target=jobs,
        priority=st.integers(-2, 2),
        delay=st.sampled_from([0.0, 0.0, 5.0, 50.0]),
        lifetime=st.sampled_from([None, None, None, 20.0]),
        key=st.sampled_from([None, None, "a", "b"]),
        window=st.sampled_from([0.0, 30.0, 5000.0]),
        size=st.sampled_from([3, 3, 3, 3000]),
    )
    def publish(self, priority: int, delay: float, lifetime: float | None, key: str | None, window: float, size: int) -> str:
        envelope = Envelope(
            id=job_id(), task="t", body=b"x" * size, queue="q", priority=priority, delay=delay, lifetime=lifetime, key=key,
            key_window=window,
        )  # fmt: skip
        holder = self._holder(key)
        (receipt,) = self.backend.broker.publish([envelope])
        if holder is not None:
            assert (receipt.id, receipt.created) == (holder.envelope.id, False)
            return receipt.id
        assert (receipt.id, receipt.created) == (envelope.id, True)
        for job in self.model.values():
            if key is not None and job.envelope.key == key:
                job.envelope = msgspec.structs.replace(job.envelope, key=None)
        self.seq += 1
        self.model[envelope.id] = Job(envelope, self.seq, self.now)
        return envelope.id

    @rule(id_=jobs)
    def publish_again(self, id_: str) -> None:
        if id_ in self.model:
            (receipt,) = self.backend.broker.publish([Envelope(id=id_, task="other", body=b"", queue="elsewhere", priority=50)])
            assert (receipt.id, receipt.created) == (id_, False)

    @rule(target=held, index=st.integers(0, WORKERS - 1), limit=st.integers(1, 4), lose=st.sampled_from([False, False, False, True]))
    def claim(self, index: int, limit: int, lose: bool) -> object:
        self._expire()
        ready = [j for j in self.model.values() if j.state == "waiting" and j.due <= self.now]
        expected = sorted(ready, key=lambda j: (-j.envelope.priority, j.seq))[:limit]
        worker = self.workers[index]
        if lose:
            self.flaky[index].fail("claim", when="after")
            with pytest.raises(BrokerUnavailable):
                worker.claim(["q"], limit, 0)
            before = {j.envelope.id for j in self.model.values() if j.state == "running" and j.worker == self.names[index]}
            deliveries = [d for d in worker.owned() if d.id not in before]
        else:
            deliveries = list(worker.claim(["q"], limit, 0))
        assert sorted(d.id for d in deliveries) == sorted(j.envelope.id for j in expected)
        if not lose:
            assert [d.id for d in deliveries] == [j.envelope.id for j in expected]
        for delivery in deliveries:
            job = self.model[delivery.id]
            job.state, job.worker, job.claim = "running", delivery.token.worker, delivery.token.claim
            job.deliveries += 1
            assert delivery.token.worker == self.names[index]
            assert delivery.envelope.body == job.envelope.body
            assert (delivery.deliveries, delivery.attempts, delivery.strikes, delivery.losses) == (
                job.deliveries, job.attempts, job.strikes, job.losses,
            )  # fmt: skip
        return multiple(*((index, delivery) for delivery in deliveries))

    OUTCOMES: ClassVar[list[AnyOutcome]] = [
        Succeeded(b"v"), Succeeded(b"v", 0.0), Succeeded(b"v", 10.0), Again("returned"), Again("retry", 10.0, "attempts", b"e"),
        Again("crashed", 0.0, "strikes"), Again("snooze", 100.0), Dead("failed", b"e", "attempts"), Dead("failed", b"e", "", 0.0),
        Cancelled(), Expired(),
    ]  # fmt: skip

    @rule(taken=held, outcome=st.sampled_from(OUTCOMES), lose=st.sampled_from([False, False, True]))
    def settle(self, taken: tuple[int, Delivery], outcome: AnyOutcome, lose: bool) -> None:
        index, delivery = taken
        worker = self.workers[index]
        if lose:
            self.flaky[index].fail("settle", when="after")
            with pytest.raises(BrokerUnavailable):
                self._settle(worker, delivery, outcome)
            verdict = "ok" if self._apply(delivery, outcome) else None
            repeated = self._settle(worker, delivery, outcome)
            assert repeated in ("gone", "stale")
            assert verdict is None or repeated == "gone"
            return
        job = self.model.get(delivery.id)
        expected = (
            "gone" if job is None or job.state != "running"
            else "ok" if (job.worker, job.claim) == (delivery.token.worker, delivery.token.claim)
            else "stale"
        )  # fmt: skip
        assert self._settle(worker, delivery, outcome) == expected
        self._apply(delivery, outcome)

    def _settle(self, worker: Consumer, delivery: Delivery, outcome: AnyOutcome) -> str:
        return worker.settle([Settlement(delivery.id, delivery.token, outcome)])[0]

    def _apply(self, delivery: Delivery, outcome: AnyOutcome) -> bool:
        job = self.model.get(delivery.id)
        if job is None or job.state != "running" or (job.worker, job.claim) != (delivery.token.worker, delivery.token.claim):
            return False
        match outcome:
            case Succeeded(_, ttl):
                job.end("succeeded", self.now, ttl)
            case Again(_, delay, counted, _):
                if counted:
                    setattr(job, counted, getattr(job, counted) + 1)
                job.again(self.now, delay)
            case Dead(reason, _, counted, ttl):
                if counted:
                    setattr(job, counted, getattr(job, counted) + 1)
                job.end("dead", self.now, ttl, reason)
            case Cancelled(ttl):
                job.end("cancelled", self.now, ttl)
            case Expired(ttl):
                job.end("expired", self.now, ttl)
        return True

    @rule(id_=jobs)
    def cancel(self, id_: str) -> None:
        assert self.backend.control is not None
        (answer,) = self.backend.control.cancel([id_])
        job = self.model.get(id_)
        if job is None:
            assert answer == "unknown"
        elif job.state == "waiting":
            assert answer == "cancelled"
            job.end("cancelled", self.now)
        elif job.state == "running":
            assert answer == "requested"
            job.cancel = True
        else:
            assert answer == "ended"

    @rule(id_=jobs)
    def revive(self, id_: str) -> None:
        assert self.backend.control is not None
        (answer,) = self.backend.control.revive([id_])
        job = self.model.get(id_)
        assert answer == (job is not None and job.state == "dead")
        if answer and job is not None:
            self.seq += 1
            job.state, job.seq, job.due, job.expires, job.reason = "waiting", self.seq, self.now, None, ""
            job.attempts = job.strikes = job.losses = 0

    @rule(id_=consumes(jobs))
    def bury(self, id_: str) -> None:
        assert self.backend.control is not None
        (answer,) = self.backend.control.bury([id_])
        job = self.model.get(id_)
        assert answer == (job is not None and job.state == "dead")
        if answer:
            del self.model[id_]

    @rule(id_=jobs)
    def forget(self, id_: str) -> None:
        assert self.backend.results is not None
        count = self.backend.results.forget([id_])
        job = self.model.get(id_)
        assert count == int(job is not None and job.state not in ("waiting", "running") and job.until > self.now)
        if count and job is not None:
            job.until = 0.0
            if job.state != "dead":
                # Kept from its end on as if it had had no result: at most what it was.
                view = self.backend.browse.job(id_) if self.backend.browse is not None else None
                assert view is not None
                assert view.finished is not None
                job.keep = max(view.finished + 60.0, job.free)

    @rule(index=st.integers(0, WORKERS - 1))
    def kill(self, index: int) -> None:
        self._retire(index, self.workers[index]._consumer.abandon)  # type: ignore[attr-defined]
        self.dead.append((self._left, self.workers[index]))

    @rule(index=st.integers(0, WORKERS - 1))
    def goodbye(self, index: int) -> None:
        self._retire(index, self.workers[index].close)
        for job in self.model.values():
            if job.state == "running" and job.worker == self._left:
                job.again(self.now, 0.0)

    def _retire(self, index: int, leave: Callable[[], None]) -> None:
        """A worker goes, another comes in its place; what the old one believes to hold stays with the old one's tokens."""
        leave()
        self._left = self.names[index]
        self._hire()
        self.workers[index], self.names[index], self.flaky[index] = self.workers.pop(), self.names.pop(), self.flaky.pop()

    @rule()
    def sweep(self) -> None:
        self._bury()

    @rule(seconds=st.sampled_from([1.0, 10.0, 61.0, 3601.0, 15 * DAY]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def restart_client(self) -> None:
        self.backend.broker.close()
        self.backend = self.client()
        self.backend.broker.open()

    # -- what must always be so -----------------------------------------------------------------------------------------

    @invariant()
    def same_as_the_model(self) -> None:
        if not hasattr(self, "backend"):
            return
        browse, results = self.backend.browse, self.backend.results
        assert browse is not None
        assert results is not None
        records = results.records(list(self.model))
        for id_, job in self.model.items():
            view = browse.job(id_)
            assert view is not None, f"lost: {id_}"
            state = "waiting" if view.state in ("ready", "scheduled") else view.state
            assert (state, view.attempts, view.strikes, view.losses, view.deliveries, view.cancel_requested, view.reason) == (
                job.state, job.attempts, job.strikes, job.losses, job.deliveries, job.cancel, job.reason,
            ), id_  # fmt: skip
            if view.state == "ready":
                assert job.due <= self.now
            ended = job.state not in ("waiting", "running")
            assert (id_ in records) == (not ended or job.until > self.now)

    @invariant()
    def nobody_owns_more_than_he_claimed(self) -> None:
        for name, worker in zip(getattr(self, "names", ()), getattr(self, "workers", ()), strict=True):
            owned = {j.envelope.id for j in self.model.values() if j.state == "running" and j.worker == name}
            assert worker.beat().owned == len(owned)
            assert {d.id for d in worker.owned()} == owned


def memory(folder: Path, clock: Callable[[], float]) -> Callable[[], Backend]:
    store = MemoryStore(clock=clock)
    return lambda: wire_memory(store)


def sqlite(folder: Path, clock: Callable[[], float]) -> Callable[[], Backend]:
    return lambda: wire_sqlite(SQLiteStore(parse(f"sqlite:///{folder}/jobs.db"), clock=clock))


@pytest.mark.parametrize(("engine", "examples"), [(memory, 100), (sqlite, 30)], ids=["memory", "sqlite"])
def test_the_engine_does_what_the_model_does(engine: Callable[[Path, Callable[[], float]], Callable[[], Backend]], examples: int) -> None:
    chosen = type("Chosen", (Machine,), {"connect": staticmethod(engine)})
    run_state_machine_as_test(
        chosen,
        settings=settings(
            max_examples=examples, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
        ),
    )
