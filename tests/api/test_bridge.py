"""`Gatherer`: concurrent publishes of one event loop share round trips, and nothing is mixed up on the way back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from hands import Recorder

from tidewheel import Tidewheel
from tidewheel.bridge import Gatherer
from tidewheel.contract import Receipt
from tidewheel.core.job import Envelope
from tidewheel.errors import BrokerUnavailable


class Slow:
    """A publish verb that holds every batch back until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.began = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.fail: set[str] = set()

    def __call__(self, batch: Sequence[Envelope]) -> Sequence[Receipt]:
        self.batches.append([e.id for e in batch])
        self.began.release()
        assert self.go.acquire(timeout=20)
        if self.fail.intersection(self.batches[-1]):
            raise BrokerUnavailable("away")
        return [Receipt(e.id) for e in batch]


def envelopes(*ids: str) -> list[Envelope]:
    return [Envelope(id=i, task="t", body=b"") for i in ids]


def test_what_comes_while_one_is_under_way_goes_as_one() -> None:
    slow = Slow()
    gatherer = Gatherer(slow)

    async def main() -> list[Sequence[Receipt] | None]:
        first = asyncio.ensure_future(gatherer.publish(envelopes("a")))
        await asyncio.to_thread(slow.began.acquire)

        async def let_go() -> None:
            slow.go.release(2)

        # A loop takes its tasks in the order in which they came, so all have been published when it lets go.
        others = [gatherer.publish(envelopes(f"b{n}", f"c{n}")) for n in range(10)]
        *receipts, _ = await asyncio.gather(first, *others, let_go())
        return receipts

    receipts = asyncio.run(main())
    assert [len(b) for b in slow.batches] == [1, 20]
    assert [[r.id for r in part] for part in receipts] == [["a"]] + [[f"b{n}", f"c{n}"] for n in range(10)]


def test_batches_have_a_limit_but_a_big_one_is_not_split() -> None:
    slow = Slow()
    slow.go.release(10)
    gatherer = Gatherer(slow, most=4)

    async def main() -> None:
        parts = [gatherer.publish(envelopes(*(f"{n}-{i}" for i in range(size)))) for n, size in enumerate([3, 2, 2, 9, 1])]
        await asyncio.gather(*parts)

    asyncio.run(main())
    assert [len(b) for b in slow.batches] == [3, 4, 9, 1]


def test_a_failure_reaches_exactly_those_whose_round_trip_it_was() -> None:
    slow = Slow()
    slow.fail = {"b"}
    slow.go.release(10)
    gatherer = Gatherer(slow, most=1)

    async def main() -> list[object]:
        return await asyncio.gather(*(gatherer.publish(envelopes(i)) for i in "abc"), return_exceptions=True)

    first, second, third = asyncio.run(main())
    assert first == [Receipt("a")]
    assert isinstance(second, BrokerUnavailable)
    assert third == [Receipt("c")]


def test_who_gives_up_waiting_does_not_disturb_the_others() -> None:
    slow = Slow()
    gatherer = Gatherer(slow)

    async def main() -> list[object]:
        lost = asyncio.ensure_future(gatherer.publish(envelopes("a")))
        await asyncio.to_thread(slow.began.acquire)

        async def give_up() -> None:
            lost.cancel()
            slow.go.release(2)

        return await asyncio.gather(lost, gatherer.publish(envelopes("b")), give_up(), return_exceptions=True)

    lost, kept, _ = asyncio.run(main())
    assert isinstance(lost, asyncio.CancelledError)
    assert kept == [Receipt("b")]


def test_loops_come_and_go() -> None:
    slow = Slow()
    slow.go.release(10)
    gatherer = Gatherer(slow)
    for n in range(3):
        assert asyncio.run(gatherer.publish(envelopes(str(n)))) == [Receipt(str(n))]
    assert len(slow.batches) == 3


def test_two_loops_at_once() -> None:
    slow = Slow()
    slow.go.release(100)
    gatherer = Gatherer(slow)
    found: list[str] = []

    def run(name: str) -> None:
        async def main() -> None:
            parts = await asyncio.gather(*(gatherer.publish(envelopes(f"{name}{n}")) for n in range(20)))
            found.extend(part[0].id for part in parts)

        asyncio.run(main())

    threads = [threading.Thread(target=run, args=(name,)) for name in "xy"]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert sorted(found) == sorted(f"{name}{n}" for name in "xy" for n in range(20))


def test_adelay_gathers(app: Tidewheel, recorder: Recorder) -> None:
    @app.task
    async def f(x: int) -> int:
        return x

    async def main() -> list[str]:
        return [r.id for r in await asyncio.gather(*(f.adelay(n) for n in range(500)))]

    ids = asyncio.run(main())
    assert len(set(ids)) == 500
    assert sum(map(len, recorder.batches)) == 500
    assert len(recorder.batches) <= 5, "500 calls under way together, at most 256 a round trip"
    assert max(map(len, recorder.batches)) <= 256
    published = [e.id for batch in recorder.batches for e in batch]
    assert published == ids, "in the order of the calls"


def test_the_loop_is_not_blocked_while_a_batch_is_stored(app: Tidewheel, recorder: Recorder) -> None:
    names: list[str] = []
    inner = recorder.publish

    def publish(batch: Sequence[Envelope]) -> Sequence[Receipt]:
        names.append(threading.current_thread().name)
        return inner(batch)

    recorder.publish = publish  # type: ignore[method-assign]
    task = app.task(name="t")(lambda: None)
    asyncio.run(task.adelay())
    assert names
    assert threading.main_thread().name not in names
