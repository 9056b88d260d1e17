"""Loggers for tasks. Lines that are logged inside of a task carry its name and id by themselves: see the logs' format."""

from __future__ import annotations

import logging

__all__ = ["base_logger", "get_logger", "get_task_logger", "task_logger", "worker_logger"]

base_logger = logging.getLogger("celery")
task_logger = logging.getLogger("celery.task")
worker_logger = logging.getLogger("celery.worker")


def get_logger(name: str) -> logging.Logger:
    """The logger of that name, below Celery's when it has no ancestor of its own."""
    found = logging.getLogger(name)
    if found.parent is logging.root and found is not base_logger:
        found.parent = base_logger
    return found


def get_task_logger(name: str) -> logging.Logger:
    """The logger of a module of tasks: `logger = get_task_logger(__name__)`."""
    if name in ("celery", "celery.task", "celery.worker"):
        raise RuntimeError(f"the logger's name {name!r} is taken; pass __name__")
    found = logging.getLogger(name)
    if found.parent is logging.root:
        found.parent = task_logger
    return found
