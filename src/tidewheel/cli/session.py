"""What the shared options come to: which app, which broker, and how to print. One per invocation."""

from __future__ import annotations

import contextlib
import re
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

import click

from tidewheel.cli.failures import AppImportError, NotFound, Usage
from tidewheel.errors import TidewheelError
from tidewheel.observe.text import escape

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel

__all__ = ["Session", "sqlite_file"]


@dataclass
class Session:
    """Filled by the shared options, handed to the commands as `ctx.obj`."""

    app: str | None = None
    broker: str | None = None
    results: str | None = None
    output: Literal["table", "json", "jsonl"] = "table"
    no_color: bool = False
    quiet: bool = False
    verbose: bool = False
    _open: list[Tidewheel] = field(default_factory=list)

    def load(self) -> Tidewheel:
        """The user's app, imported, over the broker that -b names if it does. Nothing is opened."""
        if self.app is None:
            raise Usage("which app? Name its module with -A (tidewheel -A shop.tasks …) or in TIDEWHEEL_APP")
        from tidewheel.locate import locate

        try:
            with contextlib.redirect_stdout(sys.stderr):  # what the module prints is not our output
                app = locate(self.app)
        except (TidewheelError, click.Abort):
            raise
        except (Exception, SystemExit):
            raise AppImportError(self.app, traceback.format_exc()) from None
        if self.broker is not None:
            app.url = self.broker
        if self.results is not None:
            app.results_url = self.results
        self.adopt(app)
        return app

    def adopt(self, app: Tidewheel) -> None:
        """Close it when the command has ended."""
        self._open.append(app)

    def connect(self) -> Tidewheel:
        """An app over the broker, for commands that need no task: the user's own where -A names one, else one without tasks.

        Only asks: a SQLite file that is not there is not made but an error (exit code 3).
        """
        if self.app is not None and self.broker is None:
            app = self.load()
        else:
            from tidewheel.app import Tidewheel

            app = Tidewheel(self.broker, results=self.results)
            self.adopt(app)
        file = sqlite_file(app.url)
        if file is not None and not file.exists():
            raise NotFound(
                f"there is no database {file}: the first job or the first worker makes it; "
                "is this the right folder, or did you mean another -b URL?"
            )
        return app

    def remark(self, text: str) -> None:
        """One line for people, on standard error."""
        if not self.quiet:
            click.echo(escape(text), err=True)

    def confirm(self, question: str, yes: bool) -> None:
        """Ask before something is destroyed; without a terminal only -y goes on."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise Usage(f"{question} There is no terminal to ask on: say -y")
        click.confirm(escape(question) + " Go on?", abort=True, err=True)

    def close(self) -> None:
        while self._open:
            self._open.pop().close()


def sqlite_file(url: str) -> Path | None:
    """The file of a `sqlite:///path` URL (`sqlite:////path` is absolute); None for other engines."""
    found = re.match(r"(?i)sqlite:///([^?]+)", url)
    return None if found is None else Path(unquote(found[1]))
