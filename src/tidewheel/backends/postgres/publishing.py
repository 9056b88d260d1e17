"""Storing envelopes, within whatever transaction the caller has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg.types.numeric import Int2, Int8

from tidewheel.backends.postgres import arrays
from tidewheel.backends.postgres.procedure import Procedure, run
from tidewheel.backends.postgres.rows import raw
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import Receipt
from tidewheel.core.job import Envelope
from tidewheel.errors import ConfigurationError

STEP = 5000
"""Jobs in one statement, at most; a larger publication is several within one transaction."""
BYTES = 64 << 20
"""Bytes of bodies in one statement, about."""
LONGEST = 900 << 20
"""Bytes. The server takes no value of a gigabyte."""

_encode = msgspec.json.encode


def store(s: Store, connection: Any, batch: Sequence[Envelope], *, ours: bool = True) -> tuple[list[Receipt], bool]:
    """Store the batch; one receipt each, in order, and whether somebody may have to be rung. Raises psycopg's errors.

    More than one statement: the caller has begun a transaction, unless `single` says that none is needed. `ours`: it is committed at once.
    """
    return run(s, connection, storing(s, batch, ours=ours))


def storing(s: Store, batch: Sequence[Envelope], *, ours: bool = True) -> Procedure[tuple[list[Receipt], bool]]:
    """What `store` does, for connections of either kind."""
    if len(batch) == 1 and batch[0].key is None:
        return (yield from _lone(s, batch[0], ours))
    receipts: dict[int, Receipt] = {}
    plain = [n for n, e in enumerate(batch) if e.key is None]
    for some in _steps(batch, plain):
        jobs = [batch[n] for n in some]
        receipts.update(zip(some, (yield from _several(s, jobs)), strict=True))
    # In the order of their keys, so that two who publish the same keys do not wait for each other.
    keyed = sorted((n for n, e in enumerate(batch) if e.key is not None), key=lambda n: (batch[n].queue, batch[n].key))
    for n in keyed:
        receipts[n] = yield from _keyed(s, batch[n])
    return [receipts[n] for n in range(len(batch))], any(r.created for r in receipts.values())


def single(batch: Sequence[Envelope]) -> bool:
    """Whether it takes a single statement, which is a transaction by itself."""
    if len(batch) == 1:
        return batch[0].key is None
    return len(batch) <= STEP and all(e.key is None for e in batch) and sum(len(e.body) for e in batch) <= BYTES


def weight(batch: Sequence[Envelope]) -> int:
    """How large it is, in jobs of an ordinary size."""
    return max(len(batch), sum(len(e.body) for e in batch) // 2500)


def by_queue(batch: Sequence[Envelope]) -> Counter[str]:
    """How many jobs come to each queue."""
    return Counter(e.queue for e in batch)


def _lone(s: Store, e: Envelope, ours: bool) -> Procedure[tuple[list[Receipt], bool]]:
    rows = yield "publish_one", lone(s, e, ours=ours)
    receipt, idle = taken(e, rows)
    return [receipt], idle


def lone(s: Store, e: Envelope, *, ours: bool, fresh: bool = False) -> list[Any]:
    """The parameters of `publish_one.sql`. `fresh`: see `Broker.publish`."""
    _check(e)
    keyed = e.key is not None
    return [
        arrays.Uuid(raw(e.id)), e.queue, Int2(-e.priority), e.task, e.body, _encode(e.headers).decode() if e.headers else None,
        max(0.0, float(e.delay)), None if e.due is None else float(e.due), None if e.lifetime is None else max(0.0, float(e.lifetime)),
        None if e.expires is None else float(e.expires), e.key.encode() if e.key is not None else None,
        float(e.key_window) if keyed else None, s.bells.house, s.bells.queue(e.queue) if ours else s.bells.nowhere, fresh,
    ]  # fmt: skip


def taken(e: Envelope, rows: Sequence[Any]) -> tuple[Receipt, bool]:
    """What `publish_one.sql` has answered: the receipt, and whether somebody may have to be rung."""
    if not rows:
        return Receipt(e.id, False), False
    old, idle = rows[0]
    return Receipt(e.id, not old), idle


def _several(s: Store, batch: Sequence[Envelope]) -> Procedure[list[Receipt]]:
    for e in batch:
        _check(e)
    first = batch[0]
    raws = [raw(e.id) for e in batch]
    headers = [_encode(e.headers).decode() if e.headers else None for e in batch]
    route = (first.queue, first.priority, first.task)
    if all((e.queue, e.priority, e.task) == route and not timed(e) for e in batch):
        rows = yield "publish_alike", [
            arrays.uuids(raws), arrays.byteas([e.body for e in batch]), arrays.texts(headers), first.queue, Int2(-first.priority),
            first.task, Int8(len(batch)),
        ]  # fmt: skip
    else:
        rows = yield "publish", [
            arrays.uuids(raws), arrays.texts([e.queue for e in batch]), arrays.shorts([-e.priority for e in batch]),
            arrays.texts([e.task for e in batch]), arrays.byteas([e.body for e in batch]), arrays.texts(headers),
            arrays.doubles([max(0.0, e.delay) for e in batch]), arrays.doubles([e.due for e in batch]),
            arrays.doubles([None if e.lifetime is None else max(0.0, e.lifetime) for e in batch]),
            arrays.doubles([e.expires for e in batch]), Int8(len(batch)),
        ]  # fmt: skip
    many, ids = rows[0]
    if many == len(batch):
        return [Receipt(e.id) for e in batch]
    new: set[str] = set(ids or ())
    receipts = []
    for e in batch:
        spelled = e.id.lower()
        receipts.append(Receipt(e.id, spelled in new))
        new.discard(spelled)  # the same id twice in a batch
    return receipts


def _keyed(s: Store, e: Envelope) -> Procedure[Receipt]:
    """One with an idempotency key, in steps: each sees what was committed before it."""
    values = lone(s, e, ours=False)
    key = values[10]
    who = [values[0], e.queue, key]
    while True:
        rows = yield "publish_one", values
        if rows:
            if rows[0][0]:
                return Receipt(e.id, False)
            holder = yield "publish_keyed", who
            return Receipt(holder[0][0], False) if holder else Receipt(e.id)
        found = yield "find", who
        if found:
            return Receipt(e.id if found[0][0] == e.id.lower() else found[0][0], False)
        # Whoever had it has ended between the two questions: once more.


def timed(e: Envelope) -> bool:
    return bool(e.delay) or e.due is not None or e.lifetime is not None or e.expires is not None


def _check(e: Envelope) -> None:
    if len(e.body) > LONGEST:
        raise ConfigurationError(f"a body of {len(e.body):,} bytes; PostgreSQL takes up to {LONGEST:,}")


def _steps(batch: Sequence[Envelope], which: Sequence[int]) -> list[list[int]]:
    """Portions that one statement takes."""
    steps: list[list[int]] = []
    size = BYTES
    for n in which:
        if size >= BYTES or len(steps[-1]) >= STEP:
            steps.append([])
            size = 0
        steps[-1].append(n)
        size += len(batch[n].body)
    return steps
