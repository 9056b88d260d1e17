"""Messages that must never run, although nothing else may be known of their jobs when they come.

A job that is cancelled while it waits is remembered for an hour. Its message may come days later, for it was delayed, or no worker was
there; and a message whose job is unknown is run, for its keeper may have lost its data. So those that were cancelled or purged get a
tombstone, in the keeper's archive, under an id of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence

from tidewheel.backends.keeping import DEAD_LETTERS, RESULTS
from tidewheel.backends.tracked.pair import Pair
from tidewheel.contract import Archive, Final
from tidewheel.core.job import Delivery, JobView
from tidewheel.core.outcome import Cancelled

_SPACE = uuid.UUID("6f8c1c38-5e6d-4b7e-9d0a-7469646577c1")
YOUNG = RESULTS / 2
"""Seconds. The row of who was cancelled is kept twice as long, so no tombstone is looked for on a message that is younger."""


class Tombs:
    """`clock` tells how old a message is, which need not be exact."""

    def __init__(self, pair: Pair, archive: Archive, clock: Callable[[], float]) -> None:
        self._pair = pair
        self._archive = archive
        self._clock = clock

    def raise_for(self, jobs: Iterable[JobView]) -> None:
        """Raise a tombstone for each; it stands for two weeks after the job was due."""
        now = self._clock()
        self._archive.keep([
            Final(id=_tomb(job.id), deliveries=0, attempts=0, outcome=Cancelled(DEAD_LETTERS + max(0.0, (job.due or now) - now)))
            for job in jobs
        ])  # fmt: skip

    def among(self, messages: Sequence[Delivery]) -> set[str]:
        """The ids of those that must not run."""
        old = self._clock() - YOUNG
        asked = {_tomb(m.id): m.id for m in messages if m.published < old}
        return {asked[tomb] for tomb in self._pair.results.records(list(asked))} if asked else set()


def _tomb(job_id: str) -> str:
    return str(uuid.uuid5(_SPACE, job_id))
