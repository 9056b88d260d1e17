"""Where Celery's beat is imported from. Periodic tasks are not there yet: using one of its names raises `NotSupported`."""

from __future__ import annotations

from typing import Any

from tidewheel.celery.exceptions import NotSupported


def __getattr__(name: str) -> Any:
    if name in ("Scheduler", "PersistentScheduler", "ScheduleEntry", "Service", "crontab"):
        raise NotSupported(f"tidewheel.celery.beat.{name} is not there yet: beat_schedule is checked and kept, and nothing runs it")
    raise AttributeError(name)
