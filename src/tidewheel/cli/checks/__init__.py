"""What `tidewheel doctor` looks at. Each check yields findings, each finding names what mends it."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Finding", "Level"]

Level = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """One thing that was looked at. A `problem` makes the command exit with 4, a `warning` does not."""

    check: str
    level: Level
    text: str
    fix: str = ""


def ok(check: str, text: str) -> Finding:
    return Finding(check, "ok", text)


def warning(check: str, text: str, fix: str) -> Finding:
    return Finding(check, "warning", text, fix)


def problem(check: str, text: str, fix: str) -> Finding:
    return Finding(check, "problem", text, fix)
