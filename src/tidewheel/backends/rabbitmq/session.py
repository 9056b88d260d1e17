"""A worker's connection: what it has been given and has not acknowledged.

    pushed by the server ──> waiting ──> ready ──> claimed ──> acknowledged
                             (until due)   └────────────────> given back: published anew, then acknowledged

The lease is the connection: when it ends, the server gives everything to others, and every tag that we know is void.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any

from pika import exceptions

from tidewheel.backends.keeping import lost_error
from tidewheel.backends.rabbitmq import frames, letters
from tidewheel.backends.rabbitmq.errands import Errands
from tidewheel.backends.rabbitmq.faults import NOT_FOUND, reply_code, translate
from tidewheel.backends.rabbitmq.link import Answer, Channel, Link, cancel, forget
from tidewheel.backends.rabbitmq.message import Arrived, Message, again, read
from tidewheel.backends.rabbitmq.store import Store, clock
from tidewheel.backends.rabbitmq.taps import MOST, Source, Tap, wanted
from tidewheel.backends.rabbitmq.topology import BANDS
from tidewheel.core.job import Delivery
from tidewheel.core.options import NO_RETRY
from tidewheel.core.outcome import Again, Counters, Dead, Lost, decide
from tidewheel.errors import BrokerError

IDLE = 0.5
"""Seconds for which what was pushed may wait for a claim when nobody claims."""
STRAGGLERS = 60
"""Consumers that were ended and are remembered."""


class Held:
    """One message that is ours until it is acknowledged."""

    __slots__ = ("delivery", "seq", "tag", "tap")

    def __init__(self, tag: int, tap: Tap, delivery: Delivery) -> None:
        self.tag = tag
        self.tap = tap
        self.delivery = delivery


class Session:
    """One connection with one channel that consumes."""

    def __init__(self, store: Store, worker: str, on_ready: Callable[[], Callable[[], None] | None]) -> None:
        """`on_ready` is asked, with `changed` held, what to do about a message that may be claimed now; None: to wake who claims."""
        self._store = store
        self._worker = worker
        self.changed = threading.Condition()
        self._on_ready = on_ready
        self.lost: BrokerError | None = None
        self.ready: list[Held] = []
        """Pushed, and not claimed. Guarded by `changed`, as everything here."""
        self.arrivals = 0
        self.pause = self._last = 0.0
        """Seconds between the last two arrivals, and when the last one was."""
        self._mark: object = None
        """Of the channel that is in use."""
        self._worn = False
        """The next tap is to be on a fresh channel: one of our queues was deleted, or everything is shut and so may have been."""
        self.claiming = False
        self._taps: dict[Source, Tap] = {}
        self._tags: dict[str, Tap] = {}
        self._outstanding: dict[int, Held] = {}
        """By delivery tag, in their order."""
        self._ended_tags: list[str] = []
        """Of consumers that were ended; a straggler may still come for the latest of them."""
        self._numbers = itertools.count(1)
        self._watching = False
        self._errands: Errands[tuple[Held, Message, str]] = Errands(self._run_errands)
        self.link = Link(store.address, "worker", self._ended)
        try:
            self._channel = self._new_channel()
        except BaseException as error:
            self.link.drop()
            if isinstance(error, exceptions.AMQPError):
                raise translate(error, store.address) from error
            raise

    def _new_channel(self) -> Channel:
        self._worn = False
        self._ended_tags.clear()
        mark = self._mark = object()

        def ended(reason: BaseException) -> None:
            if self._mark is mark:
                self._channel_ended(reason)

        channel = self.link.channel(ended)
        channel.add_on_cancel_callback(self._cancelled)
        return channel

    def _renew(self) -> None:
        """Consume on a fresh channel, if nothing that came by the present one is still to be acknowledged. All taps are shut.

        The server remembers for each channel how far it has come in a queue, by the queue's name. When that was deleted and made again, it
        drops what it pushes from the new one as known already: the job stays with us, unacknowledged and unseen (decision 0015).
        """
        with self.changed:
            if self._outstanding:
                return
        old, self._channel = self._channel, self._new_channel()
        self.link.post(lambda: old.close() if old.is_open else None)

    # -- taps, from the thread that claims ------------------------------------------------------------------------------

    def fits(self, queues: Iterable[str]) -> bool:
        """Whether every source of these queues has an open tap, and none of them is used up."""
        with self.changed:
            taps = [self._taps.get((q, b)) for q in queues for b in BANDS]
            return all(tap is not None and tap.room > 0 for tap in taps)

    def narrow(self, queues: Iterable[str], most: int) -> bool:
        """Whether a tap was used up, though it lets through far less than `most`."""
        with self.changed:
            taps = [tap for tap in self._taps.values() if tap.source[0] in queues]
            return any(tap.arrived >= tap.prefetch and 2 * tap.prefetch <= most for tap in taps)

    @property
    def tapped(self) -> bool:
        return any(tap.room > 0 for tap in self._taps.values())

    def adjust(self, queues: Sequence[str], limit: int, most: int) -> int:
        """Look how deep the queues are, and open and shut taps for `limit` more messages. `most`: a tap with a prefetch beyond that is made
        smaller. Answers how many are ready there, as far as they are asked for. Raises `BrokerError`s.
        """
        self._store.declare(queues)
        sources: list[Source] = [(q, b) for q in queues for b in BANDS]
        try:
            depths = self._depths(sources)
            ready = dict(zip(sources, depths, strict=True))
            want = wanted(ready, queues, limit)
            with self.changed:
                renew = self._worn and not self._outstanding
                keep = {
                    s for s, n in want.items()
                    if not renew and (tap := self._taps.get(s)) is not None and tap.room >= min(n, ready[s] or 1)
                    and n < 2 * tap.prefetch and tap.prefetch <= most
                }  # fmt: skip
                shut = [tap for s, tap in self._taps.items() if s not in keep]
            self._shut(shut)
            if renew:
                self._renew()
            self._open([(s, n) for s, n in want.items() if s not in keep])
        except exceptions.AMQPError as error:
            if reply_code(error) == NOT_FOUND:
                self._store.forget(queues)  # deleted under us: made again the next time round
                self._worn = True
            raise translate(error, self._store.address) from error
        return sum(min(ready[s], n) for s, n in want.items())

    def shut(self) -> None:
        """Let nothing more be pushed. Returns when nothing more comes. Raises `BrokerError`s."""
        with self.changed:
            taps = list(self._taps.values())
        try:
            self._shut(taps)
        except exceptions.AMQPError as error:
            raise translate(error, self._store.address) from error
        self._worn = True

    def _depths(self, sources: Sequence[Source]) -> list[int]:
        names, found = [self._store.names.jobs(q, b) for q, b in sources], list[int]()

        def begin(channel: Channel, answer: Answer) -> None:
            def said(frame: Any) -> None:
                found.append(frame.method.message_count)
                if len(found) == len(names):
                    answer.give()

            for name in names:
                channel.queue_declare(name, passive=True, callback=said)

        self.link.command(begin)
        return found

    def _shut(self, taps: Sequence[Tap]) -> None:
        if not taps:
            return
        left = len(taps)

        def begin(answer: Answer) -> None:
            def done(_: Any) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    answer.give()

            for tap in taps:
                if tap.tag in self._channel.consumer_tags:
                    cancel(self._channel, tap.tag, done)
                else:  # the server has cancelled it
                    done(None)

        self.link.ask(begin)
        self._ended_tags += [tap.tag for tap in taps]
        with self.changed:
            for tap in taps:
                if self._taps.get(tap.source) is tap:
                    del self._taps[tap.source]

    def _open(self, sources: Sequence[tuple[Source, int]]) -> None:
        if not sources:
            return
        taps = [Tap(s, f"{self._worker}.{next(self._numbers)}", max(1, min(n, MOST))) for s, n in sources]
        with self.changed:
            self._taps.update({tap.source: tap for tap in taps})
            self._tags.update({tap.tag: tap for tap in taps})
        left = len(taps)

        def begin(answer: Answer) -> None:
            def done(_: Any) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    answer.give()

            while len(self._ended_tags) > STRAGGLERS:
                old = self._ended_tags.pop(0)
                self._tags.pop(old, None)
                forget(self._channel, old)
            prefetch = 0
            for tap in taps:
                if tap.prefetch != prefetch:
                    prefetch = tap.prefetch
                    self._channel.basic_qos(prefetch_count=prefetch)
                name = self._store.names.jobs(*tap.source)
                self._channel.basic_consume(name, self._arrived, consumer_tag=tap.tag, callback=done)

        self.link.ask(begin)

    # -- messages, in the connection's thread ---------------------------------------------------------------------------

    def _arrived(self, channel: Channel, method: Any, props: Any, body: bytes) -> None:
        tap = self._tags[method.consumer_tag]
        try:
            came = read(props, body)
        except Exception as error:  # whatever it is that somebody has put there, it must end, and visibly
            self._bury_foreign(Held(method.delivery_tag, tap, letters.foreign(tap.source[0], props, body)), error)
            return
        held = Held(method.delivery_tag, tap, came.delivery)
        now = monotonic()
        with self.changed:
            self._hold(held)
            self.arrivals += 1
            self.pause, self._last = now - self._last, now
        if self._sort_out(came, held):
            return
        wait = min(came.meta.rest, came.meta.due - clock())
        if wait > 0:
            self.link.later(wait, lambda: self._offer(held))
        else:
            self._offer(held)

    def _hold(self, held: Held) -> None:
        self._outstanding[held.tag] = held
        held.tap.outstanding += 1
        held.tap.arrived += 1

    def _sort_out(self, came: Arrived, held: Held) -> bool:
        """Whether it is not to be run now: it is too late, or its workers were lost."""
        if came.meta.expires is not None and came.meta.expires <= clock():
            self.acknowledge([held])
            return True
        if not came.lost:
            return False
        d = came.delivery
        error = lost_error("the server does not say which")
        outcome = decide(Lost(error), Counters(d.attempts, d.strikes, d.losses - 1), NO_RETRY)
        if isinstance(outcome, Dead):
            self._errands.add([(held, letters.dead(self._store, d, outcome, clock(), self._worker, claimed=False), d.envelope.queue)])
            return True
        if isinstance(outcome, Again) and outcome.delay > 0:
            self._errands.add([self._back(held, outcome.delay)])
            return True
        return False

    def _bury_foreign(self, held: Held, error: Exception) -> None:
        with self.changed:
            self._hold(held)
            self.arrivals += 1
        queue = held.tap.source[0]
        self._errands.add([(held, letters.undecodable(self._store, held.delivery, error, clock(), self._worker), queue)])

    def _back(self, held: Held, wait: float) -> tuple[Held, Message, str]:
        """What gives back a job that was not claimed."""
        d = held.delivery
        meta = again(d, clock() + wait if wait > 0 else 0.0, delivered=False)
        return held, self._store.message(d.id, d.envelope.task, meta, d.envelope.body, wait), d.envelope.queue

    def _offer(self, held: Held) -> None:
        with self.changed:
            if held.tag not in self._outstanding:
                return
            self.ready.append(held)
            give = self._on_ready()
            if give is None:
                self.changed.notify_all()
            alone = not self.claiming and not self._watching
            self._watching = self._watching or alone
        if give is not None:
            give()
        elif alone:
            self.link.later(IDLE, self._look)

    def _look(self) -> None:
        """Nobody has claimed for a while: others shall have what waits here."""
        with self.changed:
            self._watching = False
            if self.claiming or not self.ready:
                return
            left, self.ready = self.ready, []
            for tap in self._taps.values():
                if tap.tag in self._channel.consumer_tags:
                    cancel(self._channel, tap.tag, lambda _: None)
                    self._ended_tags.append(tap.tag)
            self._taps.clear()
        self._errands.add([self._back(held, 0.0) for held in left])

    def watch(self) -> None:
        """From the thread that claims, when it stops: look after what is left here."""
        with self.changed:
            alone = bool(self.ready) and not self._watching
            self._watching = self._watching or alone
        if alone:
            self.link.post(lambda: self.link.later(IDLE, self._look))

    def _run_errands(self, errands: Sequence[tuple[Held, Message, str]]) -> None:
        if self.lost is not None:
            return  # the server gives them to others
        self._store.publish([message for _, message, _ in errands], {queue for _, _, queue in errands})
        self.acknowledge([held for held, _, _ in errands])

    # -- acknowledging, from any thread ---------------------------------------------------------------------------------

    def acknowledge(self, helds: Sequence[Held]) -> None:
        """They are done. Handed to the connection; if that is lost before the server has it, they are given to others."""
        with self.changed:
            tags: list[int] = []
            for held in helds:
                if self._outstanding.pop(held.tag, None) is not None:
                    held.tap.outstanding -= 1
                    tags.append(held.tag)
            if not tags:
                return
            # Everything before the oldest that is still outstanding can be said in one word.
            oldest = next(iter(self._outstanding), max(tags) + 1)
            upto = max((t for t in tags if t < oldest), default=0)
            single = sorted(t for t in tags if t > upto)
            channel = self._channel
        self.link.post(lambda: self._write_acks(channel, upto, single))

    def _write_acks(self, channel: Channel, upto: int, single: Sequence[int]) -> None:
        if not channel.is_open:
            return
        number = channel.channel_number
        said = [frames.acknowledgement(number, upto, multiple=True)] if upto else []
        self.link.send(channel, b"".join([*said, *(frames.acknowledgement(number, tag) for tag in single)]))

    # -- the end --------------------------------------------------------------------------------------------------------

    def outstanding(self) -> list[Held]:
        with self.changed:
            return list(self._outstanding.values())

    def close(self, give_back: Callable[[Held], tuple[Held, Message, str]]) -> None:
        """Give back what is outstanding, each as `give_back` says, and end the connection. Raises nothing."""
        self._errands.stop()
        try:
            if self.lost is None:
                self.shut()
                self._run_errands([give_back(held) for held in self.outstanding()])
        except BrokerError:
            pass  # the server gives them to others, and counts a loss
        self.link.close()

    def _cancelled(self, frame: Any) -> None:
        """The server ends a tap: somebody deleted its queue, and it will be made again."""
        tag = frame.method.consumer_tag
        with self.changed:
            self._worn = True
            tap = self._tags.get(tag.decode() if isinstance(tag, bytes) else tag)
            if tap is None:
                return
            self._store.forget([tap.source[0]])
            if self._taps.get(tap.source) is tap:
                del self._taps[tap.source]
            self.changed.notify_all()

    def _channel_ended(self, reason: BaseException) -> None:
        # All tags are void: there is no going on in this session.
        error = translate(reason, self._store.address)
        self.link.drop(error if isinstance(error, BrokerError) else None)

    def _ended(self, error: BrokerError) -> None:
        with self.changed:
            self.lost = error
            self.ready.clear()
            self._outstanding.clear()
            self._taps.clear()
            self.changed.notify_all()
        self._errands.stop(wait=False)
