"""What a run came to. `decide` turns how it ended into the one frozen value that settles the job.

    ending                      outcome
    ------                      -------
    Returned                    Succeeded
    Raised, may be retried      Again(retry)         while attempts are left, else Dead("failed")
    Raised, not retriable       Dead("failed")
    AskedRetry                  Again(retry)         while attempts are left, else Dead("failed")
    AskedSnooze                 Again(snooze)        counts nothing
    AskedAbort                  Dead("aborted")
    OverTime                    as Raised, with the class HardTimeLimit → "time limit"
    Crashed                     Again(crashed), strike + 1; Dead("poison") at STRIKE_LIMIT
    Lost                        Again(lost), loss + 1;      Dead("poison") at LOSS_LIMIT
    Unstarted, Interrupted        Again, counts nothing
    UnknownTask                 Again(unknown task) for UNKNOWN_TASK_PATIENCE, then Dead("unknown task")
    Undecodable, BadArguments   Dead("undecodable" / "bad arguments") at once
    TooLate                     Expired
    Stopped                     Cancelled

A cancellation asked for while it ran turns every Again, and every failure, into Cancelled; it does not touch a success
(the outcome reported first wins).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tidewheel.core.limits import (
    LOSS_LIMIT,
    STRIKE_LIMIT,
    UNKNOWN_TASK_DELAY,
    UNKNOWN_TASK_PATIENCE,
    recovery_delay,
)
from tidewheel.core.options import Retry

Counted = Literal["", "attempts", "strikes", "losses"]

# -- how a run ended -------------------------------------------------------------------------------------------------


class Ending(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """How a run ended, before anybody decided what that means."""


class Returned(Ending, frozen=True):
    value: bytes | None = None


class Raised(Ending, frozen=True):
    error: bytes
    names: tuple[str, ...]


class AskedRetry(Ending, frozen=True):
    delay: float
    error: bytes = b""


class AskedSnooze(Ending, frozen=True):
    delay: float


class AskedAbort(Ending, frozen=True):
    error: bytes


class OverTime(Ending, frozen=True):
    error: bytes


class Crashed(Ending, frozen=True):
    error: bytes


class Lost(Ending, frozen=True):
    error: bytes = b""


class Interrupted(Ending, frozen=True):
    """Cut short because the worker is stopping."""


class Unstarted(Ending, frozen=True):
    """Handed back before it began."""


class UnknownTask(Ending, frozen=True):
    age: float
    error: bytes = b""


class Undecodable(Ending, frozen=True):
    error: bytes


class BadArguments(Ending, frozen=True):
    error: bytes


class TooLate(Ending, frozen=True):
    pass


class Stopped(Ending, frozen=True):
    """Ended because its cancellation was asked for."""


# -- what it came to --------------------------------------------------------------------------------------------------


class Outcome(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """What is written about a run. One of the five below."""


class Succeeded(Outcome, frozen=True):
    value: bytes | None = None
    ttl: float = 3600.0
    """Seconds for which the result is kept; 0: only the fact, and only as long as duplicates must be recognised."""


class Again(Outcome, frozen=True):
    """Back to the queue after `delay` seconds; `counted` names the counter that goes up by one."""

    event: str
    delay: float = 0.0
    counted: Counted = ""
    error: bytes = b""


class Dead(Outcome, frozen=True):
    reason: str
    error: bytes = b""
    counted: Counted = ""
    ttl: float = 3600.0


class Cancelled(Outcome, frozen=True):
    ttl: float = 3600.0


class Expired(Outcome, frozen=True):
    ttl: float = 3600.0


AnyOutcome = Succeeded | Again | Dead | Cancelled | Expired
AnyEnding = (
    Returned | Raised | AskedRetry | AskedSnooze | AskedAbort | OverTime | Crashed | Lost | Interrupted | Unstarted
    | UnknownTask | Undecodable | BadArguments | TooLate | Stopped
)  # fmt: skip

OVER_TIME_NAMES = ("tidewheel.errors.HardTimeLimit", "TimeoutError", "OSError", "Exception")
"""A run over its hard limit is retried as if it had raised a TimeoutError."""


class Counters(msgspec.Struct, frozen=True, array_like=True):
    attempts: int = 0
    strikes: int = 0
    losses: int = 0


def decide(
    ending: AnyEnding, counters: Counters, retry: Retry, *, ttl: float = 3600.0, cancelled: bool = False, dice: float = 1.0
) -> AnyOutcome:
    """The outcome of a run. `counters` are as they stood when it started; `dice` is a random number in [0, 1) for the jitter."""
    match ending:
        case Returned(value):
            return Succeeded(value, ttl)
        case Stopped():
            return Cancelled(ttl)
        case TooLate():
            return Expired(ttl)
        case Undecodable(error):
            return Dead("undecodable", error, ttl=ttl)
        case BadArguments(error):
            return Dead("bad arguments", error, ttl=ttl)
        case _:
            pass
    if cancelled:
        return Cancelled(ttl)
    match ending:
        case Raised(error, names):
            return _failed("failed", error, retry.matches(names), counters, retry, ttl, dice)
        case OverTime(error):
            return _failed("time limit", error, retry.matches(OVER_TIME_NAMES), counters, retry, ttl, dice)
        case AskedRetry(delay, error):
            if counters.attempts + 1 >= retry.attempts:
                return Dead("failed", error, "attempts", ttl)
            return Again("retry", delay, "attempts", error)
        case AskedAbort(error):
            return Dead("aborted", error, "attempts", ttl)
        case AskedSnooze(delay):
            return Again("snooze", delay)
        case Interrupted():
            return Again("interrupted")
        case Unstarted():
            return Again("returned")
        case Crashed(error):
            strikes = counters.strikes + 1
            if strikes >= STRIKE_LIMIT:
                return Dead("poison", error, "strikes", ttl)
            return Again("crashed", recovery_delay(strikes), "strikes", error)
        case Lost(error):
            losses = counters.losses + 1
            if losses >= LOSS_LIMIT:
                return Dead("poison", error, "losses", ttl)
            return Again("lost", recovery_delay(losses) - 1.0, "losses", error)
        case UnknownTask(age, error):
            if age >= UNKNOWN_TASK_PATIENCE:
                return Dead("unknown task", error, ttl=ttl)
            return Again("unknown task", UNKNOWN_TASK_DELAY, error=error)
    raise TypeError(f"not an ending: {ending!r}")


def _failed(reason: str, error: bytes, retriable: bool, counters: Counters, retry: Retry, ttl: float, dice: float) -> AnyOutcome:
    attempts = counters.attempts + 1
    if not retriable or attempts >= retry.attempts:
        return Dead(reason, error, "attempts", ttl)
    return Again("retry", retry.wait(attempts, dice), "attempts", error)
