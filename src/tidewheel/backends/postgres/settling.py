"""Outcomes as the arguments of `succeed.sql` and `settle.sql`, for who settles, who takes back from the dead and who says goodbye."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from psycopg.types.numeric import Int4

from tidewheel.backends.keeping import DEAD_LETTERS, HISTORY, RESULTS, kept, visible
from tidewheel.backends.postgres import arrays, publishing
from tidewheel.backends.postgres.rows import CANCELLED, DEAD, EXPIRED, READY, raw
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import Settlement, Verdict
from tidewheel.core.outcome import Again, AnyOutcome, Cancelled, Dead, Expired, Succeeded
from tidewheel.errors import ConfigurationError

STEP = 1000
"""Outcomes in one statement."""
_COUNTED = {"": 0, "attempts": 1, "strikes": 2, "losses": 3}


class Told:
    """Who is to be told of what, once it is committed."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.ready: Counter[str] = Counter()

    def ring(self, store: Store) -> None:
        store.tell(self.ended)
        store.ring(self.ready)


def settle(store: Store, batch: Sequence[Settlement]) -> list[Verdict]:
    """Write outcomes; a verdict each, in order. In steps: what a failed call did is answered `gone` when it is repeated."""
    verdicts: list[Verdict] = []
    for start in range(0, len(batch), STEP):
        some = batch[start : start + STEP]

        def step(connection: Any, some: Sequence[Settlement] = some) -> tuple[list[Verdict], Told]:
            told = Told()
            return within(store, connection, some, told), told

        follow = any(s.publish for s in some)
        size = len(some) + sum(len(s.publish) for s in some)
        written, told = store.transact(step, size=size) if follow else store.step(step, size=size)
        told.ring(store)
        verdicts += written
    return verdicts


def within(store: Store, connection: Any, batch: Sequence[Settlement], told: Told, *, ours: bool = True) -> list[Verdict]:
    """Write outcomes in the caller's transaction, which it needs where there are follow-ups. Raises psycopg's errors.

    `ours`: it is committed at once.
    """
    verdicts: dict[int, Verdict] = {}
    seen: set[str] = set()
    rows: list[tuple[int, bytes]] = []
    for n, s in enumerate(batch):
        try:
            id_ = raw(s.id)
        except ConfigurationError:
            verdicts[n] = "gone"
            continue
        if s.id in seen:
            verdicts[n] = "gone"  # settled a moment ago, by itself
            continue
        seen.add(s.id)
        rows.append((n, id_))
    # In the order of ids, which is about that of their coming: two who settle the same jobs do not wait for each other.
    rows.sort(key=lambda row: row[1])
    if rows:
        easy = all(type(batch[n].outcome) is Succeeded for n, _ in rows)
        if not (easy and _succeed(store, connection, batch, rows, verdicts, told, ours)):
            _settle(store, connection, batch, rows, verdicts, told, ours)
    follow = [e for n, s in enumerate(batch) if verdicts[n] == "ok" for e in s.publish]
    if follow:
        publishing.store(store, connection, follow, ours=False)
        told.ready.update(publishing.by_queue(follow))
    return [verdicts[n] for n in range(len(batch))]


def _succeed(
    store: Store, connection: Any, batch: Sequence[Settlement], rows: list[tuple[int, bytes]], verdicts: dict[int, Verdict], told: Told,
    ours: bool,
) -> bool:  # fmt: skip
    """Only successes: the short way. False if some of them were refused, which are left in `rows`."""
    some: list[tuple[Settlement, Any]] = [(batch[n], batch[n].outcome) for n, _ in rows]
    answer = store.ask(connection, "succeed", [
        arrays.uuids([id_ for _, id_ in rows]), arrays.texts([s.token.worker for s, _ in some]),
        arrays.longs([s.token.claim for s, _ in some]), arrays.byteas([o.value if o.ttl > 0 else None for _, o in some]),
        arrays.doubles([visible(o.ttl) for _, o in some]), arrays.doubles([kept(o.ttl, 0.0) for _, o in some]), store.bells.house,
        store.bells.waiters if ours else store.bells.nowhere,
    ])  # fmt: skip
    many, ids, waited = answer[0]
    written = {s.id.lower() for s, _ in some} if many == len(rows) else set[str](ids or ())
    left = []
    for row in rows:
        s = batch[row[0]]
        if s.id.lower() in written:
            verdicts[row[0]] = "ok"
            if waited or not ours:
                told.ended.append(s.id.lower())
        else:
            left.append(row)
    rows[:] = left
    return not left


def _settle(
    store: Store, connection: Any, batch: Sequence[Settlement], rows: list[tuple[int, bytes]], verdicts: dict[int, Verdict], told: Told,
    ours: bool,
) -> None:  # fmt: skip
    while rows:
        what = [_what(batch[n].outcome) for n, _ in rows]
        tokens = [batch[n].token for n, _ in rows]
        answer = store.ask(connection, "settle", [
            arrays.uuids([id_ for _, id_ in rows]), arrays.texts([t.worker for t in tokens]), arrays.longs([t.claim for t in tokens]),
            arrays.shorts([w[0] for w in what]), arrays.doubles([w[1] for w in what]), arrays.doubles([w[2] for w in what]),
            arrays.shorts([w[3] for w in what]), arrays.texts([w[4] for w in what]), arrays.byteas([w[5] for w in what]),
            arrays.byteas([w[6] for w in what]), arrays.doubles([w[7] for w in what]), visible(RESULTS), kept(RESULTS, 0.0),
            store.bells.house, store.bells.waiters if ours else store.bells.nowhere, Int4(HISTORY),
        ])  # fmt: skip
        found = {id_: rest for id_, *rest in answer}
        left = []
        for row in rows:
            n = row[0]
            id_ = batch[n].id.lower()
            if id_ not in found:
                verdicts[n] = "gone"
                continue
            written, right, ready, waited = found[id_]
            if written:
                verdicts[n] = "ok"
                if ready is not None:
                    told.ready[ready] += 1
                elif waited or not ours:
                    told.ended.append(id_)
            elif not right:
                verdicts[n] = "stale"
            else:
                # It changed between the statement's snapshot and the write: its cancellation was asked for, or somebody else settled it.
                left.append(row)
        rows = left


def _what(outcome: AnyOutcome) -> tuple[int, float, float, int, str | None, bytes | None, bytes | None, float]:
    """State, seconds shown and kept, counter, event or reason, error, value, delay."""
    match outcome:
        case Succeeded(value, ttl):
            return 3, visible(ttl), kept(ttl, 0.0), 0, None, None, value if ttl > 0 else None, 0.0
        case Again(event, delay, counted, error):
            # Handed back before it began is nothing that happened to the job.
            return READY, 0.0, 0.0, _COUNTED[counted], None if event == "returned" else event, error or None, None, delay
        case Dead(reason, error, counted, ttl):
            return DEAD, visible(ttl), max(kept(ttl, 0.0), DEAD_LETTERS), _COUNTED[counted], reason, error or None, None, 0.0
        case Cancelled(ttl):
            return CANCELLED, visible(ttl), kept(ttl, 0.0), 0, None, None, None, 0.0
        case Expired(ttl):
            return EXPIRED, visible(ttl), kept(ttl, 0.0), 0, None, None, None, 0.0
