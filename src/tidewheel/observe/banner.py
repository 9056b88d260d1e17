"""What a worker says of itself when it is ready to begin: on a terminal a block for people, elsewhere one log line."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import msgspec

from tidewheel.contract import Description
from tidewheel.observe import logs
from tidewheel.observe.text import escape

__all__ = ["Banner", "announce", "banner"]

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
        out.write(banner(info, color=logs.wants_color(out) if color is None else color) + "\n")
        out.flush()
        return
    log = logging.getLogger("tidewheel.worker")
    if log.isEnabledFor(logging.INFO):
        fields = {
            "event": "worker.settings", "worker": info.worker, "version": info.version, "app": info.app, "broker": info.broker.url,
            "engine": info.broker.engine, "durability": info.broker.level, "pool": info.pool, "concurrency": info.concurrency,
            "queues": info.queues, "tasks": info.tasks, "notes": info.broker.notes,
        }  # fmt: skip
        text = f"tidewheel {info.version}: {info.pool} x {info.concurrency} on {info.broker.url}"
        log.handle(log.makeRecord(log.name, logging.INFO, "", 0, text, (), None, "worker.settings", {"tidewheel": (fields, None)}))


def banner(info: Banner, *, color: bool = False) -> str:
    """Version, broker, durability, pool, queues and tasks, as a block of text that ends with a newline."""

    def paint(code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if color else text

    broker = info.broker
    durability = f"{broker.level}: {escape(broker.durability)}"
    rows = [
        ("app", escape(info.app)),
        ("broker", f"{escape(broker.url)} ({escape(f'{broker.engine} {broker.version}'.strip())})"),
        ("durability", paint("33", durability) if broker.level == "volatile" else durability),
        ("pool", f"{info.pool} x {info.concurrency}"),
        ("queues", ", ".join(map(escape, info.queues)) or "none"),
    ]
    tasks = sorted(info.tasks)
    for at, name in enumerate(tasks[:TASKS]):
        rows.append(("tasks" if at == 0 else "", escape(name)))
    if not tasks:
        rows.append(("tasks", paint("33", "none: does the module that -A names import the modules with your tasks?")))
    elif len(tasks) > TASKS:
        rows.append(("", f"... and {len(tasks) - TASKS} more"))
    rows += [("note", paint("33", escape(note))) for note in broker.notes]
    title = paint("1;36", "tidewheel") + paint("1", f" {info.version}") + f"  {escape(info.worker)}"
    return "\n".join(["", title, "", *(f"  {paint('2', f'{label:<11}')}{text}" for label, text in rows), ""])
