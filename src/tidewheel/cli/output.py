"""What goes to standard output: one value (dicts and lists that JSON can say), as a table, as JSON, or as JSON lines."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec

from tidewheel.cli.session import Session
from tidewheel.cli.tables import Column, render
from tidewheel.cli.words import shown
from tidewheel.observe.text import escape, escape_json

__all__ = ["STATE_COLORS", "state_color", "write_items", "write_object"]

STATE_COLORS = {"succeeded": "green", "dead": "red", "running": "cyan", "cancelled": "yellow", "expired": "yellow", "scheduled": "blue"}


def state_color(item: Mapping[str, Any]) -> str | None:
    return STATE_COLORS.get(str(item.get("state")))


def write_items(
    session: Session, items: Sequence[Mapping[str, Any]], columns: Sequence[Column], *, key: str = "id", none: str = ""
) -> None:
    """A list: a table, one JSON array, or one JSON object a line; with -q only the `key` of each, one a line."""
    if session.output == "jsonl":
        for item in items:
            click.echo(shown(item))
    elif session.output == "json":
        click.echo(_pretty(items))
    elif session.quiet:
        for item in items:
            click.echo(escape(str(item[key])))
    elif items:
        click.echo(render(columns, items, terminal_width()))
    elif none:
        session.remark(none)


def write_object(session: Session, item: Mapping[str, Any], text: str) -> None:
    """One thing: `text` for people, or the item as a JSON object (over several lines, or on one)."""
    if session.output == "jsonl":
        click.echo(shown(item))
    elif session.output == "json":
        click.echo(_pretty(item))
    elif text:
        click.echo(text)


def terminal_width() -> int | None:
    """None where standard output is no terminal: then nothing is cut, so that it can be searched."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _pretty(value: Any) -> str:
    return escape_json(msgspec.json.format(shown(value), indent=2))
