"""Messages that are missing: of a publisher that died between its two writes, of a carrier that lost its disk, of a queue that somebody
deleted. What the keeper has had ready for long, while the carrier has nothing to hand out, is sent again.

A message that only seems to be missing (a worker holds it and has not started) is then there twice, which is harmless. So that it stays
rare, one worker does this for all, and waits longer each time before it sends the same one again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tidewheel.backends.tracked.pair import Pair
from tidewheel.contract import JobFilter
from tidewheel.core.job import JobView

PATIENCE = 30.0
"""Seconds for which a job must have been ready: longer than a carrier takes to hand out, to come back, or to round a delay."""
LONGEST = 3600.0
"""Seconds, at most, before the same job is sent once more."""
EVERY = PATIENCE / 3
"""Seconds between two looks."""


class Resend:
    """Call it at each sweep. Remembers what it has sent."""

    def __init__(self, pair: Pair, clock: Callable[[], float]) -> None:
        self._pair = pair
        self._clock = clock
        self._next = 0.0
        self._sent: dict[str, tuple[float, float]] = {}
        """Id -> not again before this moment, and how long the pause was."""
        self.workers: set[str] = set()
        """The incarnations of this process."""

    def __call__(self, limit: int) -> int:
        """Send up to ten times `limit` of each queue; how many. Raises `BrokerError`s."""
        pair, now = self._pair, self._clock()
        if now < self._next:
            return 0
        self._next = now + EVERY
        self._sent = {id_: (again, pause) for id_, (again, pause) in self._sent.items() if again + pause > now}
        old = {
            queue: inside
            for inside, counts in pair.keeper.counts().items()
            if (queue := pair.naming.outside(inside)) is not None and counts.oldest is not None and counts.oldest >= PATIENCE
        }
        if not old or not self._chosen():
            return 0
        carried, sent = pair.carrier.counts(old), 0
        for queue, inside in old.items():
            if queue not in carried or not carried[queue].ready:
                sent += self._queue(inside, now, 10 * limit)
        if sent >= 10 * limit:
            self._next = now
        return sent

    def _queue(self, inside: str, now: float, most: int) -> int:
        messages = []
        for view in self._ready(inside):
            again, pause = self._sent.get(view.id, (0.0, PATIENCE))
            if again > now or now - (view.due or view.published) < PATIENCE:
                continue
            message = self._pair.message(view.id)
            if message is not None:
                messages.append(message)
                self._sent[view.id] = (now + 2 * pause, min(2 * pause, LONGEST))
            if len(messages) >= most:
                break
        self._pair.send(messages)
        return len(messages)

    def _ready(self, inside: str) -> Iterator[JobView]:
        which, before = JobFilter(state="ready", queue=inside), None
        while page := self._pair.browse.jobs(which, 1000, before):
            yield from page
            before = page[-1].id

    def _chosen(self) -> bool:
        """Whether it is this process that does it: the one with the least of all live workers, or one that has none and was asked."""
        alive = {info.id for info in self._pair.browse.workers() if any(map(self._pair.naming.outside, info.queues))}
        return not self.workers or not alive or min(alive) in self.workers
