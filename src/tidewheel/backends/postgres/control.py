"""Interfering with jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from psycopg.types.numeric import Int2, Int4

from tidewheel.backends.keeping import HISTORY, RESULTS, kept, visible
from tidewheel.backends.postgres import arrays
from tidewheel.backends.postgres.rows import known
from tidewheel.backends.postgres.settling import STEP
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import CancelAnswer

_ANSWERS: tuple[CancelAnswer, ...] = ("cancelled", "requested", "ended")
_AGAIN = 3


class Control:
    """See `tidewheel.contract.Control`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def cancel(self, ids: Sequence[str]) -> Sequence[CancelAnswer]:
        raws = known(ids)
        said: dict[str, CancelAnswer] = {}
        left = sorted(raws)
        while left:
            # Each in the order of its id, as who settles does; a few at a time, so that their locks are not held for long.
            some, left = left[:STEP], left[STEP:]
            rows = self._store.run("cancel", [arrays.uuids([raws[i] for i in some]), visible(RESULTS), kept(RESULTS, 0.0)], size=len(some))
            for id_, what, _ in rows:
                if what == _AGAIN:
                    left.append(id_)
                elif id_ not in said:
                    said[id_] = _ANSWERS[what]
            self._store.tell([id_ for id_, what, _ in rows if what == 0])
            workers = sorted({worker for _, what, worker in rows if what == 1})
            if workers:
                channels = arrays.texts([self._store.bells.worker_channel(worker) for worker in workers])
                self._store.hint("news", [channels])
        answers: list[CancelAnswer] = []
        seen: set[str] = set()
        for id_ in (i.lower() for i in ids):
            answer = said.get(id_, "unknown")
            answers.append("ended" if answer == "cancelled" and id_ in seen else answer)
            seen.add(id_)
        return answers

    def revive(self, ids: Sequence[str]) -> Sequence[bool]:
        raws = known(ids)

        def work(connection: Any) -> dict[str, str]:
            revived: dict[str, str] = {}
            for id_ in sorted(raws):
                rows = self._store.ask(connection, "unearth", [arrays.Uuid(raws[id_])])
                if rows:
                    self._bring_back(connection, [arrays.Uuid(raws[id_]), *rows[0][1:]])
                    revived[id_] = rows[0][4]
            return revived

        revived = self._store.transact(work, repeat=False) if raws else {}
        self._store.ring(Counter(revived.values()))
        return [revived.pop(id_.lower(), None) is not None for id_ in ids]

    def _bring_back(self, connection: Any, values: list[Any]) -> None:
        values[2], values[3] = Int2(values[2]), Int4(values[3])
        values.append(Int4(HISTORY))
        for _ in range(2):
            if self._store.ask(connection, "revive", values):
                return
            # Somebody else has its key by now: the operator's word counts more, and this one goes without.
            values[6] = values[7] = None

    def bury(self, ids: Sequence[str]) -> Sequence[bool]:
        raws = known(ids)
        buried = {id_ for (id_,) in self._store.run("bury", [arrays.uuids(list(raws.values()))], repeat=False)}
        answers = []
        for id_ in (i.lower() for i in ids):
            answers.append(id_ in buried)
            buried.discard(id_)
        return answers
