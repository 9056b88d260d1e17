"""Publishes what belongs to a database transaction only when that has been committed."""

from __future__ import annotations

from functools import partial
from typing import Any, ParamSpec

from django.db import transaction

from tidewheel.task import Task

P = ParamSpec("P")


def on_commit(task: Task[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> str:
    """`task.delay(…)` once the present transaction of the default database is committed; never if it is rolled back. Returns the job's id.

    A worker is fast: published in the middle of a transaction, a job would look for rows that are not there yet. Arguments are bound and
    encoded here and now, so a mistake raises `InvalidArguments` here. A `BrokerError` after the commit is raised by the block that
    commits; the rows are stored then, and the job is not. Outside of a transaction it publishes at once.
    """
    call = task.call(*args, **kwargs)
    transaction.on_commit(partial(task.publisher.publish_many, (call,)))
    return call.id
