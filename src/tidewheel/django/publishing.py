"""Publishes what belongs to a database transaction only when that has been committed, or in that very commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec

from django.db import transaction

from tidewheel.task import Task
from tidewheel.transaction import joined

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel

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


@contextmanager
def atomic(app: Tidewheel, using: str | None = None) -> Iterator[None]:
    """`transaction.atomic()`, with the jobs that `app` publishes in the block as part of it: rows and jobs are one commit.

    For a broker in the same database as the models: PostgreSQL with psycopg 3, or one SQLite file (`?shared=yes`). Unlike `on_commit`
    nothing can come between the two. `using` names the database, as in Django. Once the outermost transaction is committed, a worker is
    woken. Raises `MissingRole` for a broker that is elsewhere, `ConfigurationError` for one in another database.
    """
    role = app.transactions()
    with transaction.atomic(using):
        connection = transaction.get_connection(using)
        connection.ensure_connection()
        with joined(app, connection.connection) as block:
            yield
        if block.queues:
            transaction.on_commit(partial(role.committed, tuple(block.queues)), using, robust=True)
