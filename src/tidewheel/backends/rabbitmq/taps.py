"""Which queues a worker has messages pushed from, and how many at most: a tap is one AMQP consumer with its prefetch.

What is pushed is taken away from everybody else, so no more is asked for than can start: a worker looks how deep its queues are and opens
taps for exactly as much as it wants, highest band first. Bands below are shut while those above can fill the appetite; those above stay
open, so that an urgent job that comes in meanwhile is pushed before the next claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidewheel.backends.rabbitmq.topology import BANDS, Band

Source = tuple[str, Band]
"""A queue and a band of it."""
MOST = 2000


class Tap:
    """One consumer. `outstanding` are messages that came through it and are not acknowledged."""

    __slots__ = ("arrived", "outstanding", "prefetch", "source", "tag")

    def __init__(self, source: Source, tag: str, prefetch: int) -> None:
        self.source = source
        self.tag = tag
        self.prefetch = prefetch
        self.arrived = 0
        """Messages that came through it."""
        self.outstanding = 0

    @property
    def room(self) -> int:
        return self.prefetch - self.outstanding


def wanted(ready: Mapping[Source, int], queues: Sequence[str], limit: int) -> dict[Source, int]:
    """How many more messages to ask each source for; what is not in the answer is to be shut. `queues` in the order of their turns.

    What waits in a band is shared evenly among the queues; who has less leaves its share to the others.
    """
    limit = min(limit, MOST)
    left, found = limit, dict[Source, int]()
    for band in BANDS:
        depths = {q: ready.get((q, band), 0) for q in queues}
        full = sorted((q for q in queues if depths[q] > 0), key=depths.__getitem__)
        found.update({(q, band): limit for q in queues if depths[q] <= 0})
        if len(full) > left:  # each gets at most one: those whose turn it is
            full = [q for q in queues if q in full][:left]
        for n, queue in enumerate(full):
            some = found[queue, band] = min(depths[queue], -(-left // (len(full) - n)))
            left -= some
        if left <= 0:
            break
    return found
