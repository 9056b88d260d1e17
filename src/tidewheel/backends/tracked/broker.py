"""Publishing to both, upkeep of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from tidewheel.backends.tracked.consumer import Consumer
from tidewheel.backends.tracked.control import Control
from tidewheel.backends.tracked.pair import Pair
from tidewheel.backends.tracked.resend import Resend
from tidewheel.backends.tracked.tombs import Tombs
from tidewheel.contract import Counts, Description, JobFilter, Receipt, Swept, WorkerInfo
from tidewheel.core.job import Envelope, JobView
from tidewheel.errors import BrokerError, PublishUnknown

PAGE = 1000
LEVELS = ("volatile", "process", "power loss", "replicated")


class Broker:
    """See `tidewheel.contract.Broker`."""

    def __init__(self, pair: Pair, control: Control, tombs: Tombs, resend: Resend) -> None:
        self._pair = pair
        self._control = control
        self._tombs = tombs
        self._resend = resend

    def open(self) -> None:
        self._pair.carrier.open()
        self._pair.keeper.open()

    def publish(self, batch: Sequence[Envelope], *, fresh: bool = False) -> Sequence[Receipt]:
        pair = self._pair
        receipts = pair.keeper.publish([pair.naming.stored(envelope) for envelope in batch])
        created = {receipt.id for receipt in receipts if receipt.created}
        # A known id may be a publication that is repeated because nobody knew whether the carrier has the message.
        known = [receipt.id for envelope, receipt in zip(batch, receipts, strict=True) if receipt.id == envelope.id]
        wanted = created | pair.waiting([id_ for id_ in known if id_ not in created])
        # The first of twins is the one that was stored.
        messages = {envelope.id: envelope for envelope in reversed(batch) if envelope.id in wanted}
        self._carry([messages[id_] for id_ in dict.fromkeys(known) if id_ in messages], created)
        return receipts

    def _carry(self, messages: Sequence[Envelope], created: set[str]) -> None:
        try:
            self._pair.send(messages)
        except PublishUnknown:
            # The rows stay: whoever publishes again finds them, and if nobody does, the messages are sent when they turn out to be missing.
            raise
        except Exception as error:
            try:
                self._pair.tracker.withdraw(list(created))
            except BrokerError as second:
                ids = tuple(message.id for message in messages)
                raise PublishUnknown(f"{error}; and then {second}; publish the same ids again", ids) from error
            raise

    def consumer(self, info: WorkerInfo) -> Consumer:
        made = Consumer(self._pair, self._tombs, info)
        self._resend.workers.add(info.id)
        return made

    def sweep(self, limit: int = 1000) -> Swept:
        swept = self._pair.keeper.sweep(limit)
        self._pair.carrier.sweep(limit)
        self._resend(limit)
        return swept

    def counts(self, queues: Iterable[str] = ()) -> Mapping[str, Counts]:
        naming = self._pair.naming
        found = self._pair.keeper.counts([naming.inside(queue) for queue in queues])
        return {queue: counts for inside, counts in found.items() if (queue := naming.outside(inside)) is not None}

    def purge(self, queue: str) -> int:
        pair = self._pair
        inside = pair.naming.inside(queue)
        # The messages of what is not due are where no purge of the carrier reaches: they must find that their jobs are cancelled.
        purged = sum(self._control.cancel([view.id for view in page]).count("cancelled") for page in self._scheduled(inside))
        purged += pair.keeper.purge(inside)
        pair.carrier.purge(queue)
        return purged

    def _scheduled(self, inside: str) -> Iterator[Sequence[JobView]]:
        which, before = JobFilter(state="scheduled", queue=inside), None
        while page := self._pair.browse.jobs(which, PAGE, before):
            yield page
            before = page[-1].id

    def now(self) -> float:
        return self._pair.keeper.now()

    def describe(self) -> Description:
        carrier, keeper = self._pair.carrier.describe(), self._pair.keeper.describe()
        more = (f"results, {keeper.url}: {note}" for note in keeper.notes if note not in carrier.notes)
        return replace(
            carrier,
            durability=f"{carrier.durability} Each job is also kept in {keeper.url}: if one is lost, the other brings its jobs back.",
            delivery=(
                "At least once, and one outcome is accepted. A killed worker's jobs run again when its connection has ended and it has"
                " missed a beat."
            ),
            level=max(carrier.level, keeper.level, key=LEVELS.index),
            notes=(*carrier.notes, *more),
            results=f"{keeper.url} ({f'{keeper.engine} {keeper.version}'.strip()}; {keeper.level}: {keeper.durability})",
        )

    def close(self) -> None:
        self._pair.carrier.close()
        self._pair.keeper.close()
