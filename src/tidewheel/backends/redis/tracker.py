"""The state of jobs that another engine carries: ordinary jobs, in queues from which nobody claims."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tidewheel.backends.keeping import ELSEWHERE, RESULTS, SILENCE, kept, lost_error, visible
from tidewheel.backends.redis import layout, publishing
from tidewheel.backends.redis.consumer import Consumer
from tidewheel.backends.redis.publishing import Arg
from tidewheel.backends.redis.settling import STEP, settle
from tidewheel.backends.redis.store import Store
from tidewheel.contract import Settlement, WorkerInfo
from tidewheel.core.job import Delivery, Token
from tidewheel.core.options import NO_RETRY
from tidewheel.core.outcome import Counters, Lost, decide

_PAST = struct.Struct(">dIIII")
LOOKS = 4
"""So often at most one job is looked at in one call: it is unknown and is stored, its holder is dead, and both may change meanwhile."""


class Tracker:
    """See `tidewheel.contract.Tracker`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def consumer(self, info: WorkerInfo) -> TrackingConsumer:
        return TrackingConsumer(self._store, info)

    def withdraw(self, ids: Sequence[str]) -> int:
        raws = list(layout.known(ids))
        gone = 0
        for start in range(0, len(raws), STEP):
            some = raws[start : start + STEP]
            gone += self._store.run("withdraw", some, repeat=False, size=len(some))
        return gone


class TrackingConsumer(Consumer):
    """See `tidewheel.contract.TrackingConsumer`."""

    def take(self, batch: Sequence[Delivery]) -> Sequence[Delivery | float | None]:
        answers: list[Delivery | float | None] = []
        for start in range(0, len(batch), STEP):
            answers += self._step(batch[start : start + STEP])
        return answers

    def _step(self, batch: Sequence[Delivery]) -> list[Delivery | float | None]:
        answers: list[Delivery | float | None] = [ELSEWHERE] * len(batch)
        left = list(range(len(batch)))
        for _ in range(LOOKS):
            left = self._look(batch, left, answers)
            if not left:
                break
        return answers

    def _look(self, batch: Sequence[Delivery], which: Sequence[int], answers: list[Delivery | float | None]) -> list[int]:
        """Enter what is certain of these; which must be looked at once more."""
        self._claims += 1
        token = Token(self._id, self._claims)
        args: list[Arg] = [self._id, layout.claim_number(self._claims), ELSEWHERE, SILENCE, visible(RESULTS), kept(RESULTS, 0.0)]
        for n in which:
            args += (layout.raw(batch[n].id), batch[n].losses)
        said = self._store.run("take", args, repeat=False, size=len(which))
        if said is None:
            return []
        unknown: list[int] = []
        lost: list[Settlement] = []
        again: list[int] = []
        for n, what, first, run in zip(which, said[::3], said[1::3], said[2::3], strict=True):
            if what == b"taken":
                answers[n] = layout.delivery(layout.raw(batch[n].id), first, run, token)
            elif what == b"wait":
                answers[n] = float(first)
            elif what == b"over":
                answers[n] = None
            else:
                again.append(n)
                if what == b"unknown":
                    unknown.append(n)
                else:
                    lost.append(_lost(batch[n].id, run))
        settle(self._store, lost)
        others = self._adopt(batch, unknown)
        for n in others:
            answers[n] = None
        return [n for n in again if n not in others]

    def _adopt(self, batch: Sequence[Delivery], unknown: Sequence[int]) -> set[int]:
        """Store these; answers which not, because their keys are others'."""
        if not unknown:
            return set()
        found = [batch[n] for n in unknown]
        pasts = [_PAST.pack(d.published, max(0, d.deliveries - 1), d.attempts, d.strikes, d.losses) for d in found]
        receipts = self._store.run("adopt", [len(found), *pasts, *publishing.arguments([d.envelope for d in found])], size=len(found))
        return {n for n, receipt in zip(unknown, receipts, strict=True) if not isinstance(receipt, int)}


def _lost(job_id: str, run: bytes) -> Settlement:
    """What becomes of a job whose worker died, as in a sweep."""
    state = layout.read_run(run)
    counters = Counters(state.attempts, state.strikes, state.losses)
    outcome = decide(Lost(lost_error(state.token.worker)), counters, NO_RETRY, cancelled=bool(state.cancel))
    return Settlement(job_id, state.token, outcome)
