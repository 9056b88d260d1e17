"""How often a job may take something down with it, and how long it then waits. Numbers and arithmetic, nothing else."""

from __future__ import annotations

STRIKE_LIMIT = 3
"""Exact blame: this executor died running this job."""
LOSS_LIMIT = 10
"""Guilt by neighbourhood: the whole worker died while it held this job."""
SUSPECT_LOSSES = 2
"""From this many losses on a job runs alone, so that an innocent neighbour of a killer clears itself."""
UNKNOWN_TASK_DELAY = 30.0
UNKNOWN_TASK_PATIENCE = 3600.0
"""Seconds after its publication for which a job with an unknown task is handed on to other workers before it is dead."""

LEASE = 30.0
BEAT = 10.0
"""Where the engine has no better sign of life: seconds between beats, and without one before suspicion begins."""


def recovery_delay(times: int) -> float:
    """Seconds before a job is tried again that has crashed or lost its worker `times` times: 1, 2, 4 … 60.

    The first recovery is nearly immediate, because most deaths are deploys and out-of-memory kills of a neighbour.
    """
    return min(2.0 ** max(0, times - 1), 60.0)


def is_suspect(losses: int) -> bool:
    return losses >= SUSPECT_LOSSES
