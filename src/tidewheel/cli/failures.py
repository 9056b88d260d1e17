"""How an error ends a command: one sentence for the person who must act, and an exit code. Tracebacks only with -v, or of user code."""

from __future__ import annotations

import traceback
from typing import IO, TYPE_CHECKING, Any

import click

from tidewheel import errors
from tidewheel.observe.text import escape, user_frames

if TYPE_CHECKING:
    from tidewheel.cli.session import Session

__all__ = ["FAILURE", "NOT_FOUND", "UNHEALTHY", "AppImportError", "Failure", "NotFound", "TimedOut", "Usage", "explained"]

FAILURE, USAGE, NOT_FOUND, UNHEALTHY, TIMED_OUT = 1, 2, 3, 4, 5


class Failure(click.ClickException):
    """Ends the command with this sentence (and, below it, `details`) on standard error."""

    exit_code = FAILURE

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message)
        self.details = details

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(click.style("Error: ", fg="red") + escape(self.message), err=True, file=file)
        if self.details:
            click.echo(escape(self.details.rstrip(), keep="\n\t"), err=True, file=file)


class Usage(Failure):
    exit_code = USAGE


class NotFound(Failure):
    exit_code = NOT_FOUND


class TimedOut(Failure):
    exit_code = TIMED_OUT


KINDS: tuple[tuple[type[Exception], type[Failure]], ...] = (
    (errors.MissingRole, Failure),
    (errors.ConfigurationError, Usage),
    (errors.InvalidArguments, Usage),
    (errors.UnknownJob, NotFound),
    (errors.ResultExpired, NotFound),
    (errors.ResultTimeout, TimedOut),
    (errors.TidewheelError, Failure),
    (OSError, Failure),
)
"""The first that fits."""


class AppImportError(Exception):
    """The user's module raised while it was imported; `trace` is the whole traceback, as text."""

    def __init__(self, where: str, trace: str) -> None:
        super().__init__(where)
        self.where = where
        self.trace = trace


def explained(error: Exception, session: Session) -> Failure:
    """The failure that an exception amounts to."""
    if isinstance(error, AppImportError):
        last = error.trace.strip().rsplit("\n", 1)[-1]
        text = f"-A {error.where} cannot be imported: {last}"
        return Failure(text, details=error.trace if session.verbose else user_frames(error.trace))
    details = "".join(traceback.format_exception(error)) if session.verbose else ""
    for kind, failure in KINDS:
        if isinstance(error, kind):
            return failure(str(error), details=details)
    more = "" if session.verbose else "; this is a bug in Tidewheel: please report it, with what -v shows"
    return Failure(f"unexpected {type(error).__name__}: {error}{more}", details=details)
