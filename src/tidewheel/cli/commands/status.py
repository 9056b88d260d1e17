"""`tidewheel status`"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from tidewheel.cli.output import terminal_width, write_object
from tidewheel.cli.root import Command
from tidewheel.cli.session import Session
from tidewheel.cli.tables import Column, render
from tidewheel.cli.words import age, count, iso
from tidewheel.observe.text import escape

if TYPE_CHECKING:
    from tidewheel.contract import Backend, Counts, WorkerInfo


@click.command("status", cls=Command)
@click.pass_obj
def command(session: Session) -> None:
    """Show the broker and what it guarantees, its queues and its workers."""
    app = session.connect()
    broker = app.describe()
    now = app.backend.broker.now()
    browse = app.backend.browse
    workers = list(browse.workers()) if browse is not None else None
    counts = app.counts()
    queues = queue_items(counts, workers)
    item: dict[str, Any] = {
        "broker": {
            "engine": broker.engine, "version": broker.version, "url": broker.url, "level": broker.level,
            "durability": broker.durability, "delivery": broker.delivery or None, "cannot": missing(app.backend),
            "notes": list(broker.notes), "results": broker.results or None,
        },
        "queues": queues,
        "workers": None if workers is None else [_worker(w) for w in sorted(workers, key=lambda w: w.name)],
        "problems": unserved(queues),
    }  # fmt: skip
    if session.quiet and session.output == "table":
        click.echo("\n".join(q["queue"] for q in queues))
        return
    write_object(session, item, _page(item, now, workers))
    if session.output == "table":
        for problem in item["problems"]:
            click.echo(click.style(escape(problem), fg="yellow"), err=True)


def queue_items(counts: Mapping[str, Counts], workers: Sequence[WorkerInfo] | None) -> list[dict[str, Any]]:
    """Every queue with its depths, and how many workers serve it (None: not known to this engine)."""
    served = None if workers is None else [q for w in workers for q in w.queues]
    names = sorted({*counts, *(served or ())})
    items = []
    for name in names:
        c = counts.get(name)
        depths = (c.ready, c.scheduled, c.running, c.dead, c.oldest) if c is not None else (0, 0, 0, 0, None)
        item = dict(zip(("ready", "scheduled", "running", "dead", "oldest_seconds"), depths))
        items.append({"queue": name, **item, "workers": None if served is None else served.count(name)})
    return items


def unserved(queues: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for every queue whose jobs nobody will run."""
    return [
        f"queue {q['queue']} has {count(waiting, 'job')} and no worker: start one with tidewheel -A … worker -Q {q['queue']}"
        for q in queues
        if (waiting := q["ready"] + q["scheduled"] + q["running"]) and q["workers"] == 0
    ]


STORE = 'give it a store for that, as Tidewheel(…, results="redis://…", "postgresql://…" or "sqlite:///…")'


def missing(backend: Backend) -> list[str]:
    """What this broker cannot do without a store."""
    list_ = "list jobs" if backend.dead_letters is None else "list jobs that are not dead"
    roles = {"keep results": backend.results, "cancel jobs": backend.control, list_: backend.browse}
    return [what for what, role in roles.items() if role is None]


def _worker(worker: WorkerInfo) -> dict[str, Any]:
    return {
        "name": worker.name, "id": worker.id, "host": worker.host, "pid": worker.pid, "queues": list(worker.queues), "pool": worker.pool,
        "concurrency": worker.concurrency, "running": worker.running, "started": iso(worker.started), "seen": iso(worker.seen),
        "version": worker.version,
    }  # fmt: skip


QUEUES = [
    Column("QUEUE", lambda q: q["queue"], shrink=True),
    Column("READY", lambda q: str(q["ready"]), right=True),
    Column("SCHEDULED", lambda q: str(q["scheduled"]), right=True),
    Column("RUNNING", lambda q: str(q["running"]), right=True),
    Column("DEAD", lambda q: str(q["dead"]), right=True, color=lambda q: "red" if q["dead"] else None),
    Column("OLDEST", lambda q: age(q["oldest_seconds"]), right=True),
    Column("WORKERS", lambda q: "?" if q["workers"] is None else str(q["workers"]), right=True),
]


def _wrapped(label: str, text: str) -> str:
    lines = textwrap.wrap(escape(text), max(20, (terminal_width() or 120) - 12), break_long_words=False, break_on_hyphens=False)
    return f"{label:<12}" + ("\n" + " " * 12).join(lines)


def _page(item: Mapping[str, Any], now: float, workers: Sequence[WorkerInfo] | None) -> str:
    broker = item["broker"]
    lines = [
        f"broker      {escape(broker['url'])} ({escape(broker['engine'] + ' ' + broker['version'])})",
        _wrapped("durability", f"{broker['level']}: {broker['durability']}"),
        *([_wrapped("delivery", broker["delivery"])] if broker["delivery"] else []),
        *([_wrapped("results", broker["results"])] if broker["results"] else []),
        *([_wrapped("cannot", f"{', '.join(broker['cannot'])}: {STORE}")] if broker["cannot"] else []),
        *(click.style(_wrapped("note", note), fg="yellow") for note in broker["notes"]),
        "",
        render(QUEUES, item["queues"], terminal_width()) if item["queues"] else "no queues yet: nothing was published",
        "",
    ]
    if workers is None:
        return "\n".join([*lines, "this engine cannot list its workers"])
    since = {w.id: now - w.started for w in workers}
    columns = [
        Column("WORKER", lambda w: w["name"], shrink=True),
        Column("HOST", lambda w: w["host"], shrink=True),
        Column("PID", lambda w: str(w["pid"]), right=True),
        Column("POOL", lambda w: f"{w['pool']} x {w['concurrency']}"),
        Column("QUEUES", lambda w: ",".join(w["queues"]), shrink=True),
        Column("RUNNING", lambda w: str(w["running"]), right=True),
        Column("UP", lambda w: age(since[w["id"]]), right=True),
    ]
    return "\n".join([*lines, render(columns, item["workers"], terminal_width()) if workers else "no workers"])
