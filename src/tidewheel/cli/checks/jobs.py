"""The jobs: who is stuck, who waits for nobody, who is dead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tidewheel.cli.checks import Finding, ok, problem, warning
from tidewheel.cli.commands.status import queue_items
from tidewheel.cli.words import age, count
from tidewheel.contract import JobFilter

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel
    from tidewheel.contract import Backend, Counts, WorkerInfo

RUNNING = 500
"""Running jobs that are looked at, newest first."""


def jobs(backend: Backend, app: Tidewheel | None) -> Iterator[Finding]:
    """`app` is the user's, where it could be imported: its queues are known even when nothing waits in them."""
    counts = backend.broker.counts()
    if backend.browse is None:
        yield warning("workers", "this engine cannot list its workers and jobs", "nothing to mend: look at the engine's own tools")
        yield from _dead(counts)
        return
    workers = backend.browse.workers()
    yield from _workers(workers, backend.broker.now())
    yield from _consumers(counts, workers, app)
    yield from _stuck(backend, workers)
    yield from _dead(counts)


def _workers(workers: list[WorkerInfo] | tuple[WorkerInfo, ...] | object, now: float) -> Iterator[Finding]:
    live = list(workers)  # type: ignore[call-overload]
    if not live:
        yield warning("workers", "no worker is running", "start one: tidewheel -A … worker")
        return
    yield ok("workers", f"{count(len(live), 'worker')}: " + ", ".join(sorted(w.name for w in live)[:10]))
