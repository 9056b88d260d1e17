"""Interfering with jobs: in the keeper, and so that no message acts against it."""

from __future__ import annotations

from collections.abc import Sequence

from tidewheel.backends.tracked.pair import Pair
from tidewheel.backends.tracked.tombs import Tombs
from tidewheel.contract import CancelAnswer, JobFilter
from tidewheel.contract import Control as KeeperControl
from tidewheel.errors import BrokerError


class Control:
    """See `tidewheel.contract.Control`."""

    def __init__(self, pair: Pair, control: KeeperControl, tombs: Tombs) -> None:
        self._pair = pair
        self._control = control
        self._tombs = tombs

    def cancel(self, ids: Sequence[str]) -> Sequence[CancelAnswer]:
        answers = self._control.cancel(ids)
        over = [id_ for id_, answer in zip(ids, answers, strict=True) if answer == "cancelled"]
        if over:
            self._tombs.raise_for(self._pair.browse.jobs(JobFilter(ids=tuple(over)), len(over)))
        return answers

    def revive(self, ids: Sequence[str]) -> Sequence[bool]:
        revived = self._control.revive(ids)
        messages = [m for id_, done in zip(ids, revived, strict=True) if done and (m := self._pair.message(id_)) is not None]
        try:
            self._pair.send(messages)
        except BrokerError:
            # They are ready, whatever the carrier says: their messages will be found missing, and sent.
            pass
        return revived

    def bury(self, ids: Sequence[str]) -> Sequence[bool]:
        return self._control.bury(ids)
