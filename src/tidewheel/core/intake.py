"""How many jobs to claim next. Pure: the worker tells what its executors hold, the answer is a number.

Two modes, by how long jobs have lately taken:

    long jobs    claim only what can start now: free slots, nothing spare.
    short jobs   keep `AHEAD` seconds of work waiting in each executor, so that it does not idle for a round trip per job; then claim
                 in large bites, when half of what may be held has been used up.

An executor that has been busy with one job for longer than `STUCK` gets no spare, whatever the average says: it may be the one long
job among thousands of short ones, and what waits behind it would wait for all of it.
"""

from __future__ import annotations

import msgspec

AHEAD = 0.03
STUCK = 0.05
MOST_SPARE = 256
MOST_BITE = 512
WEIGHT = 0.1


class Lane(msgspec.Struct, frozen=True, array_like=True):
    """One executor, as the intake sees it."""

    slots: int
    """Jobs that it can run at once."""
    held: int
    """Jobs that it has, running or waiting."""
    busy: float
    """Seconds for which its longest present run has lasted."""


def spare(slots: int, average: float | None, busy: float) -> int:
    """How many jobs may wait in an executor beyond those that run. `average` is None before the first job has ended."""
    if average is None or busy > STUCK:
        return 0
    return min(MOST_SPARE, int(slots * AHEAD / max(average, 1e-6)))


def room(lane: Lane, average: float | None) -> int:
    """How many more jobs this executor may be given now."""
    return max(0, lane.slots + spare(lane.slots, average, lane.busy) - lane.held)


def appetite(lanes: list[Lane], average: float | None, unsettled: int) -> int:
    """How many jobs to claim now; 0: none before something ends.

    `unsettled` outcomes wait to be written: when the broker cannot keep up, claiming more only makes the pile higher.
    """
    if unsettled >= 4 * MOST_BITE:
        return 0
    held = free = idle = 0
    for lane in lanes:
        held += lane.held
        free += room(lane, average)
        idle += max(0, lane.slots - lane.held)
    if idle == 0 and free < held:
        return 0  # nobody waits for work: wait until a bite is worth its round trip
    return min(free, MOST_BITE)


def learn(average: float | None, duration: float) -> float:
    """The running average of the time that a job takes, after one more."""
    return duration if average is None else average + WEIGHT * (duration - average)
