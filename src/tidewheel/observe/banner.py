"""What a worker says of itself when it is ready to begin: on a terminal a block for people, elsewhere one log line."""

from __future__ import annotations

import logging
import shutil
import sys
import textwrap
from typing import TextIO

import msgspec

from tidewheel.contract import Description
from tidewheel.observe import logs
from tidewheel.observe.text import escape

__all__ = ["Banner", "announce", "banner"]

MARGIN = 13
"""Columns before the text: two of them empty, then the label."""
TASKS = 20
"""Tasks that are listed by name; the others are counted."""


class Banner(msgspec.Struct, frozen=True, kw_only=True):
    """The facts; what is known once the app's manifest is."""

    version: str
    worker: str
    app: str
    """What `-A` named."""
    broker: Description
    pool: str
    concurrency: int
    queues: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


def announce(info: Banner, *, stream: TextIO | None = None, color: bool | None = None) -> None:
    """Write the banner to `stream` (standard error) where the logs are for people, else log its facts as one line."""
    if logs.human():
        out: TextIO = sys.stderr if stream is None else stream
        out.write(banner(info, color=logs.wants_color(out) if color is None else color, width=shutil.get_terminal_size().columns) + "\n")
        out.flush()
        return
    log = logging.getLogger("tidewheel.worker")
    if log.isEnabledFor(logging.INFO):
        fields = {
            "event": "worker.settings", "worker": info.worker, "version": info.version, "app": info.app, "broker": info.broker.url,
            "engine": info.broker.engine, "durability": info.broker.level, "pool": info.pool, "concurrency": info.concurrency,
            "queues": info.queues, "tasks": sorted(info.tasks), "notes": info.broker.notes, "results": info.broker.results,
        }  # fmt: skip
        text = f"tidewheel {info.version}: {info.pool} x {info.concurrency} on {info.broker.url}"
        log.handle(log.makeRecord(log.name, logging.INFO, "", 0, text, (), None, "worker.settings", {"tidewheel": (fields, None)}))


def banner(info: Banner, *, color: bool = False, width: int = 120) -> str:
    """Version, broker, durability, pool, queues and tasks, as a block of lines of at most (where words allow it) `width` characters."""

    def paint(code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if color else text

    def wrap(text: str) -> list[str]:
        return textwrap.wrap(escape(text), max(20, width - MARGIN), break_long_words=False, break_on_hyphens=False)

    broker = info.broker
    safe = broker.level != "volatile"
    rows = [
        ("app", escape(info.app)),
        ("broker", f"{escape(broker.url)} ({escape(f'{broker.engine} {broker.version}'.strip())})"),
        *_labelled("durability", [t if safe else paint("33", t) for t in wrap(f"{broker.level}: {broker.durability}")]),
        *(_labelled("results", wrap(broker.results)) if broker.results else []),
        ("pool", f"{info.pool} x {info.concurrency}"),
        *_labelled("queues", wrap(", ".join(info.queues) or "none")),
        *_labelled("tasks", [escape(name) for name in sorted(info.tasks)[:TASKS]]),
    ]
    if not info.tasks:
        rows.append(("tasks", paint("33", "none: does the module that -A names import the modules with your tasks?")))
    elif len(info.tasks) > TASKS:
        rows.append(("", f"... and {len(info.tasks) - TASKS} more"))
    for note in broker.notes:
        rows += _labelled("note", [paint("33", t) for t in wrap(note)])
    title = paint("1;36", "tidewheel") + paint("1", f" {info.version}") + f"  {escape(info.worker)}"
    return "\n".join(["", title, "", *(f"  {paint('2', f'{label:<11}')}{text}" for label, text in rows), ""])


def _labelled(label: str, lines: list[str]) -> list[tuple[str, str]]:
    """Rows of which the first has the label."""
    return [(label if at == 0 else "", line) for at, line in enumerate(lines)]
