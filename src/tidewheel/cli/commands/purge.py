"""`tidewheel purge`"""

from __future__ import annotations

import click

from tidewheel.cli.failures import NotFound
from tidewheel.cli.output import write_items
from tidewheel.cli.root import Command
from tidewheel.cli.session import Session
from tidewheel.cli.tables import Column
from tidewheel.cli.words import count


@click.command("purge", cls=Command)
@click.argument("queues", metavar="QUEUE...", nargs=-1, required=True)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(session: Session, queues: tuple[str, ...], yes: bool) -> None:
    """Delete all jobs of these queues that are not running: ready and scheduled ones. Dead jobs stay."""
    app = session.connect()
    known = app.counts()
    for queue in queues:
        if queue not in known:
            raise NotFound(f"no queue {queue!r}; there are: {', '.join(sorted(known)) or 'none'}")
    waiting = sum(known[q].ready + known[q].scheduled for q in queues)
    session.confirm(f"This deletes {count(waiting, 'job')} of {', '.join(queues)} for good.", yes)
    items = [{"queue": queue, "deleted": app.purge(queue)} for queue in queues]
    columns = [Column("QUEUE", lambda i: i["queue"]), Column("DELETED", lambda i: str(i["deleted"]), right=True)]
    write_items(session, items, columns, key="queue")
