"""The worker's child processes: `python -m tidewheel.cli.child forkserver|executor FD PARENT APP`. Started by the worker, not by people.

It configures the logs, imports the app, and hands over to `tidewheel.worker.forkserver`. No click here: this is on the way to the
first job.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import msgspec

from tidewheel.events import Event, JobPublished, JobStarted, WorkerStarting
from tidewheel.observe.logs import LogSettings, apply, subscribe
from tidewheel.pools.patches import PATCHES
from tidewheel.worker.forkserver import serve, spawned
from tidewheel.worker.options import WorkerOptions

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel

__all__ = ["ONLY", "SETTINGS", "command", "encode", "main"]

SETTINGS = "_TIDEWHEEL_CHILD"
"""The environment variable in which the settings travel: a broker's password must not stand in the list of processes."""

ONLY: tuple[type[Event], ...] = (JobPublished, JobStarted)
"""The events that the logs of an executor are about: the worker itself logs how jobs end, also for executors that died of them."""


class Settings(msgspec.Struct, frozen=True):
    worker: str
    url: str | None
    results: str | None
    logs: LogSettings


def command(pool: str) -> tuple[str, ...]:
    """The command line of a child, before its own arguments. Where the pool patches the process, that comes before everything else."""
    if pool in PATCHES:
        return sys.executable, "-c", f"{PATCHES[pool]}; import sys; from tidewheel.cli import child; child.main(sys.argv[1:])"
    return sys.executable, "-m", "tidewheel.cli.child"


def encode(options: WorkerOptions, logs: LogSettings) -> str:
    return msgspec.json.encode(Settings(options.name or "", options.url, options.results, logs)).decode()


def main(argv: list[str]) -> None:
    kind, fd, parent, where = argv
    settings = msgspec.json.decode(os.environ.pop(SETTINGS), type=Settings)
    apply(settings.logs, worker=settings.worker)

    def ready(app: Tidewheel) -> None:
        app.events.emit(WorkerStarting(worker=settings.worker))
        apply(settings.logs, worker=settings.worker)  # once more: the app may have configured logging when it was imported
        subscribe(app.events, ONLY)
        if settings.url is not None:
            app.url = settings.url  # what a task publishes goes where the worker works
        if settings.results is not None:
            app.results_url = settings.results

    (serve if kind == "forkserver" else spawned)(where, socket.socket(fileno=int(fd)), int(parent), ready)


if __name__ == "__main__":
    main(sys.argv[1:])
