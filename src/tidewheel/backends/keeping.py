"""What engines have in common: how long what has ended is kept (seconds), and what is said of a dead worker's jobs."""

from __future__ import annotations

from tidewheel.contract import Final, Record
from tidewheel.core.outcome import Cancelled, Dead, Succeeded
from tidewheel.errors import ErrorRecord
from tidewheel.wire.failures import encode_error

DUPLICATES = 60.0
"""An ended job is remembered at least this long, whatever its result's time to live: so long a repeated publication is recognised."""
DEAD_LETTERS = 14 * 86_400.0
"""Dead letters, with their bodies, so that they can be revived."""
RESULTS = 3600.0
"""What is kept of a job that ended without a worker (cancelled or expired before it started)."""
HISTORY = 20
"""Entries of a job's history; the oldest go first."""
ELSEWHERE = 10.0
"""After so many seconds a worker looks again at the message of a job that another worker runs (`TrackingConsumer.take`)."""
SILENCE = 1.5
"""Beats that a worker must have missed before a carrier's word that it is dead is believed."""


def delivery(lease: float, beat: float) -> str:
    """For `Description`: what an engine promises whose workers keep a lease."""
    return f"At least once, and one outcome is accepted. A killed worker's jobs run again after {lease:g} to {lease + 2 * beat:g} seconds."


def visible(ttl: float) -> float:
    """Seconds after its end for which `records` answers for a job. Without a time to live: the bare fact, as long as duplicates matter."""
    return ttl if ttl > 0 else DUPLICATES


def kept(ttl: float, key_window: float) -> float:
    """Seconds after its end for which an engine must remember a job at all. `key_window` is 0 for a job without a key."""
    return max(ttl, DUPLICATES, key_window)


def lost_error(worker: str) -> bytes:
    """The error of a job whose worker died, for its history and for the dead letters."""
    return encode_error(ErrorRecord(type="WorkerLost", message=f"the worker that held the job died ({worker})"))


def archived(final: Final, now: float) -> Record:
    """What an archive answers for a job that ended like this."""
    match final.outcome:
        case Succeeded(value, ttl):
            return Record(id=final.id, state="succeeded", value=value if ttl > 0 else None, finished=now, attempts=final.attempts)
        case Dead(reason, error):
            return Record(id=final.id, state="dead", error=error or None, reason=reason, finished=now, attempts=final.attempts)
        case Cancelled():
            return Record(id=final.id, state="cancelled", finished=now, attempts=final.attempts)
        case _:
            return Record(id=final.id, state="expired", finished=now, attempts=final.attempts)
