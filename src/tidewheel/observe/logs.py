"""Logs: what happened, as lines. Subscribers of events, and one format for them, for ours and for the users' own loggers.

    setup("info")         once in each process: the worker, and every executor
    subscribe(emitter)    its events become lines, those only whose level is enabled

On a terminal a line is for people, elsewhere it is one JSON object (its fields: docs/reference/cli.md). A line never holds the
arguments or the value of a job, and nothing in it can forge another line or drive a terminal.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, TextIO

import msgspec

from tidewheel.context import current
from tidewheel.errors import ConfigurationError, ErrorRecord
from tidewheel.events import Emitter, Event, JobEvent
from tidewheel.observe.lines import LINES, Line
from tidewheel.observe.text import cap, escape, indent, user_frames
from tidewheel.wire.failures import dotted

__all__ = ["FORMATS", "LEVELS", "Format", "LogSettings", "apply", "human", "level_number", "setup", "subscribe", "wants_color"]

Format = Literal["auto", "text", "json"]
FORMATS: tuple[Format, ...] = ("auto", "text", "json")
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

MESSAGE = 4_000
TRACE = 16_000
"""Characters that are kept of a message and (from its end) of a traceback."""

_FIELDS = "tidewheel"
"""The attribute of a log record that carries the fields of an event."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to log, as a value that can be sent to an executor."""

    level: str = "info"
    format: Format = "auto"
    color: bool | None = None
    file: str | None = None


def apply(settings: LogSettings, *, worker: str = "") -> None:
    """`setup` with settings that came from elsewhere."""
    setup(settings.level, settings.color, format=settings.format, file=settings.file, worker=worker)


def setup(
    level: str | int = "info", color: bool | None = None, stream: TextIO | None = None, *, format: Format = "auto",
    file: str | None = None, worker: str = "",
) -> None:  # fmt: skip
    """Send the logs of this process to `stream` (standard error) or to the end of `file`; calling it again replaces that.

    `color` None: on a terminal, unless NO_COLOR is set. `worker` is named in every line of JSON. Where the user's own configuration
    already writes to the console from the root logger, only Tidewheel's loggers are ours; otherwise all loggers are.
    Raises `ConfigurationError` for an unknown level and `OSError` for a file that cannot be written.
    """
    number = level_number(level)
    handler = _handler(stream, file)
    out = handler.stream
    text = format == "text" or (format == "auto" and _is_terminal(out))
    handler.setFormatter(TextFormatter(wants_color(out) if color is None else color) if text else JsonFormatter(worker))
    handler.setLevel(number)
    ours, root = logging.getLogger("tidewheel"), logging.getLogger()
    for logger in (ours, root):
        _take_off(logger)
    _enable()
    taken = any(_is_console(h) for h in root.handlers)
    (ours if taken else root).addHandler(handler)
    ours.setLevel(number)
    ours.propagate = not taken
    if not taken and (root.level == logging.WARNING or not root.handlers[1:]):
        root.setLevel(number)


def subscribe(emitter: Emitter, only: Collection[type[Event]] = LINES.keys()) -> Callable[[], None]:
    """Turn events into log lines: all, or those of the kinds in `only`. Returns a function that ends it.

    Call it after `setup`: kinds whose level is not enabled are not listened to, and so cost nothing.
    """
    ends = []
    for kind, (name, highest, describe) in LINES.items():
        logger = logging.getLogger("tidewheel.job" if issubclass(kind, JobEvent) else "tidewheel.worker")
        if kind in only and logger.isEnabledFor(highest):
            ends.append(emitter.subscribe(kind, _listener(logger, name, describe)))

    def unsubscribe() -> None:
        for end in ends:
            end()

    return unsubscribe


def human() -> bool:
    """Whether our lines are for people at present."""
    for logger in (logging.getLogger("tidewheel"), logging.getLogger()):
        for handler in logger.handlers:
            if handler.get_name() == "tidewheel":
                return isinstance(handler.formatter, TextFormatter)
    return _is_terminal(sys.stderr)


def _listener(logger: logging.Logger, name: str, describe: Callable[[Any], Line]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        line = describe(event)
        if logger.isEnabledFor(line.level):
            fields = {"event": name, **line.fields}
            # Not logger.log(): that walks the stack to find a caller whom nobody asks about.
            logger.handle(logger.makeRecord(logger.name, line.level, "", 0, line.text, (), None, name, {_FIELDS: (fields, line.error)}))

    return listen


def level_number(level: str | int) -> int:
    """10 … 50 for a level by name (in any case) or number. Raises `ConfigurationError`."""
    name = str(level).lower()
    number = LEVELS.get({"warn": "warning", "fatal": "critical"}.get(name, name)) or (int(name) if name.isdigit() else None)
    if number is None:
        raise ConfigurationError(f"log level {level!r}: use one of {', '.join(LEVELS)}")
    return number


def wants_color(stream: TextIO) -> bool:
    """A terminal that can, and nobody who said no (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and _is_terminal(stream)


# -- formats ----------------------------------------------------------------------------------------------------------

_COLORS = {logging.DEBUG: "2", logging.INFO: "32", logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "1;31"}


class TextFormatter(logging.Formatter):
    """`12:30:01.250 INFO     Task mail.send[…] succeeded in 0.012s`"""

    def __init__(self, color: bool = False) -> None:
        super().__init__()
        self._color = color
        self._second: tuple[int, str] = (0, "")
        """The last second that was formatted: most lines share it with the one before."""

    def format(self, record: logging.LogRecord) -> str:
        fields, error = _fields(record)
        text = _message(record)
        first, newline, rest = text.partition("\n")
        line = escape(first, keep="\t") + (newline and "\n" + indent(rest))
        if fields is None:
            job = _job_fields()
            where = f"{job['task']}[{job['job_id']}] " if job else ""
            own = record.name.partition(".")[0] == "tidewheel"
            line = f"{where}{line}" if own else f"{where}{escape(record.name)}: {line}"
        if error is not None and error.traceback:
            line += "\n" + indent(cap(user_frames(error.traceback), TRACE, end=True))
        return f"{self._time(record.created, record.msecs)} {self._level(record)} {line}"

    def _time(self, created: float, msecs: float) -> str:
        second = int(created)
        if self._second[0] != second:
            self._second = (second, time.strftime("%H:%M:%S", time.localtime(second)))
        text = f"{self._second[1]}.{int(msecs):03d}"
        return f"\x1b[2m{text}\x1b[0m" if self._color else text

    def _level(self, record: logging.LogRecord) -> str:
        text = f"{escape(record.levelname):8}"
        return f"\x1b[{_COLORS.get(record.levelno, '0')}m{text}\x1b[0m" if self._color else text


class JsonFormatter(logging.Formatter):
    """One JSON object on one line; fields that have no value are left out."""

    def __init__(self, worker: str = "") -> None:
        super().__init__()
        self._worker = worker
        self._second: tuple[int, str] = (0, "")

    def format(self, record: logging.LogRecord) -> str:
        fields, error = _fields(record)
        second = int(record.created)
        if self._second[0] != second:
            self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        line: dict[str, Any] = {
            "ts": f"{self._second[1]}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": "log",
            "msg": _message(record),
        }
        line.update(_job_fields() if fields is None else fields)
        if self._worker:
            line.setdefault("worker", self._worker)
        if error is not None:
            line["error.type"] = error.type
            line["error.message"] = cap(error.message, MESSAGE)
            if error.traceback:
                line["error.traceback"] = cap(error.traceback, TRACE, end=True)
        for name, value in line.items():
            if type(value) is str and not value.isprintable():
                line[name] = escape(value, keep="\n\t")
        return msgspec.json.encode(line).decode()


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception as error:  # a user's log call with arguments that do not fit its text: still worth a line
        text = f"{record.msg} (its arguments do not fit: {type(error).__name__})"
    if record.stack_info:
        text += "\n" + record.stack_info
    return cap(text, MESSAGE)


def _fields(record: logging.LogRecord) -> tuple[Mapping[str, Any] | None, ErrorRecord | None]:
    """The fields of an event (None: the record is no event) and the error."""
    found = getattr(record, _FIELDS, None)
    if found is not None:
        return found  # type: ignore[no-any-return]
    if not record.exc_info or record.exc_info[1] is None:
        return None, None
    error = record.exc_info[1]
    try:
        message = str(error)
    except Exception as broken:
        message = f"<its __str__ raised {type(broken).__name__}>"
    return None, ErrorRecord(type=dotted(type(error)), message=message, traceback=logging.Formatter().formatException(record.exc_info))


def _job_fields() -> dict[str, Any]:
    """Which job the code that logs is running for; empty outside of one."""
    try:
        job = current().job
    except ConfigurationError:
        return {}
    return {"task": job.task, "job_id": job.id, "attempt": job.attempt, "queue": job.queue}


# -- handlers ---------------------------------------------------------------------------------------------------------


def _handler(stream: TextIO | None, file: str | None) -> logging.StreamHandler[Any]:
    handler: logging.StreamHandler[Any]
    if file is not None:
        from logging.handlers import WatchedFileHandler  # reopens the file when logrotate has moved it; costs an import

        handler = WatchedFileHandler(file, encoding="utf-8")
    else:
        handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.set_name("tidewheel")
    return handler


def _take_off(logger: logging.Logger) -> None:
    for handler in list(logger.handlers):
        if handler.get_name() == "tidewheel":
            logger.removeHandler(handler)
            handler.close()


def _enable() -> None:
    """Undo what `dictConfig` does to loggers that exist already, unless it is told not to: it switches them off."""
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if name.partition(".")[0] == "tidewheel" and isinstance(logger, logging.Logger):
            logger.disabled = False


def _is_console(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and getattr(handler, "stream", None) in (
        sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__,
    )  # fmt: skip


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False
