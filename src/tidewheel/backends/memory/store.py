"""The jobs in memory, and every change of state that a job can make. One lock; whoever waits, waits on `changed`.

    state       leaves by
    -----       ---------
    scheduled   promote (due), cancel, expire, purge
    ready       take, cancel, expire, purge
    running     settle (fenced), recover (its worker is dead), release (its worker says goodbye)
    dead        revive, bury; prune
    the other three ends: prune

Heaps hold hints: an entry of one counts only if its job still is as the entry says.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from msgspec.structs import replace

from tidewheel.backends.keeping import DEAD_LETTERS, HISTORY, RESULTS, kept, lost_error, visible
from tidewheel.contract import Receipt, Record, WorkerInfo
from tidewheel.core.job import ENDED, Delivery, Envelope, HistoryEntry, JobView, State, Token
from tidewheel.core.options import NO_RETRY
from tidewheel.core.outcome import Again, AnyOutcome, Cancelled, Counters, Dead, Expired, Lost, Succeeded, decide


class Job:
    """A stored job."""

    __slots__ = (
        "attempts", "cancel", "claim", "deliveries", "due", "envelope", "error", "expires", "finished", "history", "keep", "losses",
        "progress", "published", "reason", "seq", "started", "state", "strikes", "until", "value", "worker",
    )  # fmt: skip

    def __init__(self, envelope: Envelope, seq: int, now: float) -> None:
        self.seq = seq
        self.due = envelope.due_at(now)
        self.state: State = "ready" if self.due <= now else "scheduled"
        self.expires = envelope.expires_at(now)
        self.envelope = replace(envelope, delay=0.0, due=None, lifetime=None, expires=self.expires)
        self.published = now
        self.started: float | None = None
        self.finished: float | None = None
        self.worker: str | None = None
        self.claim = 0
        self.deliveries = self.attempts = self.strikes = self.losses = 0
        self.cancel = False
        self.reason = ""
        self.value: bytes | None = None
        self.error: bytes | None = None
        self.progress: bytes | None = None
        self.until = self.keep = 0.0
        self.history: list[HistoryEntry] = []

    def delivery(self) -> Delivery:
        assert self.worker is not None
        return Delivery(
            envelope=self.envelope, token=Token(self.worker, self.claim), published=self.published, deliveries=self.deliveries,
            attempts=self.attempts, strikes=self.strikes, losses=self.losses,
        )  # fmt: skip

    def record(self) -> Record:
        return Record(
            id=self.envelope.id, state=self.state, value=self.value, error=self.error, reason=self.reason, finished=self.finished,
            attempts=self.attempts, progress=self.progress,
        )  # fmt: skip

    def view(self) -> JobView:
        e = self.envelope
        return JobView(
            id=e.id, state=self.state, task=e.task, queue=e.queue, priority=e.priority, published=self.published, due=self.due,
            started=self.started, finished=self.finished, expires=self.expires, key=e.key, worker=self.worker, deliveries=self.deliveries,
            attempts=self.attempts, strikes=self.strikes, losses=self.losses, cancel_requested=self.cancel, reason=self.reason, body=e.body,
            value=self.value, error=self.error, progress=self.progress, headers=e.headers,
        )  # fmt: skip

    def note(self, now: float, event: str, detail: bytes = b"") -> None:
        self.history.append(HistoryEntry(at=now, event=event, worker=self.worker or "", detail=detail))
        del self.history[:-HISTORY]


class Filed(NamedTuple):
    """The result of a job that another engine carries."""

    deliveries: int
    record: Record
    until: float


class Store:
    """All jobs and workers. Every method wants `lock` held, except where it says otherwise."""

    def __init__(self, name: str = "", clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.clock = clock
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.jobs: dict[str, Job] = {}
        self.workers: dict[str, WorkerInfo] = {}
        self.killed: set[str] = set()
        """Workers that died without a goodbye; the next sweep takes their jobs back."""
        self.news: set[str] = set()
        """Workers of whom a cancellation was asked for and who have not heard of it."""
        self.owned: defaultdict[str, dict[str, Job]] = defaultdict(dict)
        """Running jobs by worker and id."""
        self.saying = threading.RLock()
        self.listeners: dict[object, Callable[[bytes], None]] = {}
        self.archive: dict[str, Filed] = {}
        self._filed: list[tuple[float, str]] = []
        self._keys: dict[tuple[str, str], Job] = {}
        self._seq = itertools.count(1)
        self._ready: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)
        self._due: list[tuple[float, int, str]] = []
        self._expiring: list[tuple[float, int, str]] = []
        self._ended: list[tuple[float, int, str]] = []

    # -- coming ---------------------------------------------------------------------------------------------------------

    def add(self, envelope: Envelope, now: float) -> Receipt:
        known = self.jobs.get(envelope.id)
        if known is not None:
            return Receipt(envelope.id, False)
        if envelope.key is not None:
            holder = self._key_holder(envelope.queue, envelope.key, now)
            if holder is not None:
                return Receipt(holder.envelope.id, False)
        job = self.jobs[envelope.id] = Job(envelope, next(self._seq), now)
        if envelope.key is not None:
            self._keys[envelope.queue, envelope.key] = job
        self._enter(job)
        return Receipt(envelope.id)

    def _key_holder(self, queue: str, key: str, now: float) -> Job | None:
        job = self._keys.get((queue, key))
        if job is None or self.jobs.get(job.envelope.id) is not job:
            return None
        if job.finished is not None and job.finished + job.envelope.key_window <= now:
            return None
        return job

    def _enter(self, job: Job) -> None:
        """File a job that is ready or scheduled where `take` and `promote` look."""
        if job.state == "ready":
            heapq.heappush(self._ready[job.envelope.queue], (-job.envelope.priority, job.seq, job.envelope.id))
        else:
            heapq.heappush(self._due, (job.due, job.seq, job.envelope.id))
        if job.expires is not None:
            heapq.heappush(self._expiring, (job.expires, job.seq, job.envelope.id))
        self.changed.notify_all()

    # -- upkeep ---------------------------------------------------------------------------------------------------------

    def promote(self, now: float) -> int:
        """Make the jobs ready whose time has come."""
        count = 0
        while self._due and self._due[0][0] <= now:
            due, _, id_ = heapq.heappop(self._due)
            job = self.jobs.get(id_)
            if job is not None and job.state == "scheduled" and job.due == due:
                job.state = "ready"
                self._enter(job)
                count += 1
        return count

    def next_due(self) -> float | None:
        """When the next scheduled job is due (or was; promote first)."""
        return self._due[0][0] if self._due else None

    def expire(self, now: float) -> int:
        count = 0
        while self._expiring and self._expiring[0][0] <= now:
            expires, _, id_ = heapq.heappop(self._expiring)
            job = self.jobs.get(id_)
            if job is None or job.expires != expires:
                continue
            if job.state in ("ready", "scheduled"):
                self.end_late(job, now)
                count += 1
        return count

    def end_late(self, job: Job, now: float) -> None:
        """End a job that waits and is too late."""
        self._end(job, "expired", now, RESULTS)

    def prune(self, now: float, limit: int) -> int:
        count = 0
        while self._ended and self._ended[0][0] <= now and count < limit:
            keep, _, id_ = heapq.heappop(self._ended)
            job = self.jobs.get(id_)
            if job is not None and job.state in ENDED and job.keep == keep:
                self.remove(job)
                count += 1
        while self._filed and self._filed[0][0] <= now and count < limit:
            until, id_ = heapq.heappop(self._filed)
            filed = self.archive.get(id_)
            if filed is not None and filed.until <= until:
                del self.archive[id_]
                count += 1
        return count

    def file(self, job_id: str, deliveries: int, record: Record, until: float) -> None:
        """Keep the result of somebody else's job."""
        self.archive[job_id] = Filed(deliveries, record, until)
        heapq.heappush(self._filed, (until, job_id))

    def remove(self, job: Job) -> None:
        e = job.envelope
        self.jobs.pop(e.id, None)
        if e.key is not None and self._keys.get((e.queue, e.key)) is job:
            del self._keys[e.queue, e.key]

    # -- running --------------------------------------------------------------------------------------------------------

    def take(self, queue: str, worker: str, claim: int, now: float) -> Job | None:
        heap = self._ready[queue]
        while heap:
            _, seq, id_ = heapq.heappop(heap)
            job = self.jobs.get(id_)
            if job is None or job.state != "ready" or job.seq != seq:
                continue
            self.claim(job, worker, claim, now)
            return job
        return None

    def claim(self, job: Job, worker: str, claim: int, now: float) -> None:
        """Give a job that waits to a worker."""
        job.state = "running"
        job.worker, job.claim, job.started = worker, claim, now
        job.deliveries += 1
        self.owned[worker][job.envelope.id] = job

    def settle(self, job: Job, outcome: AnyOutcome, now: float) -> None:
        """Write the outcome of a running job; whoever calls has checked the fence."""
        self.owned.get(job.worker or "", {}).pop(job.envelope.id, None)
        job.progress = None
        match outcome:
            case Succeeded(value, ttl):
                job.value = value if ttl > 0 else None
                self._end(job, "succeeded", now, ttl)
            case Again(event, delay, counted, error):
                self._count(job, counted)
                if job.cancel:
                    # Asked for between the worker's decision and now: it must not run once more.
                    self._end(job, "cancelled", now, RESULTS)
                    return
                if event != "returned":
                    job.note(now, event, error)
                job.worker = None
                job.due = now + delay
                job.state = "scheduled" if delay > 0 else "ready"
                self._enter(job)
            case Dead(reason, error, counted, ttl):
                self._count(job, counted)
                job.reason, job.error = reason, error or None
                job.note(now, "dead", error)
                self._end(job, "dead", now, ttl)
            case Cancelled(ttl):
                self._end(job, "cancelled", now, ttl)
            case Expired(ttl):
                self._end(job, "expired", now, ttl)

    def _count(self, job: Job, counted: str) -> None:
        if counted:
            setattr(job, counted, getattr(job, counted) + 1)

    def _end(self, job: Job, state: State, now: float, ttl: float) -> None:
        e = job.envelope
        job.state, job.finished, job.cancel = state, now, False
        job.until = now + visible(ttl)
        job.keep = now + kept(ttl, e.key_window if e.key is not None else 0.0)
        if state == "dead":
            job.keep = max(job.keep, now + DEAD_LETTERS)
        else:
            job.envelope = replace(e, body=b"")
        self.prune_at(job)
        self.changed.notify_all()

    def prune_at(self, job: Job) -> None:
        heapq.heappush(self._ended, (job.keep, job.seq, job.envelope.id))

    def recover(self, worker: str, now: float) -> int:
        """Take back everything a dead worker held."""
        jobs = list(self.owned.pop(worker, {}).values())
        for job in jobs:
            self.lose(job, now)
        self.workers.pop(worker, None)
        self.killed.discard(worker)
        self.news.discard(worker)
        return len(jobs)

    def lose(self, job: Job, now: float) -> None:
        """Take one job back from its worker, which died."""
        counters = Counters(job.attempts, job.strikes, job.losses)
        self.settle(job, decide(Lost(lost_error(job.worker or "")), counters, NO_RETRY, cancelled=job.cancel), now)

    def release(self, worker: str, now: float) -> None:
        """Give back, uncounted, what a worker holds that says goodbye."""
        for job in list(self.owned.pop(worker, {}).values()):
            self.settle(job, Again("returned"), now)
        self.workers.pop(worker, None)

    # -- interference ---------------------------------------------------------------------------------------------------

    def cancel(self, job: Job, now: float) -> None:
        """End a job that has not started."""
        self._end(job, "cancelled", now, RESULTS)

    def revive(self, job: Job, now: float) -> None:
        """Dead to ready, with fresh counters, a new place in the queue and no `expires`."""
        e = job.envelope = replace(job.envelope, expires=None)
        if e.key is not None:
            if self._key_holder(e.queue, e.key, now) in (None, job):
                self._keys[e.queue, e.key] = job
            else:  # somebody else has the key by now: the operator's word counts more
                job.envelope = replace(e, key=None)
        job.state, job.seq, job.due, job.expires = "ready", next(self._seq), now, None
        job.attempts = job.strikes = job.losses = 0
        job.worker = job.started = job.finished = job.error = None
        job.reason, job.until, job.keep = "", 0.0, 0.0
        job.note(now, "revived")
        self._enter(job)

    def known(self, ids: Iterable[str], now: float, *, ended: bool) -> dict[str, Record]:
        """What `records` answers; with `ended` only those."""
        found: dict[str, Record] = {}
        for i in ids:
            job, filed = self.jobs.get(i), self.archive.get(i)
            if filed is not None and filed.until > now:
                found[i] = filed.record
            elif job is not None and (job.until > now if job.state in ENDED else not ended):
                found[i] = job.record()
        return found
