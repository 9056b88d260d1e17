"""The states of a task, as Celery names them, and what our jobs' states are in them.

job                     task                       job            task
---                     ----                       ---            ----
scheduled, ready        PENDING, or RETRY          succeeded      SUCCESS
                        once it has failed         dead           FAILURE
running                 STARTED, or what           cancelled      REVOKED
                        update_state said          expired        REVOKED
"""

from __future__ import annotations

from tidewheel.core.job import State

__all__ = [
    "ALL_STATES", "EXCEPTION_STATES", "FAILURE", "IGNORED", "PENDING", "PROPAGATE_STATES", "READY_STATES", "RECEIVED", "REJECTED", "RETRY",
    "REVOKED", "STARTED", "SUCCESS", "UNREADY_STATES", "precedence", "state",
]  # fmt: skip

PENDING = "PENDING"
RECEIVED = "RECEIVED"
STARTED = "STARTED"
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
REVOKED = "REVOKED"
REJECTED = "REJECTED"
RETRY = "RETRY"
IGNORED = "IGNORED"

READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
UNREADY_STATES = frozenset({PENDING, RECEIVED, STARTED, REJECTED, RETRY})
EXCEPTION_STATES = frozenset({RETRY, FAILURE, REVOKED})
PROPAGATE_STATES = frozenset({FAILURE, REVOKED})
ALL_STATES = frozenset({PENDING, RECEIVED, STARTED, SUCCESS, FAILURE, RETRY, REVOKED})

_ORDER = (SUCCESS, FAILURE, None, REVOKED, STARTED, RECEIVED, REJECTED, RETRY, PENDING)
"""Most final first; None stands for states of the user's own."""


def precedence(name: str | None) -> int:
    """The place of a state in the order from final to not begun: smaller is more final."""
    return _ORDER.index(name if name in _ORDER else None)


class state(str):
    """A state that compares by how final it is: `state("PENDING") < state("SUCCESS")`."""

    __slots__ = ()

    def __gt__(self, other: str) -> bool:
        return precedence(self) < precedence(other)

    def __ge__(self, other: str) -> bool:
        return precedence(self) <= precedence(other)

    def __lt__(self, other: str) -> bool:
        return precedence(self) > precedence(other)

    def __le__(self, other: str) -> bool:
        return precedence(self) >= precedence(other)


OF_JOB: dict[State, str] = {
    "scheduled": PENDING, "ready": PENDING, "running": STARTED, "succeeded": SUCCESS, "dead": FAILURE, "cancelled": REVOKED,
    "expired": REVOKED,
}  # fmt: skip
