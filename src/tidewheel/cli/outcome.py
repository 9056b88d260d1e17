"""Wait for a job, and print what came of it: what `result` and `call --wait` have in common."""

from __future__ import annotations

from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, Any

from tidewheel.cli.failures import Failure, TimedOut
from tidewheel.cli.output import write_object
from tidewheel.cli.session import Session
from tidewheel.cli.words import iso, shown
from tidewheel.core.job import ENDED
from tidewheel.observe.text import user_frames
from tidewheel.wire.failures import decode_error
from tidewheel.wire.values import decode

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel
    from tidewheel.contract import Record

__all__ = ["await_end", "print_outcome"]


def await_end(app: Tidewheel, job_id: str, wait: float) -> Record:
    """The job's record, once it has ended or `wait` seconds are over. Raises `UnknownJob` or `ResultExpired`."""
    record = app.record(job_id)
    if record.state in ENDED or wait <= 0:
        return record
    future = app.watch(job_id)
    try:
        return future.result(wait)
    except FutureTimeout:
        return app.record(job_id)
    finally:
        app.unwatch(job_id, future)


def print_outcome(session: Session, record: Record, wait: float) -> None:
    """The value as JSON, on standard output (with -o json the whole record). Raises `Failure` for every other outcome."""
    error = decode_error(record.error)
    value = None if record.value is None else decode(record.value)
    item: dict[str, Any] = {
        "id": record.id, "state": record.state, "value": value, "reason": record.reason or None, "attempts": record.attempts,
        "finished": iso(record.finished),
        "error": None if error is None else {"type": error.type, "message": error.message, "traceback": error.traceback},
    }  # fmt: skip
    write_object(session, item, shown(value) if record.state == "succeeded" else "")
    if record.state == "succeeded":
        return
    if record.state not in ENDED:
        waited = f" within {wait:g} s; it goes on" if wait > 0 else "; --wait 60 waits up to a minute for it"
        raise TimedOut(f"job {record.id} is {record.state} and has not ended{waited}")
    if record.state == "dead":
        details = user_frames(error.traceback) if error is not None and session.verbose else ""
        what = str(error).split("\n")[0] if error is not None else "no error was recorded"
        raise Failure(f"job {record.id} is dead ({record.reason}): {what} (tidewheel jobs show {record.id} tells more)", details=details)
    raise Failure(f"job {record.id} " + ("was cancelled" if record.state == "cancelled" else "expired before it was started"))
