"""Rows and structs."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tidewheel.contract import Record
from tidewheel.core.job import Delivery, Envelope, HistoryEntry, JobView, State, Token
from tidewheel.errors import ConfigurationError

SCHEDULED, READY, RUNNING, SUCCEEDED, DEAD, CANCELLED, EXPIRED = range(7)
STATES: tuple[State, ...] = ("scheduled", "ready", "running", "succeeded", "dead", "cancelled", "expired")

_HEADERS = msgspec.json.Decoder(dict[str, str])
Row = tuple[Any, ...]


def raw(job_id: str) -> bytes:
    """The bytes of a job's id. Raises `ConfigurationError` for what is no UUID."""
    try:
        made = bytes.fromhex(job_id.replace("-", ""))
    except ValueError:
        made = b""
    if len(made) != 16 or len(job_id) != 36:
        raise ConfigurationError(f"{job_id!r} is not a job id; the PostgreSQL engine takes UUIDs in their form of 36 characters")
    return made


def known(ids: Sequence[str]) -> dict[str, bytes]:
    """Ids with their bytes, without those that cannot be ids of jobs. In the server's own spelling."""
    found = {}
    for id_ in ids:
        try:
            found[id_.lower()] = raw(id_)
        except ConfigurationError:
            continue
    return found


def place(row: Row) -> tuple[int, int]:
    """Where a job stood in its queue: the lower the sooner."""
    return row[0], row[1]


def delivery(row: Row, token: Token) -> Delivery:
    """A row of `claim.sql` or `held.sql`, from the rank on."""
    rank, _, id_, queue, task, body, headers, key, key_window, expires, published, handed, attempts, strikes, losses = row
    envelope = Envelope(
        id=id_, task=task, body=body, queue=queue, priority=-rank, expires=expires, key=None if key is None else key.decode(),
        key_window=60.0 if key_window is None else key_window, headers=_HEADERS.decode(headers) if headers else {},
    )  # fmt: skip
    return Delivery(
        envelope=envelope, token=token, published=published, deliveries=handed, attempts=attempts, strikes=strikes, losses=losses
    )


def records(rows: Iterable[Row]) -> dict[str, Record]:
    """The rows of `records.sql` and `outcomes.sql`."""
    return {
        id_: Record(
            id=id_, state=STATES[state], value=value, error=error or None, reason=reason or "", finished=finished, attempts=attempts,
            progress=progress,
        )
        for id_, state, value, error, reason, finished, attempts, progress in rows
    }  # fmt: skip


def view(row: Row) -> JobView:
    """A row of `jobs.sql`."""
    (
        id_, state, task, queue, rank, published, due, started, finished, expires, key, worker, handed, attempts, strikes, losses, cancel,
        reason, body, value, error, progress, headers, history,
    ) = row  # fmt: skip
    return JobView(
        id=id_, state=STATES[state], task=task, queue=queue, priority=-rank, published=published, due=due, started=started,
        finished=finished, expires=expires, key=None if key is None else key.decode(), worker=worker, deliveries=handed, attempts=attempts,
        strikes=strikes, losses=losses, cancel_requested=cancel, reason=reason or "", body=body or b"", value=value, error=error or None,
        progress=progress, headers=_HEADERS.decode(headers) if headers else {}, history=_history(history),
    )  # fmt: skip


class _Entry(msgspec.Struct):
    at: float
    event: str
    worker: str = ""
    detail: str | None = None


_ENTRIES = msgspec.json.Decoder(list[_Entry])


def _history(text: str | None) -> tuple[HistoryEntry, ...]:
    if not text:
        return ()
    return tuple(
        HistoryEntry(at=e.at, event=e.event, worker=e.worker, detail=base64.b64decode(e.detail or "")) for e in _ENTRIES.decode(text)
    )
