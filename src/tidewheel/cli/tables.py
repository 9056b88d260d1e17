"""Tables for people: aligned by what characters take on a terminal, and cut to its width. Pure: width comes in as an argument."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import click

from tidewheel.observe.text import escape

__all__ = ["Column", "cut", "pad", "render", "width"]


class Column(NamedTuple):
    title: str
    show: Callable[[Mapping[str, Any]], str]
    """The cell of one item."""
    right: bool = False
    """Numbers stand on the right."""
    shrink: bool = False
    """Cut when the terminal is too narrow; what does not shrink is shown whole, as ids are, to be copied."""
    color: Callable[[Mapping[str, Any]], str | None] = lambda item: None


def width(text: str) -> int:
    """Columns that a text takes on a terminal: wide East Asian characters and most emoji two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_width(c) for c in text)


def _width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """The text in at most so many columns; one that is cut ends with an ellipsis."""
    if width(text) <= columns:
        return text
    used, out = 1, ""
    for char in text:
        used += _width(char)
        if used > columns:
            break
        out += char
    return out + "…" if columns > 0 else ""


def pad(text: str, columns: int, *, right: bool = False) -> str:
    space = " " * max(0, columns - width(text))
    return space + text if right else text + space


def render(columns: Sequence[Column], items: Sequence[Mapping[str, Any]], terminal: int | None) -> str:
    """Lines with a heading; `terminal` is its width, None: as wide as it takes."""
    cells = [[escape(c.show(item)) for c in columns] for item in items]
    widths = [max([width(c.title), *(width(row[i]) for row in cells)]) for i, c in enumerate(columns)]
    if terminal is not None:
        _shrink(columns, widths, terminal - 2 * (len(columns) - 1))
    lines = [click.style("  ".join(pad(cut(c.title, w), w, right=c.right) for c, w in zip(columns, widths)).rstrip(), bold=True)]
    for item, row in zip(items, cells):
        parts = []
        for c, w, text in zip(columns, widths, row):
            text, color = pad(cut(text, w), w, right=c.right), c.color(item)
            parts.append(click.style(text, fg=color) if color else text)
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def _shrink(columns: Sequence[Column], widths: list[int], room: int) -> None:
    """Take from the widest of those that may shrink, until it fits or all of them are at their least."""
    while sum(widths) > room:
        able = [i for i, c in enumerate(columns) if c.shrink and widths[i] > max(6, width(c.title))]
        if not able:
            return
        widest = max(able, key=lambda i: widths[i])
        widths[widest] -= 1
