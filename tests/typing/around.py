"""Middleware, events and errors. See declare.py for how these files work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from declare import app

from tidewheel import CallNext, Job, Tidewheel, current
from tidewheel.events import JobFailed, WorkerEvent


def timed(job: Job, call_next: CallNext) -> Any:
    return call_next(job)


async def traced(job: Job, call_next: CallNext) -> Any:
    return await call_next(job)


Tidewheel("memory://", middleware=[timed, traced])
Tidewheel(middleware=[print, 3])  # type: ignore[list-item]
Tidewheel(7)  # type: ignore[arg-type]


@app.on(JobFailed)
def tell(event: JobFailed) -> None:
    assert_type(event.reason, str)


@app.on(WorkerEvent)
def any_worker(event: WorkerEvent) -> None: ...


@app.on(JobFailed)  # type: ignore[arg-type]
def wrong_event(event: WorkerEvent) -> None: ...


@app.register_error
class PaymentRefused(Exception):
    code: int = 0


assert_type(PaymentRefused.code, int)
listener: Callable[[JobFailed], None] = tell
assert_type(current().attempt, int)
