"""How an error ends a command: one sentence for the person who must act, and an exit code. Tracebacks only with -v, or of user code."""

from __future__ import annotations

import importlib.util
import os
import traceback
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import click

from tidewheel import errors
from tidewheel.observe.text import escape

if TYPE_CHECKING:
    from tidewheel.cli.session import Session

__all__ = ["FAILURE", "NOT_FOUND", "TIMED_OUT", "UNHEALTHY", "USAGE", "AppImportError", "Failure", "explained"]

FAILURE, USAGE, NOT_FOUND, UNHEALTHY, TIMED_OUT = 1, 2, 3, 4, 5

CODES: tuple[tuple[type[Exception], int], ...] = (
    (errors.MissingRole, FAILURE),
    (errors.ConfigurationError, USAGE),
    (errors.InvalidArguments, USAGE),
    (errors.UnknownJob, NOT_FOUND),
    (errors.ResultExpired, NOT_FOUND),
    (errors.ResultTimeout, TIMED_OUT),
    (errors.TidewheelError, FAILURE),
)


class Failure(click.ClickException):
    """Ends the command with this sentence (and, below it, `details`) on standard error, and this exit code."""

    def __init__(self, message: str, code: int = FAILURE, *, details: str = "") -> None:
        super().__init__(message)
        self.exit_code = code
        self.details = details

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(click.style("Error: ", fg="red") + escape(self.message), err=True, file=file)
        if self.details:
            click.echo(self.details.rstrip(), err=True, file=file)


class AppImportError(Exception):
    """The user's module raised while it was imported; the cause is what it raised."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__(where)
        self.where = where
        self.error = error


def explained(error: Exception, session: Session) -> Failure:
    """The failure that an exception amounts to."""
    if isinstance(error, AppImportError):
        whole = session.verbose
        text = "".join(traceback.format_exception(error.error)) if whole else _own_frames(error.error)
        return Failure(f"-A {error.where}: {_one_line(error.error)}", FAILURE, details=text)
    details = "".join(traceback.format_exception(error)) if session.verbose else ""
    for kind, code in CODES:
        if isinstance(error, kind):
            return Failure(str(error), code, details=details)
    if isinstance(error, OSError):
        return Failure(str(error), FAILURE, details=details)
    more = "" if session.verbose else "; -v shows where. This is a bug in Tidewheel, please report it"
    return Failure(f"unexpected {_one_line(error)}{more}", FAILURE, details=details)


def _one_line(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _own_frames(error: BaseException) -> str:
    """The traceback without the frames of Tidewheel and of the import system: what is left is the user's."""
    spec = importlib.util.find_spec("tidewheel")
    ours = tuple(spec.submodule_search_locations or ()) if spec is not None else ()

    def foreign(filename: str) -> bool:
        return filename.startswith("<frozen importlib") or any(filename.startswith(f + os.sep) for f in ours)

    summary = traceback.TracebackException(type(error), error, _first_own(error.__traceback__, foreign), compact=True)
    summary.stack = traceback.StackSummary.from_list([f for f in summary.stack if not foreign(f.filename)])
    return "".join(summary.format())


def _first_own(trace: TracebackType | None, foreign: Any) -> TracebackType | None:
    while trace is not None and trace.tb_next is not None and foreign(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace
