"""`tidewheel call`"""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from tidewheel.cli.failures import NotFound
from tidewheel.cli.outcome import await_end, print_outcome
from tidewheel.cli.output import write_object
from tidewheel.cli.root import Command
from tidewheel.cli.session import Session
from tidewheel.cli.words import duration, duration_or_moment, json_list, json_object, moment
from tidewheel.core.job import MAX_PRIORITY, MIN_PRIORITY

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel
    from tidewheel.task import Task


@click.command("call", cls=Command)
@click.argument("name", metavar="TASK")
@click.option("-a", "--args", "arguments", type=json_list, default="[]", metavar="JSON", help="""Arguments, a JSON list: '[1, "two"]'.""")
@click.option("-k", "--kwargs", type=json_object, default="{}", metavar="JSON", help="Named arguments, a JSON object.")
@click.option("--countdown", type=duration, metavar="SECONDS", help="Not before so many seconds from now.")
@click.option("--eta", type=moment, metavar="TIME", help="Not before this moment, as 2027-03-01T12:00:00+01:00.")
@click.option("--expires", type=duration_or_moment, metavar="SECONDS|TIME", help="Not after so many seconds from now, or this moment.")
@click.option("--priority", type=click.IntRange(MIN_PRIORITY, MAX_PRIORITY), help="Higher first.  [default: the task's]")
@click.option("-Q", "--queue", help="The queue.  [default: the task's]")
@click.option("--key", help="Idempotency key: publish nothing when a job of the queue has it.")
@click.option("--wait", type=duration, metavar="SECONDS", help="Wait so long for it to end, and print its value.")
@click.pass_obj
def command(
    session: Session,
    name: str,
    arguments: list[Any],
    kwargs: dict[str, Any],
    countdown: float | None,
    eta: datetime | None,
    expires: float | datetime | None,
    priority: int | None,
    queue: str | None,
    key: str | None,
    wait: float | None,
) -> None:
    """Publish a job of a task, and print its id; with --wait its value, as JSON.

    The arguments are checked against the task before anything is sent. With --wait it ends as `tidewheel result` does.
    """
    app = session.load()
    task = _find(app, name)
    given = {"countdown": countdown, "eta": eta, "expires": expires, "priority": priority, "queue": queue, "key": key}
    options: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    task.bind(arguments, kwargs)  # the worker's own check, here where the mistake can be mended
    result = task.using(**options).delay(*arguments, **kwargs)
    if not result.created:
        session.remark(f"nothing was published: job {result.id} has the key {key!r}")
    if wait is None:
        write_object(session, {"id": result.id, "task": task.name, "created": result.created}, result.id)
        return
    session.remark(f"job {result.id}")
    print_outcome(session, await_end(app, result.id, wait), wait)


def _find(app: Tidewheel, name: str) -> Task[..., Any]:
    tasks = app.tasks
    if name in tasks:
        return tasks[name]
    ends = [n for n in tasks if n.endswith("." + name)]
    close = ends or get_close_matches(name, tasks, 3)
    there = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(sorted(tasks)[:20]) or 'none'}"
    raise NotFound(f"no task {name!r} in the app; {there}")
