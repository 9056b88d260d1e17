"""Durations, moments and sizes, as people write and read them."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any

import click
import msgspec

from tidewheel.observe.text import escape_json

__all__ = [
    "age", "clock", "count", "duration", "duration_or_moment", "iso", "json_list", "json_object", "memory", "moment", "shown", "size",
]  # fmt: skip


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


def count(number: int, noun: str) -> str:
    """`1 job`, `3 jobs`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def shown(value: Any) -> str:
    """A decoded value as JSON text that cannot drive a terminal; what JSON cannot say is said in Python's words."""
    try:
        return escape_json(msgspec.json.encode(value, enc_hook=repr).decode())
    except (TypeError, ValueError, OverflowError, RecursionError):
        return json.dumps(repr(value))


# -- what is written on a command line: each raises `click.BadParameter` --------------------------------------------------

_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1024, "k": 1024, "m": 1024**2, "g": 1024**3}


def duration(value: str | float) -> float:
    """Seconds, from a number or a number with ms, s, m, h or d."""
    if not isinstance(value, str):
        return float(value)
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|[smhd]?)", value.strip().lower())
    if found is None:
        raise click.BadParameter(f"{value!r} is no duration: give seconds, or a number with ms, s, m, h or d (90, 1.5m, 2h)")
    return float(found[1]) * _SECONDS[found[2]]


def moment(value: str | datetime) -> datetime:
    """An ISO 8601 date and time, which must say its offset from UTC."""
    if isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time: write 2027-03-01T12:00:00+01:00, or with Z for UTC") from None
    if found.tzinfo is None:
        raise click.BadParameter(f"{value!r} does not say in which time zone: add an offset, as +01:00, or Z for UTC")
    return found


def duration_or_moment(value: str | float | datetime) -> float | datetime:
    if isinstance(value, str):
        return duration(value) if re.fullmatch(r"[\d.]+\s*[a-z]*", value.strip().lower()) else moment(value)
    return value


def memory(value: str | int) -> int:
    """Bytes, from KiB (as Celery has it) or a number with K, M or G."""
    if isinstance(value, int):
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)i?b?", value.strip().lower())
    if found is None or not float(found[1]):
        raise click.BadParameter(f"{value!r} is no size: give KiB (as Celery does), or a number with K, M or G (200M)")
    return int(float(found[1]) * _BYTES[found[2]])


def json_list(value: str | list[Any]) -> list[Any]:
    found: list[Any] = _json(value, list, """a list, as '[1, "two"]'""")
    return found


def json_object(value: str | dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _json(value, dict, """an object, as '{"to": "me@example.com"}'""")
    return found


def _json(value: Any, kind: type, example: str) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise click.BadParameter(f"not JSON ({error}); expected {example}, quoted for the shell") from None
    if not isinstance(value, kind):
        raise click.BadParameter(f"expected {example}")
    return value
