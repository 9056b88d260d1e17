"""`tidewheel result`"""

from __future__ import annotations

import click

from tidewheel.cli.outcome import await_end, print_outcome
from tidewheel.cli.root import Command
from tidewheel.cli.session import Session
from tidewheel.cli.words import duration


@click.command("result", cls=Command)
@click.argument("job_id", metavar="ID")
@click.option("--wait", type=duration, metavar="SECONDS", default=0.0, help="Wait so long for it to end.  [default: not at all]")
@click.pass_obj
def command(session: Session, job_id: str, wait: float) -> None:
    """Print the value of a job, as JSON.

    Exits with 1 when it has ended otherwise (dead, cancelled, expired), with 3 when it is not known, with 5 when it has not ended yet.
    """
    app = session.connect()
    print_outcome(session, await_end(app, job_id, wait), wait)
