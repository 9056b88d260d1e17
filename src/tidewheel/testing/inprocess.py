"""Run an app's jobs inside the test's own process: a real worker on threads of this process, on whatever broker the app has.

    def test_sign_up():
        sign_up("ada@example.org")
        assert run_pending(app) == 1
        assert mailbox == [...]
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tidewheel.events import Emitter, JobCancelled, JobEvent, JobFailed, JobRetried, JobSucceeded
from tidewheel.worker.crew import InlineCrew
from tidewheel.worker.options import WorkerOptions
from tidewheel.worker.worker import Worker

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel

__all__ = ["run_pending", "running"]


@contextmanager
def running(
    app: Tidewheel, *, queues: tuple[str, ...] | None = None, emitter: Emitter | None = None, burst: bool = False
) -> Iterator[Worker]:
    """A worker for this app while the block lasts. Jobs run one at a time, on a thread of this process.

    A task's limits interrupt Python code, but nothing can be killed here: what blocks outside of Python holds the end of the block up.
    """
    options = WorkerOptions(app="", name="testing", pool="inline", queues=queues, burst=burst, grace=5.0, kill_after=1.0)
    crew = InlineCrew(app)
    worker = Worker(options, app.backend, crew, crew.start(), emitter or Emitter(), main_thread=False)
    worker.start()
    thread = threading.Thread(target=crew.run, name="tidewheel-inline", daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(5)


def run_pending(app: Tidewheel, *, queues: tuple[str, ...] | None = None, timeout: float = 30.0) -> int:
    """Run every job that is ready now, and those that they publish, until the queues are empty. Returns how many runs that took.

    Jobs that are due later, and retries that wait, stay. Raises `TimeoutError` when it is not done within `timeout` seconds.
    """
    runs = 0

    def count(event: JobEvent) -> None:
        nonlocal runs
        runs += 1

    emitter = Emitter()
    for kind in (JobSucceeded, JobFailed, JobRetried, JobCancelled):
        emitter.subscribe(kind, count)
    with running(app, queues=queues, emitter=emitter, burst=True) as worker:
        if not worker.idle.wait(timeout):
            raise TimeoutError(f"the queues were not empty after {timeout:g} s and {runs} runs")
    return runs
