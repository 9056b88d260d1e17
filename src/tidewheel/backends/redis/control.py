"""Interfering with jobs."""

from __future__ import annotations

from collections.abc import Sequence

from tidewheel.backends.keeping import RESULTS, kept, visible
from tidewheel.backends.redis import layout
from tidewheel.backends.redis.publishing import Arg
from tidewheel.backends.redis.settling import STEP
from tidewheel.backends.redis.store import Store
from tidewheel.contract import CancelAnswer

_ANSWERS: tuple[CancelAnswer, ...] = ("cancelled", "requested", "ended", "unknown")


class Control:
    """See `tidewheel.contract.Control`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def cancel(self, ids: Sequence[str]) -> Sequence[CancelAnswer]:
        said = self._each("cancel", ids, visible(RESULTS), kept(RESULTS, 0.0))
        return ["unknown" if n is None else _ANSWERS[n] for n in said]

    def revive(self, ids: Sequence[str]) -> Sequence[bool]:
        return [bool(n) for n in self._each("revive", ids)]

    def bury(self, ids: Sequence[str]) -> Sequence[bool]:
        return [bool(n) for n in self._each("bury", ids)]

    def _each(self, verb: str, ids: Sequence[str], *first: Arg) -> list[int | None]:
        """The verb's answer for each; None for what cannot be the id of a job. Not repeated: a second time is answered differently."""
        raws = {id_: raw for raw, id_ in layout.known(ids).items()}
        named = [raws[id_] for id_ in ids if id_ in raws]
        said: list[int] = []
        for start in range(0, len(named), STEP):
            some = named[start : start + STEP]
            said += self._store.run(verb, [*first, *some], repeat=False, size=len(some))
        answers = iter(said)
        return [next(answers) if id_ in raws else None for id_ in ids]
