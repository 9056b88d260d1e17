"""The jobs: who is stuck, who waits for nobody, who is dead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tidewheel.cli.checks import Finding, ok, problem, warning
from tidewheel.cli.commands.status import queue_items
from tidewheel.cli.words import age, count
from tidewheel.contract import JobFilter

if TYPE_CHECKING:
    from tidewheel.contract import Backend, Counts, WorkerInfo
    from tidewheel.core.job import JobView

RUNNING = 1000
"""Running jobs that are looked at, newest first."""


def jobs(backend: Backend) -> Iterator[Finding]:
    counts = backend.broker.counts()
    if backend.browse is None:
        yield warning("workers", "this engine cannot list its workers and running jobs", "look at them with the engine's own tools")
    else:
        workers = backend.browse.workers()
        # The workers first: who is not among them has ended by the time the jobs are read.
        running = backend.browse.jobs(JobFilter(state="running"), RUNNING)
        yield from _workers(workers)
        yield from _queues(counts, workers)
        yield from _stuck(running, workers, backend.broker.now())
    yield from _dead(counts)


def _workers(workers: Sequence[WorkerInfo]) -> Iterator[Finding]:
    if workers:
        yield ok("workers", f"{count(len(workers), 'worker')}: {', '.join(sorted(w.name for w in workers)[:10])}")
    else:
        yield warning("workers", "no worker is running", "start one: tidewheel -A … worker")


def _queues(counts: Mapping[str, Counts], workers: Sequence[WorkerInfo]) -> Iterator[Finding]:
    fine = True
    for q in queue_items(counts, workers):
        waiting = q["ready"] + q["scheduled"]
        if waiting and not q["workers"]:
            fine = False
            text = f"{q['queue']} has {count(waiting, 'job')} and no worker"
            yield problem("queues", text, f"start one that serves it: tidewheel -A … worker -Q {q['queue']}")
    if fine:
        yield ok("queues", f"{count(len(counts), 'queue')}, and somebody serves each that has jobs")


def _stuck(running: Sequence[JobView], workers: Sequence[WorkerInfo], now: float) -> Iterator[Finding]:
    live = {w.id for w in workers}
    stuck = [j for j in running if j.worker not in live]
    if not stuck:
        yield ok("running jobs", f"{count(len(running), 'job')}, each with a live worker" if running else "none")
        return
    oldest = min(stuck, key=lambda j: j.started or now)
    since = age(now - (oldest.started or now))
    text = f"{count(len(stuck), 'job')} of workers that are gone, such as {oldest.id} ({oldest.task}) for {since}"
    if workers:
        yield warning("running jobs", text, "wait a minute: a running worker takes them back; if it does not, look at its log")
    else:
        yield problem("running jobs", text, "start a worker: it takes them back")


def _dead(counts: Mapping[str, Counts]) -> Iterator[Finding]:
    dead = {name: c.dead for name, c in counts.items() if c.dead}
    if dead:
        where = ", ".join(f"{number} in {name}" for name, number in sorted(dead.items()))
        mend = "tidewheel dead shows why; then tidewheel retry, or tidewheel dead delete"
        yield warning("dead jobs", f"{sum(dead.values())} ({where})", mend)
    else:
        yield ok("dead jobs", "none")
