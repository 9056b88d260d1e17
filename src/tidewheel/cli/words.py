"""Durations, moments and sizes, as people write and read them."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any

import click
import msgspec

__all__ = ["AGE", "DURATION", "JSON", "MEMORY", "MOMENT", "age", "clock", "iso", "shown", "size"]


def age(seconds: float | None) -> str:
    """`0.3s`, `42s`, `5m`, `3h20m`, `2d4h`: two units at most. Nothing for None."""
    if seconds is None:
        return ""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 9.95:
        return f"{sign}{seconds:.1f}s"
    whole = round(seconds)
    for size, name, below, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{sign}{whole // size}{name}" + (f"{rest}{small}" if rest and (size > 60 or whole < 600) else "")
    return f"{sign}{whole}s"


def iso(moment: float | None) -> str | None:
    """Epoch seconds as ISO 8601 in UTC with milliseconds: how JSON output tells moments."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(moment: float | None) -> str:
    """Epoch seconds as local time, for tables."""
    return "" if moment is None else datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M:%S")


def size(number: float) -> str:
    """Bytes as `812 B`, `4.2 MB`, `1.5 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def shown(value: Any) -> str:
    """A decoded value as JSON text; what JSON cannot say is said in Python's words."""
    try:
        return msgspec.json.encode(value, enc_hook=repr).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return json.dumps(repr(value))


# -- what is written on a command line --------------------------------------------------------------------------------

_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1024, "k": 1024, "m": 1024**2, "g": 1024**3}


class Duration(click.ParamType):
    """Seconds, or a number with ms, s, m, h or d."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|[smhd]?)", str(value).strip().lower())
        if found is None:
            self.fail(f"{value!r} is no duration: give seconds, or a number with ms, s, m, h or d (90, 1.5m, 2h)", param, ctx)
        return float(found[1]) * _SECONDS[found[2]]


class Moment(click.ParamType):
    """An ISO 8601 date and time with its offset from UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value).strip())
        except ValueError:
            self.fail(f"{value!r} is no time: write 2027-03-01T12:00:00+01:00, or with Z for UTC", param, ctx)
        if moment.tzinfo is None:
            self.fail(f"{value!r} does not say in which time zone: add an offset, as +01:00, or Z for UTC", param, ctx)
        return moment


class Age(click.ParamType):
    """A duration or a moment."""

    name = "seconds|time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | datetime:
        if re.fullmatch(r"[\d.]+\s*[a-z]*", str(value).strip().lower()):
            return DURATION.convert(value, param, ctx)
        return MOMENT.convert(value, param, ctx)


class Memory(click.ParamType):
    """KiB (as Celery has it), or a number with K, M or G; in bytes."""

    name = "KiB|size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)i?b?", str(value).strip().lower())
        if found is None or not float(found[1]):
            self.fail(f"{value!r} is no size: give KiB (as Celery does), or a number with K, M or G (200M)", param, ctx)
        return int(float(found[1]) * _BYTES[found[2]])


class Json(click.ParamType):
    """JSON of one kind: a list or an object."""

    def __init__(self, kind: type[list[Any]] | type[dict[str, Any]], name: str) -> None:
        self.kind = kind
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, self.kind):
            return value
        try:
            found = json.loads(value)
        except ValueError as error:
            self.fail(f"not JSON: {error}; quote it for the shell: {self._example()}", param, ctx)
        if not isinstance(found, self.kind):
            self.fail(f"expected a JSON {self.name}, as {self._example()}", param, ctx)
        return found

    def _example(self) -> str:
        return """'[1, "two"]'""" if self.kind is list else """'{"to": "me@example.com"}'"""


DURATION, MOMENT, AGE, MEMORY = Duration(), Moment(), Age(), Memory()
JSON = {"list": Json(list, "list"), "object": Json(dict, "object")}
