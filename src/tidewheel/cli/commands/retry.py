"""`tidewheel retry`"""

from __future__ import annotations

import click

from tidewheel.cli.failures import NOT_FOUND, Usage
from tidewheel.cli.job import changes_dead, looks_at_dead, pages
from tidewheel.cli.output import write_items
from tidewheel.cli.root import Command
from tidewheel.cli.session import Session
from tidewheel.cli.tables import Column
from tidewheel.contract import JobFilter


@click.command("retry", cls=Command)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All dead jobs, or all of --task and --queue.")
@click.option("-Q", "--queue", help="With --all: only jobs of this queue.")
@click.option("--task", help="With --all: only jobs of this task.")
@click.pass_obj
def command(session: Session, ids: tuple[str, ...], every: bool, queue: str | None, task: str | None) -> None:
    """Put dead jobs back into their queues.

    Their counters begin anew, their history stays. Exits with 3 when one of the ids is not that of a dead job.
    """
    if every == bool(ids) or ((queue or task) and not every):
        raise Usage("name the ids of dead jobs, or say --all (with --task and --queue, if you like)")
    app = session.connect()
    control = changes_dead(app)
    found: dict[str, bool] = {}
    if every:
        for page in pages(looks_at_dead(app), JobFilter(state="dead", queue=queue, task=task)):
            # Somebody else may have been quicker with one of them: then it is not ours to report.
            found.update({v.id: True for v, done in zip(page, control.revive([v.id for v in page])) if done})
    else:
        found = dict(zip(ids, control.revive(ids)))
    items = [{"id": i, "revived": done} for i, done in found.items()]
    columns = [Column("ID", lambda i: i["id"]), Column("ANSWER", lambda i: "back in its queue" if i["revived"] else "no such dead job")]
    write_items(session, items, columns, none="no dead jobs")
    if not all(found.values()):
        raise click.exceptions.Exit(NOT_FOUND)
