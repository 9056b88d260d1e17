"""Code written for Celery runs on Tidewheel: `from celery import …` becomes `from tidewheel.celery import …`, and so for sub-modules.

A thin edge: a `Celery` app holds a native `Tidewheel` app, made from its settings; tasks are native tasks; jobs travel in Tidewheel's
own format. What works, what is accepted without effect and what says no: docs/reference/celery.md. Celery's names live here only.
"""

from __future__ import annotations

import importlib
from typing import Any

from tidewheel.celery._state import current_app, current_task
from tidewheel.celery.app import shared_task
from tidewheel.celery.app.application import Celery
from tidewheel.celery.app.task import Task
from tidewheel.celery.canvas import Signature, chain, chord, chunks, group, maybe_signature, signature, subtask, xmap, xstarmap
from tidewheel.celery.queues import Exchange, Queue
from tidewheel.celery.utils import uuid

__all__ = [
    "Celery", "Exchange", "Queue", "Signature", "Task", "chain", "chord", "chunks", "current_app", "current_task", "group",
    "maybe_signature", "shared_task", "signature", "subtask", "uuid", "xmap", "xstarmap",
]  # fmt: skip

SUBMODULES = frozenset({"app", "beat", "canvas", "exceptions", "result", "schedules", "signals", "states", "utils"})


def __getattr__(name: str) -> Any:
    """Sub-modules are there as attributes without being imported, as in Celery: `celery.result.AsyncResult`."""
    if name in SUBMODULES:
        return importlib.import_module(f"tidewheel.celery.{name}")
    raise AttributeError(f"module 'tidewheel.celery' has no attribute {name!r}; what there is: docs/reference/celery.md")
