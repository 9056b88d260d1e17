"""Whether this worker can run what its app has, on a broker that lets a job be kept for a limited time (RabbitMQ's consumer_timeout)."""

from __future__ import annotations

import logging

from msgspec.structs import replace

from tidewheel.contract import RunLimit
from tidewheel.errors import ConfigurationError
from tidewheel.worker.frames import Manifest
from tidewheel.worker.options import WorkerOptions

log = logging.getLogger("tidewheel.worker")

SPARE = 40.0
"""Seconds that a job may wait in this worker before it starts, and its outcome to be written."""


def admitted(options: WorkerOptions, manifest: Manifest, limit: RunLimit | None) -> WorkerOptions:
    """The options, with runs cut off before the broker gives their jobs to others.

    Raises `ConfigurationError` for tasks that may run for longer than that: they would run again and again.
    """
    if limit is None:
        return options
    longest = limit.seconds - SPARE - 2 * options.kill_after
    own = options.time_limit
    if own is None or own > limit.seconds:
        long = sorted(name for name, task in manifest.tasks.items() if task.time_limit is None or task.time_limit > limit.seconds)
        if long:
            named = ", ".join(long[:3]) + (f" and {len(long) - 3} more" if len(long) > 3 else "")
            raise ConfigurationError(
                f"{named}: may run for longer than the {limit.seconds:g} s for which this broker lets a worker keep a job, and would then"
                f" run again and again: give {'it' if len(long) == 1 else 'each'} a time_limit of at most {longest:g} s, or {limit.mend}"
            )
    if longest < 1:
        raise ConfigurationError(f"this broker lets a worker keep a job for {limit.seconds:g} s only: {limit.mend}")
    if any(task.time_limit is not None and longest < task.time_limit < (own or float("inf")) for task in manifest.tasks.values()):
        text = "runs end after %g s here, for this broker lets a worker keep a job for %g s; to change that, %s"
        log.info(text, longest, limit.seconds, limit.mend)
    return replace(options, time_limit=longest if own is None else min(own, longest))
