"""`tidewheel jobs`: list jobs, or show everything about one."""

from __future__ import annotations

import click

from tidewheel.cli.job import list_jobs, show_job
from tidewheel.cli.root import Nested
from tidewheel.cli.session import Session
from tidewheel.contract import JobFilter
from tidewheel.core.job import State

STATES: tuple[State, ...] = ("scheduled", "ready", "running", "succeeded", "dead", "cancelled", "expired")

command = Nested("jobs", help="List jobs, or show one.")


@command.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("-Q", "--queue", help="Only jobs of this queue.")
@click.option("--task", help="Only jobs of this task.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many.")
@click.option("--before", metavar="ID", help="Only jobs older than this one: the last of the page before.")
@click.pass_obj
def list_(session: Session, state: State | None, queue: str | None, task: str | None, limit: int, before: str | None) -> None:
    """List jobs, newest first.

    Jobs that have ended are listed as long as their result is kept, dead ones until they are deleted.
    """
    list_jobs(session, JobFilter(state=state, queue=queue, task=task), limit, before, dead=False, none="no such jobs")


@command.command("show")
@click.argument("job_id", metavar="ID")
@click.option("--no-args", is_flag=True, help="Without the arguments and the value.")
@click.pass_obj
def show(session: Session, job_id: str, no_args: bool) -> None:
    """Show one job: its facts, arguments, value, timeline, history and error."""
    show_job(session, job_id, arguments=not no_args)
