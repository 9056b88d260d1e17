"""A broker of one engine and the results of another: `Tidewheel("amqp://…", results="redis://…")`.

Two engines share no transaction, so an outcome takes two steps: first the archive keeps the result, then the broker settles. Who dies
between the two leaves a result of a job that will run again, and what that run comes to replaces it. The other order would leave a
caller waiting for a result that nobody has.

What the broker ends by itself (a cancelled, expired or poisonous job) only the broker knows; so who waits also asks it now and then.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from tidewheel.contract import (
    Archive,
    AtOnce,
    Backend,
    Beat,
    Broker,
    CancelAnswer,
    Consumer,
    Control,
    Counts,
    Description,
    Final,
    Progress,
    Receipt,
    Record,
    ResultStore,
    Settlement,
    Swept,
    Verdict,
    WorkerInfo,
)
from tidewheel.core.job import ENDED, Delivery, Envelope
from tidewheel.core.outcome import Again, Dead, Succeeded

Key = tuple[str, int]

SWEEPS = 10
"""So often at most the keeper is swept for each sweep of the broker."""
ASK_BROKER = 1.0
"""Seconds after which who waits for a result asks the broker whether it has ended the job by itself."""


def apart(carrier: Backend, keeper: Backend, archive: Archive, results: ResultStore) -> Backend:
    """The roles of `carrier`, with results in `keeper`, whose `archive` and `results` these are."""
    return Backend(
        _Broker(carrier.broker, keeper.broker, archive), _Results(results, carrier.results), carrier.browse,
        None if carrier.control is None else _Control(carrier.control, results), broadcaster=carrier.broadcaster,
        dead_letters=carrier.dead_letters,
    )  # fmt: skip


class _Broker:
    """The carrier's broker; its consumers keep results in the archive."""

    def __init__(self, broker: Broker, keeper: Broker, archive: Archive) -> None:
        self._broker = broker
        self._keeper = keeper
        self._archive = archive

    def open(self) -> None:
        self._broker.open()
        self._keeper.open()

    def publish(self, batch: Sequence[Envelope], *, fresh: bool = False) -> Sequence[Receipt]:
        return self._broker.publish(batch, fresh=fresh)

    def consumer(self, info: WorkerInfo) -> Consumer:
        return _Consumer(self._broker.consumer(info), self._archive)

    def sweep(self, limit: int = 1000) -> Swept:
        # Nobody else may ever sweep the keeper: its old results would stay for ever.
        for _ in range(SWEEPS):
            if self._keeper.sweep(limit).pruned < limit:
                break
        return self._broker.sweep(limit)

    def counts(self, queues: Iterable[str] = ()) -> Mapping[str, Counts]:
        return self._broker.counts(queues)

    def purge(self, queue: str) -> int:
        return self._broker.purge(queue)

    def now(self) -> float:
        return self._broker.now()

    def describe(self) -> Description:
        broker, keeper = self._broker.describe(), self._keeper.describe()
        where = f"{keeper.url} ({f'{keeper.engine} {keeper.version}'.strip()}; {keeper.level}: {keeper.durability})"
        notes = (f"results, {keeper.url}: {note}" for note in keeper.notes if note not in broker.notes)
        return replace(broker, notes=(*broker.notes, *notes), results=where)

    def close(self) -> None:
        self._broker.close()
        self._keeper.close()


class _Consumer:
    """The carrier's consumer, with a second place to write outcomes to."""

    def __init__(self, consumer: Consumer, archive: Archive) -> None:
        self.lifeline = consumer.lifeline
        self.beat_every = consumer.beat_every
        self._consumer = consumer
        self._archive = archive
        self._held: dict[Key, Delivery] = {}
        """Written by the thread that claims, emptied by the one that settles; each key by one at a time."""

    @property
    def news(self) -> bool:
        return self._consumer.news

    def claim(self, queues: Sequence[str], limit: int, wait: float, at_once: AtOnce | None = None) -> Sequence[Delivery]:
        noted = None if at_once is None else lambda deliveries: at_once(self._note(deliveries))
        return self._note(self._consumer.claim(queues, limit, wait, noted))

    def owned(self) -> Sequence[Delivery]:
        return self._note(self._consumer.owned())

    def _note(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        self._held.update({(d.envelope.id, d.token.claim): d for d in deliveries})
        return deliveries

    def settle(self, batch: Sequence[Settlement]) -> Sequence[Verdict]:
        finals = [final for s in batch if (final := self._final(s)) is not None]
        if finals:
            self._archive.keep(finals)
        verdicts = self._consumer.settle([_without_value(s) for s in batch])
        for s in batch:
            self._held.pop((s.id, s.token.claim), None)
        return verdicts

    def _final(self, settlement: Settlement) -> Final | None:
        outcome, delivery = settlement.outcome, self._held.get((settlement.id, settlement.token.claim))
        if isinstance(outcome, Again) or delivery is None:  # None: it was settled before, and the broker will say so
            return None
        attempts = delivery.attempts + (isinstance(outcome, Dead) and outcome.counted == "attempts")
        return Final(id=settlement.id, deliveries=delivery.deliveries, attempts=attempts, outcome=outcome)

    def beat(self, progress: Sequence[Progress] = ()) -> Beat:
        return self._consumer.beat(progress)

    def wake(self) -> None:
        self._consumer.wake()

    def close(self) -> None:
        self._consumer.close()


class _Control:
    """The carrier's control; a job that lives again has no result any more."""

    def __init__(self, control: Control, kept: ResultStore) -> None:
        self._control = control
        self._kept = kept

    def cancel(self, ids: Sequence[str]) -> Sequence[CancelAnswer]:
        return self._control.cancel(ids)

    def revive(self, ids: Sequence[str]) -> Sequence[bool]:
        revived = self._control.revive(ids)
        self._kept.forget([i for i, done in zip(ids, revived, strict=True) if done])
        return revived

    def bury(self, ids: Sequence[str]) -> Sequence[bool]:
        return self._control.bury(ids)


def _without_value(settlement: Settlement) -> Settlement:
    """For the broker: the fact alone. (A dead letter keeps its error there, for whoever looks at the dead letters.)"""
    outcome = settlement.outcome
    return replace(settlement, outcome=Succeeded(None, 0.0)) if isinstance(outcome, Succeeded) else settlement


class _Results:
    """Answers from the archive first, then from the carrier, if that can tell."""

    def __init__(self, kept: ResultStore, carrier: ResultStore | None) -> None:
        self._kept = kept
        self._carrier = carrier
        self._waking = 0
        self._heard = 0

    def records(self, ids: Sequence[str]) -> Mapping[str, Record]:
        found = dict(self._kept.records(ids))
        missing = [i for i in ids if i not in found]
        if not missing or self._carrier is None:
            return found
        carried = self._carrier.records(missing)
        found.update({i: r for i, r in carried.items() if r.state != "succeeded"})
        # Ended between the two questions: the archive knew before the broker did. (Or its time to live is over: then nobody knows.)
        late = [i for i, r in carried.items() if r.state == "succeeded"]
        if late:
            found.update(self._kept.records(late))
        return found

    def wait(self, ids: Sequence[str], timeout: float) -> Mapping[str, Record]:
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            ended = self._kept.wait(ids, max(0.0, min(left, ASK_BROKER)))
            if not ended and self._carrier is not None:
                ended = {i: r for i, r in self._carrier.records(ids).items() if r.state in ENDED and r.state != "succeeded"}
            if ended or left <= ASK_BROKER or self._waking != self._heard:
                self._heard = self._waking
                return ended

    def wake_waiters(self) -> None:
        self._waking += 1
        self._kept.wake_waiters()

    def forget(self, ids: Sequence[str]) -> int:
        kept = self._kept.forget(ids)
        carried = (
            0 if self._carrier is None else self._carrier.forget([i for i, r in self._carrier.records(ids).items() if r.state in ENDED])
        )
        return max(kept, carried)
