"""`tidewheel cancel`"""

from __future__ import annotations

import click

from tidewheel.cli.failures import FAILURE, NOT_FOUND
from tidewheel.cli.output import write_items
from tidewheel.cli.root import Command
from tidewheel.cli.session import Session
from tidewheel.cli.tables import Column


@click.command("cancel", cls=Command)
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.pass_obj
def command(session: Session, ids: tuple[str, ...]) -> None:
    """Cancel jobs.

    One that has not started never will ("cancelled"); of one that runs, its worker is told ("requested"). Exits with 3 when one of them
    is unknown, else with 1 when one had already ended.
    """
    answers = session.connect().cancel(*ids)
    items = [{"id": i, "answer": answer} for i, answer in zip(ids, answers)]
    colors = {"cancelled": "green", "requested": "cyan", "ended": "yellow", "unknown": "red"}
    columns = [Column("ID", lambda i: i["id"]), Column("ANSWER", lambda i: i["answer"], color=lambda i: colors[i["answer"]])]
    write_items(session, items, columns)
    if "unknown" in answers:
        raise click.exceptions.Exit(NOT_FOUND)
    if "ended" in answers:
        raise click.exceptions.Exit(FAILURE)
