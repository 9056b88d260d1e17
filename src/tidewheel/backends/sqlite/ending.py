"""What an outcome does to a running job's row. Shared by who settles, who takes back from the dead, and who says goodbye."""

from __future__ import annotations

import sqlite3

import msgspec

from tidewheel.backends.keeping import DEAD_LETTERS, HISTORY, RESULTS, kept, visible
from tidewheel.backends.sqlite.rows import CANCELLED, DEAD, EXPIRED, READY, SCHEDULED, SUCCEEDED
from tidewheel.backends.sqlite.schema import statement
from tidewheel.core.outcome import Again, AnyOutcome, Cancelled, Dead, Expired, Succeeded

_AGAIN, _FINISH = statement("again"), statement("finish")
_NOTE, _TRIM, _DROP_PAYLOAD = statement("note"), statement("trim_history"), statement("drop_payload")


class Held(msgspec.Struct, frozen=True, array_like=True):
    """A running job, as far as its ending needs to know it."""

    id: str
    seq: int
    queue: str
    worker: str
    cancel: bool
    attempts: int
    strikes: int
    losses: int


def settle(db: sqlite3.Connection, job: Held, outcome: AnyOutcome, now: float) -> bool:
    """Write the outcome of a job whose fence was checked in this transaction. Answers whether it went back to its queue."""
    match outcome:
        case Again(event, delay, counted, error):
            if job.cancel:
                # Asked for between the worker's decision and now: it must not run once more.
                finish(db, job, CANCELLED, now, RESULTS, counted=counted)
                return False
            if event != "returned":
                note(db, job.id, now, event, job.worker, error)
            due = now + delay
            db.execute(_AGAIN, {"seq": job.seq, "state": SCHEDULED if delay > 0 else READY, "due": due, **_counts(counted)})
            return True
        case Succeeded(value, ttl):
            finish(db, job, SUCCEEDED, now, ttl, value=value if ttl > 0 else None)
        case Dead(reason, error, counted, ttl):
            finish(db, job, DEAD, now, ttl, reason=reason, error=error, counted=counted)
            note(db, job.id, now, "dead", job.worker, error)
        case Cancelled(ttl):
            finish(db, job, CANCELLED, now, ttl)
        case Expired(ttl):
            finish(db, job, EXPIRED, now, ttl)
    return False


def finish(
    db: sqlite3.Connection, job: Held, state: int, now: float, ttl: float, *,
    value: bytes | None = None, reason: str | None = None, error: bytes = b"", counted: str = "",
) -> None:  # fmt: skip
    """End a job in whatever state it is."""
    keep = kept(ttl, 0.0)
    db.execute(_FINISH, {
        "seq": job.seq, "state": state, "now": now, "until": visible(ttl), "keep": max(keep, DEAD_LETTERS) if state == DEAD else keep,
        "value": value, "reason": reason, "error": error or None, **_counts(counted),
    })  # fmt: skip
    if state != DEAD:
        db.execute(_DROP_PAYLOAD, (job.id,))


def note(db: sqlite3.Connection, job_id: str, now: float, event: str, worker: str = "", detail: bytes = b"") -> None:
    """One entry into a job's history, of which only the last ones are kept."""
    db.execute(_NOTE, (job_id, now, event, worker, detail or None))
    db.execute(_TRIM, (job_id, HISTORY))


def _counts(counted: str) -> dict[str, int]:
    return {name: int(name == counted) for name in ("attempts", "strikes", "losses")}
