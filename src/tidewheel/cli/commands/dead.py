"""`tidewheel dead`: the dead letters. To run them again: `tidewheel retry`."""

from __future__ import annotations

import click

from tidewheel.cli.failures import NOT_FOUND, Usage
from tidewheel.cli.job import changes_dead, list_jobs, looks_at_dead, pages, show_job
from tidewheel.cli.output import write_items
from tidewheel.cli.root import Nested
from tidewheel.cli.session import Session
from tidewheel.cli.tables import Column
from tidewheel.cli.words import count
from tidewheel.contract import JobFilter

command = Nested("dead", help="List, show or delete dead jobs.")


@command.command("list")
@click.option("-Q", "--queue", help="Only jobs of this queue.")
@click.option("--task", help="Only jobs of this task.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many.")
@click.option("--before", metavar="ID", help="Only jobs older than this one: the last of the page before.")
@click.pass_obj
def list_(session: Session, queue: str | None, task: str | None, limit: int, before: str | None) -> None:
    """List dead jobs: why each died, and of what error."""
    list_jobs(session, JobFilter(state="dead", queue=queue, task=task), limit, before, dead=True, none="no dead jobs")


@command.command("show")
@click.argument("job_id", metavar="ID")
@click.option("--no-args", is_flag=True, help="Without the arguments.")
@click.pass_obj
def show(session: Session, job_id: str, no_args: bool) -> None:
    """Show one job, as `tidewheel jobs show`."""
    show_job(session, job_id, arguments=not no_args, dead=True)


@command.command("delete")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All dead jobs, or all of --task and --queue.")
@click.option("-Q", "--queue", help="With --all: only jobs of this queue.")
@click.option("--task", help="With --all: only jobs of this task.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(session: Session, ids: tuple[str, ...], every: bool, queue: str | None, task: str | None, yes: bool) -> None:
    """Delete dead jobs for good."""
    if every == bool(ids) or ((queue or task) and not every):
        raise Usage("name the ids of dead jobs, or say --all (with --task and --queue, if you like)")
    app = session.connect()
    control = changes_dead(app)
    if every:
        ids = tuple(v.id for page in pages(looks_at_dead(app), JobFilter(state="dead", queue=queue, task=task)) for v in page)
    if ids:
        session.confirm(f"This deletes {count(len(ids), 'dead job')} for good.", yes)
    found = dict(zip(ids, control.bury(ids))) if ids else {}
    items = [{"id": i, "deleted": done} for i, done in found.items()]
    columns = [Column("ID", lambda i: i["id"]), Column("ANSWER", lambda i: "deleted" if i["deleted"] else "no such dead job")]
    write_items(session, items, columns, none="no dead jobs")
    if not all(found.values()):
        raise click.exceptions.Exit(NOT_FOUND)
