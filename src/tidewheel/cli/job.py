"""A job as the command line shows it: the item that JSON prints, the columns of a table, and everything about one."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from tidewheel.cli.failures import NotFound
from tidewheel.cli.output import state_color, write_items, write_object
from tidewheel.cli.session import Session
from tidewheel.cli.tables import Column
from tidewheel.cli.words import age, clock, iso, shown
from tidewheel.contract import Browse, Control, DeadLetters, JobFilter
from tidewheel.core.job import HistoryEntry, JobView
from tidewheel.observe.text import cap, escape, indent, user_frames
from tidewheel.wire.call import decode_call
from tidewheel.wire.failures import decode_error
from tidewheel.wire.values import decode

if TYPE_CHECKING:
    from tidewheel import Tidewheel

__all__ = ["changes_dead", "dead_columns", "item", "job_columns", "list_jobs", "looks_at_dead", "pages", "show_job"]

PAGE = 500
LETTERS = 10_000
"""The same for an engine where each page means to read all dead letters."""
ARGUMENT = 2_000
"""Characters of one argument, or of the value, that are shown to people; JSON output has all of them."""


# -- lists ------------------------------------------------------------------------------------------------------------


def item(job: JobView) -> dict[str, Any]:
    """One job as an item of a list. Its fields are part of the documented output."""
    error = decode_error(job.error)
    return {
        "id": job.id, "state": job.state, "task": job.task, "queue": job.queue, "priority": job.priority,
        "published": iso(job.published), "due": iso(job.due), "started": iso(job.started), "finished": iso(job.finished),
        "expires": iso(job.expires), "key": job.key, "worker": job.worker, "deliveries": job.deliveries, "attempts": job.attempts,
        "strikes": job.strikes, "losses": job.losses, "cancel_requested": job.cancel_requested, "reason": job.reason or None,
        "error": None if error is None else {"type": error.type, "message": error.message},
    }  # fmt: skip


def _error(entry: Mapping[str, Any]) -> str:
    error = entry["error"]
    return "" if error is None else cap(f"{error['type']}: {error['message']}".removesuffix(": "), 300)


def job_columns(views: Mapping[str, JobView], now: float) -> list[Column]:
    return [
        Column("ID", lambda i: i["id"]),
        Column("STATE", lambda i: i["state"], color=state_color),
        Column("TASK", lambda i: i["task"], shrink=True),
        Column("QUEUE", lambda i: i["queue"], shrink=True),
        Column("FAILED", lambda i: str(i["attempts"]) if i["attempts"] else "", right=True),
        Column("AGE", lambda i: age(now - views[i["id"]].published), right=True),
        Column("TIMING", lambda i: _timing(views[i["id"]], now), shrink=True),
    ]


def _timing(job: JobView, now: float) -> str:
    if job.state == "scheduled" and job.due is not None:
        return f"due in {age(job.due - now)}" if job.due > now else "due"
    if job.state == "running" and job.started is not None:
        return f"running for {age(now - job.started)}" + (", cancel requested" if job.cancel_requested else "")
    if job.finished is not None:
        took = f", took {age(job.finished - job.started)}" if job.started is not None and job.state == "succeeded" else ""
        return f"{age(now - job.finished)} ago{took}" + (f" ({job.reason})" if job.reason else "")
    return ""


def dead_columns(views: Mapping[str, JobView], now: float) -> list[Column]:
    return [
        Column("ID", lambda i: i["id"]),
        Column("TASK", lambda i: i["task"], shrink=True),
        Column("QUEUE", lambda i: i["queue"], shrink=True),
        Column("REASON", lambda i: i["reason"] or "", color=lambda i: "red"),
        Column("DIED", lambda i: age(now - d) + " ago" if (d := views[i["id"]].finished) is not None else "", right=True),
        Column("ERROR", _error, shrink=True),
    ]


def list_jobs(session: Session, which: JobFilter, limit: int, before: str | None, *, dead: bool, none: str) -> None:
    """One page of jobs on standard output, and below it, for people, how to get the next."""
    app = session.connect()
    views = (looks_at_dead(app) if dead else app.browse()).jobs(which, limit, before)
    by_id = {v.id: v for v in views}
    columns = dead_columns if dead else job_columns
    write_items(session, [item(v) for v in views], columns(by_id, app.backend.broker.now()), none=none)
    if len(views) == limit and session.output == "table":
        session.remark(f"(these are the newest {limit}; older ones: --before {views[-1].id})")


def looks_at_dead(app: Tidewheel) -> Browse | DeadLetters:
    """The role that lists dead jobs."""
    return app.backend.dead_letters or app.browse()


def changes_dead(app: Tidewheel) -> Control | DeadLetters:
    """The role that revives and deletes them."""
    return app.backend.dead_letters or app.control()


def pages(browse: Browse | DeadLetters, which: JobFilter) -> Iterator[Sequence[JobView]]:
    """All jobs that match, page by page, newest first. A job that changes meanwhile is seen at most once."""
    before, size = None, PAGE if isinstance(browse, Browse) else LETTERS
    while views := browse.jobs(which, size, before):
        yield views
        before = views[-1].id


# -- one job ----------------------------------------------------------------------------------------------------------


def show_job(session: Session, job_id: str, *, arguments: bool, dead: bool = False) -> None:
    """Everything that is known of one job; `dead`: of a dead one, where others cannot be looked up."""
    app = session.connect()
    letters = app.backend.dead_letters if dead else None
    if letters is not None:
        job = next(iter(letters.jobs(JobFilter(state="dead", ids=(job_id,)), 1)), None)
        if job is None:
            raise NotFound(f"no dead job {job_id} is known")
    else:
        job = app.browse().job(job_id)
    if job is None:
        app.record(job_id)  # says why: no id at all, too old, or unknown
        raise NotFound(f"no job {job_id} is known")
    write_object(session, _details(job, arguments), _page(job, app.backend.broker.now(), arguments))


def _details(job: JobView, arguments: bool) -> dict[str, Any]:
    found = item(job)
    error = decode_error(job.error)
    if error is not None:
        found["error"]["traceback"] = error.traceback
    found["headers"] = dict(job.headers)
    found["progress"] = _decoded(job.progress)
    if arguments:
        found["args"], found["kwargs"], note = _call(job)
        if note:
            found["note"] = note
        found["value"] = _decoded(job.value)
    found["history"] = [_entry(e) for e in job.history]
    return found


def _entry(entry: HistoryEntry) -> dict[str, Any]:
    error = decode_error(entry.detail)
    return {
        "at": iso(entry.at), "event": entry.event, "worker": entry.worker or None,
        "error": None if error is None else {"type": error.type, "message": error.message, "traceback": error.traceback},
    }  # fmt: skip


def _decoded(data: bytes | None) -> Any:
    if data is None:
        return None
    try:
        return decode(data)
    except ValueError as broken:
        return f"<{broken}>"


def _page(job: JobView, now: float, arguments: bool) -> str:
    """For people: the facts, then what happened when, then the error."""
    counters = [f"{n} {what}" for n, what in ((job.strikes, "crashes"), (job.losses, "workers lost")) if n]
    rows = [
        ("job", job.id),
        ("state", click.style(job.state, fg=state_color({"state": job.state})) + (f" ({escape(job.reason)})" if job.reason else "")),
        ("task", job.task),
        ("queue", job.queue + (f", priority {job.priority}" if job.priority else "")),
        ("tries", ", ".join([f"{job.attempts} failed", f"{job.deliveries} deliveries", *counters])),
        ("worker", escape(job.worker or "")),
        ("key", escape(job.key or "")),
        ("cancel", "requested" if job.cancel_requested else ""),
        ("expires", clock(job.expires)),
        *(("header", escape(f"{k}: {cap(v, 200)}")) for k, v in sorted(job.headers.items())),
    ]
    if job.progress is not None:
        rows.append(("progress", _short(_decoded(job.progress))))
    if arguments:
        rows += _arguments(job)
    parts = ["\n".join(f"{label:<10}{text}" for label, text in rows if text), _timeline(job, now)]
    error = decode_error(job.error)
    if error is not None:
        parts.append(click.style("error", bold=True) + "\n" + indent(user_frames(error.traceback) or str(error)))
    return "\n\n".join(parts)


def _call(job: JobView) -> tuple[list[Any] | None, dict[str, Any] | None, str]:
    """Its arguments; or None, and why there are none."""
    if not job.body:
        return None, None, "not kept: arguments are forgotten when a job ends, unless it is dead"
    try:
        return *decode_call(job.body), ""
    except (ValueError, NotImplementedError) as broken:
        return None, None, f"the arguments cannot be decoded: {broken}"


def _arguments(job: JobView) -> list[tuple[str, str]]:
    args, kwargs, note = _call(job)
    rows = [("args", escape(note))] if note else []
    rows += [("args" if at == 0 else "", _short(value)) for at, value in enumerate(args or ())]
    rows += [("kwargs" if at == 0 else "", f"{escape(name)} = {_short(value)}") for at, (name, value) in enumerate((kwargs or {}).items())]
    if job.value is not None:
        rows.append(("value", _short(_decoded(job.value))))
    return rows


def _short(value: Any) -> str:
    return escape(cap(shown(value), ARGUMENT))


def _timeline(job: JobView, now: float) -> str:
    moments: list[tuple[float, str, str]] = [(job.published, "published", "")]
    if job.due is not None and job.due > job.published:
        moments.append((job.due, "due", ""))
    if job.started is not None:
        moments.append((job.started, "started", ""))
    for entry in job.history:
        error = decode_error(entry.detail)
        what = cap(str(error).split("\n")[0], 200) if error is not None else ""
        moments.append((entry.at, entry.event, ", ".join(filter(None, (what, f"worker {entry.worker}" if entry.worker else "")))))
    if job.finished is not None and not any(m[0] == job.finished and m[1] == job.state for m in moments):
        moments.append((job.finished, job.state, ""))
    lines = [click.style("timeline", bold=True)]
    last = job.published
    for at, event, note in sorted(moments, key=lambda m: m[0]):
        step = f"in {age(at - now)}" if at > now else f"+{age(at - last)}"
        lines.append(textwrap.indent(f"{clock(at)}  {step:>8}  {escape(event):<12} {escape(note)}".rstrip(), "  "))
        last = at
    return "\n".join(lines)
