"""Rows and structs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tidewheel.backends.sqlite.schema import statement
from tidewheel.contract import Record
from tidewheel.core.job import Delivery, Envelope, HistoryEntry, JobView, State, Token

SCHEDULED, READY, RUNNING, SUCCEEDED, DEAD, CANCELLED, EXPIRED = range(7)
STATES: tuple[State, ...] = ("scheduled", "ready", "running", "succeeded", "dead", "cancelled", "expired")
LONG_BODY = 1024
"""Bytes. Longer bodies live beside the job, because each UPDATE of a job writes its whole row again."""

_PAYLOAD = statement("payload")
_HEADERS = msgspec.json.Decoder(dict[str, str])
_encode = msgspec.json.encode

Row = tuple[Any, ...]


def insertion(envelope: Envelope, now: float) -> tuple[Row, bool]:
    """The parameters of `publish.sql`, and whether the body goes beside."""
    e = envelope
    body = e.body
    if e.delay or e.due is not None:
        due = e.due_at(now)
        state = READY if due <= now else SCHEDULED
    else:
        due, state = now, READY
    expires = None if e.lifetime is None and e.expires is None else e.expires_at(now)
    headers = _encode(e.headers).decode() if e.headers else None
    key_window = e.key_window if e.key is not None else None
    long = len(body) > LONG_BODY
    return (
        e.id, e.task, e.queue, state, -e.priority, now, due, expires, e.key, key_window, headers, None if long else body,
    ), long  # fmt: skip


def deliveries(db: sqlite3.Connection, rows: Sequence[Row], long: set[str]) -> list[Delivery]:
    """The rows of `claim.sql` or `held.sql`, in the order of the queue. Ids with a long body are added to `long`."""
    made = []
    token = Token("", 0)
    for row in sorted(rows, key=_place):
        rank, _, id_, task, queue, body, headers, key, key_window, expires, published, handed, attempts, strikes, losses, worker, claim = (
            row
        )
        if body is None:
            long.add(id_)
            body = _long_body(db, id_)
        envelope = Envelope(
            id=id_, task=task, body=body, queue=queue, priority=-rank, expires=expires,
            key=key, key_window=60.0 if key_window is None else key_window, headers=_HEADERS.decode(headers) if headers else {},
        )  # fmt: skip
        if token.claim != claim or token.worker != worker:
            token = Token(worker, claim)
        made.append(
            Delivery(
                envelope=envelope, token=token, published=published, deliveries=handed, attempts=attempts, strikes=strikes, losses=losses
            )
        )
    return made


def _place(row: Row) -> tuple[int, int]:
    return row[0], row[1]


def _long_body(db: sqlite3.Connection, job_id: str) -> bytes:
    found = db.execute(_PAYLOAD, (job_id,)).fetchone()
    # Settled by somebody else between two statements of a reader; who asked will be told that its token is stale.
    return found[0] if found else b""


def records(rows: Iterable[Row]) -> dict[str, Record]:
    """The rows of `records.sql` and `ended.sql`."""
    return {
        id_: Record(
            id=id_, state=STATES[state], value=value, error=error or None, reason=reason or "", finished=finished, attempts=attempts,
            progress=progress,
        )
        for id_, state, value, error, reason, finished, attempts, progress in rows
    }  # fmt: skip


def view(db: sqlite3.Connection, row: Row, history: tuple[HistoryEntry, ...] = ()) -> JobView:
    """A row of `job.sql` and the like."""
    (
        id_, state, task, queue, rank, published, due, started, finished, expires, key, worker, handed, attempts, strikes, losses, cancel,
        reason, body, value, error, progress, headers,
    ) = row  # fmt: skip
    if body is None:
        body = _long_body(db, id_) if state <= RUNNING or state == DEAD else b""
    return JobView(
        id=id_, state=STATES[state], task=task, queue=queue, priority=-rank, published=published, due=due, started=started,
        finished=finished, expires=expires, key=key, worker=worker, deliveries=handed, attempts=attempts, strikes=strikes, losses=losses,
        cancel_requested=bool(cancel), reason=reason or "", body=body, value=value, error=error or None, progress=progress,
        headers=_HEADERS.decode(headers) if headers else {}, history=history,
    )  # fmt: skip


def history(rows: Iterable[Row]) -> tuple[HistoryEntry, ...]:
    """The rows of `history.sql`."""
    return tuple(HistoryEntry(at=at, event=event, worker=worker, detail=detail or b"") for at, event, worker, detail in rows)
