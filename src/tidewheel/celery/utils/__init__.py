"""What code written for Celery takes from `celery.utils`."""

from __future__ import annotations

import uuid as _uuid

from tidewheel.celery.local import Proxy
from tidewheel.ids import job_id

__all__ = ["Proxy", "gen_unique_id", "uuid", "uuid4"]


def uuid() -> str:
    """A new task id. It sorts by time (UUIDv7), where Celery's is random (UUIDv4)."""
    return job_id()


def uuid4() -> str:
    return str(_uuid.uuid4())


gen_unique_id = uuid
