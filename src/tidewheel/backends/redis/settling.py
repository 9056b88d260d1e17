"""Outcomes as the arguments of `settle`, for who settles, who takes back from the dead and who says goodbye."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

from tidewheel.backends.keeping import DEAD_LETTERS, RESULTS, kept, visible
from tidewheel.backends.redis import layout, publishing
from tidewheel.backends.redis.publishing import Arg
from tidewheel.backends.redis.store import Store
from tidewheel.contract import Settlement, Verdict
from tidewheel.core.outcome import Again, AnyOutcome, Cancelled, Dead, Expired, Succeeded

STEP = 256
"""Jobs in one script: it bounds the time for which the server does nothing else."""

_VERDICTS: tuple[Verdict, ...] = ("ok", "stale", "gone")
_COUNTED = {"": 0, "attempts": 1, "strikes": 2, "losses": 3}
_SUCCEEDED = struct.Struct(">cddB")
_FINISHED = struct.Struct(">cBddB")
_AGAIN = struct.Struct(">cdB")


def settle(store: Store, batch: Sequence[Settlement]) -> list[Verdict]:
    """Write outcomes; a verdict each, in order. In steps: what a failed call did is answered `gone` when it is repeated."""
    verdicts: list[Verdict] = []
    for start in range(0, len(batch), STEP):
        verdicts += _step(store, batch[start : start + STEP])
    return verdicts


def _step(store: Store, batch: Sequence[Settlement]) -> list[Verdict]:
    args: list[Arg] = [len(batch), visible(RESULTS), kept(RESULTS, 0.0)]
    more: list[Arg] = []
    for number, s in enumerate(batch, 1):
        what, data = _what(s.outcome)
        args += (layout.raw(s.id), layout.fence(s.token), what, data)
        if s.publish:
            jobs = publishing.arguments(s.publish)
            more += (number, len(jobs), *jobs)
    answer = store.run("settle", [*args, *more], size=len(batch))
    return ["ok"] * len(batch) if answer is None else [_VERDICTS[n] for n in answer]


def _what(outcome: AnyOutcome) -> tuple[bytes, bytes]:
    """How to end it, and the value or the error."""
    match outcome:
        case Succeeded(value, ttl):
            return _success(ttl, value is not None and ttl > 0), value or b""
        case Again(event, delay, counted, error):
            # Handed back before it began is nothing that happened to the job.
            return _AGAIN.pack(b"A", delay, _COUNTED[counted]) + (b"" if event == "returned" else event.encode()), error
        case Dead(reason, error, counted, ttl):
            keep = max(kept(ttl, 0.0), DEAD_LETTERS)
            return _FINISHED.pack(b"F", layout.DEAD, visible(ttl), keep, _COUNTED[counted]) + reason.encode(), error
        case Cancelled(ttl):
            return _FINISHED.pack(b"F", layout.CANCELLED, visible(ttl), kept(ttl, 0.0), 0), b""
        case Expired(ttl):
            return _FINISHED.pack(b"F", layout.EXPIRED, visible(ttl), kept(ttl, 0.0), 0), b""


@lru_cache(64)
def _success(ttl: float, valued: bool) -> bytes:
    return _SUCCEEDED.pack(b"S", visible(ttl), kept(ttl, 0.0), valued)
