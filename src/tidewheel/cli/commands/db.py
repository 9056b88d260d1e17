"""`tidewheel db status`, `db migrate`, `db sql`: the schema of an engine whose database belongs to an operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tidewheel.cli.failures import UNHEALTHY
from tidewheel.cli.output import write_items
from tidewheel.cli.root import Nested
from tidewheel.cli.session import Session
from tidewheel.cli.tables import Column
from tidewheel.cli.words import count, iso

if TYPE_CHECKING:
    from tidewheel.contract import Migration, Migrations

COLUMNS = [
    Column("STEP", lambda i: str(i["step"]), right=True),
    Column("NAME", lambda i: i["name"]),
    Column("APPLIED", lambda i: i["applied"] or "no"),
    Column("DATABASE", lambda i: i["database"]),
]


@click.group("db", cls=Nested, default="status")
def command() -> None:
    """Look after the tables of a broker (or of results) in PostgreSQL.

    SQLite and Redis need none of this.
    """


@command.command("status")
@click.pass_obj
def status(session: Session) -> None:
    """List the steps of the schema. Exits with 4 when some are missing."""
    missing = 0
    items: list[dict[str, Any]] = []
    for where, migrations in _databases(session):
        steps = migrations.status()
        missing += sum(step.applied is None for step in steps)
        items += [_item(where, step) for step in steps]
    write_items(session, items, COLUMNS, key="name")
    if missing:
        session.remark(f"{count(missing, 'step')} missing: tidewheel db migrate")
        raise click.exceptions.Exit(UNHEALTHY)


@command.command("migrate")
@click.pass_obj
def migrate(session: Session) -> None:
    """Apply the steps that are missing.

    Before the new release's workers and publishers start; those of the old release go on meanwhile. Each step is one transaction, and
    only one process at a time applies them, so it may be started on every host at once.
    """
    items = [_item(where, step) for where, migrations in _databases(session) for step in migrations.migrate()]
    write_items(session, items, COLUMNS, key="name", none="nothing is missing")


@command.command("sql")
@click.option("--all", "every", is_flag=True, help="All steps, also those that were applied.")
@click.pass_obj
def sql(session: Session, every: bool) -> None:
    """Print the SQL of the steps that are missing, for who applies it by other means."""
    items = [
        {**_item(where, step), "sql": step.sql}
        for where, migrations in _databases(session)
        for step in migrations.status()
        if every or step.applied is None
    ]
    if session.output != "table":
        write_items(session, items, COLUMNS, key="name")
    elif items:
        click.echo("\n\n".join(f"-- {i['database']}: {i['step']} {i['name']}\n{i['sql'].rstrip()}" for i in items))
    else:
        session.remark("nothing is missing")


def _databases(session: Session) -> Sequence[tuple[str, Migrations]]:
    found = session.connect().migrations()
    if not found:
        session.remark("this engine's tables need no migrations")
    return found


def _item(where: str, step: Migration) -> dict[str, Any]:
    return {"step": step.number, "name": step.name, "applied": iso(step.applied), "database": where}
