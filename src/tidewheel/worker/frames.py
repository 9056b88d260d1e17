"""What the worker, the forkserver and the executors say to each other, and how it crosses a socket.

A frame is a 4-byte big-endian length and a MessagePack list of messages. A job's key is `(id, claim)`: the same job may be claimed
twice by one worker while a stuck thread of the first claim still lives.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from tidewheel.core.job import Delivery, Envelope
from tidewheel.core.options import Options
from tidewheel.core.outcome import AnyOutcome

Key = tuple[str, int]
Why = Literal["cancel", "soft", "hard", "interrupt"]

POKE: int = signal.SIGRTMIN + 8 if sys.platform == "linux" else 0
"""The signal by which an executor is told to read although it is in the middle of a run. 0: there is none, it reads all the time."""

CHUNK = 65_536
"""Bytes that are read at once. For 128 KiB and more the C library would map memory each time, and give it back: 40 µs."""

# -- worker -> executor -------------------------------------------------------------------------------------------------


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    pass


class Setup(Message, frozen=True):
    """The first message to an executor."""

    number: int
    pool: str
    concurrency: int
    lifeline: str | None
    max_memory: int | None
    pokes: bool = False
    """The worker sends the signal POKE with what must be read in the middle of a run; so nobody has to read all the time."""
    main_thread: bool = True
    """Whether `run` is called on the main thread, where a signal can interrupt a run."""
    worker: str = ""


class Run(Message, frozen=True):
    jobs: tuple[Delivery, ...]


class Stop(Message, frozen=True):
    """Interrupt one run: its cancellation was asked for, a limit is over, or the worker is stopping."""

    key: Key
    why: Why


class TakeBack(Message, frozen=True):
    """Give back those of these jobs that have not started; answered with `Returned`."""

    keys: tuple[Key, ...]


class Tell(Message, frozen=True):
    """An event that the worker decided and the app's listeners want to hear."""

    event: bytes


class Quit(Message, frozen=True):
    """End what was started, then exit."""


# -- executor -> worker -------------------------------------------------------------------------------------------------


class Ready(Message, frozen=True):
    pid: int


class Started(Message, frozen=True):
    """Sent by pools that run several jobs at once; where one runs at a time, the next one starts when the one before it ended."""

    key: Key


class Ended(Message, frozen=True):
    key: Key
    outcome: AnyOutcome
    duration: float
    publish: tuple[Envelope, ...] = ()
    """Jobs that are stored together with the outcome."""
    written: bool = False
    """The executor has written the outcome itself, in the task's transaction."""


class Returned(Message, frozen=True):
    keys: tuple[Key, ...]


class Reported(Message, frozen=True):
    """Progress."""

    key: Key
    data: bytes


class Bloated(Message, frozen=True):
    """Its resident memory passed the limit: it wants to be replaced."""

    rss: int


# -- forkserver <-> worker ----------------------------------------------------------------------------------------------


class Manifest(Message, frozen=True):
    """What the app is, as the process that imported it reports it. The worker itself never imports it."""

    name: str
    url: str
    tasks: dict[str, Options]
    listens: frozenset[str]
    """Names of the event classes that the app listens to."""
    results: str | None = None
    """Where its results are kept, if not with the broker; a URL."""
    result_ttl: float = 3600.0
    queues: tuple[str, ...] = ()
    """What the app says its workers consume; empty: the queues of its tasks."""
    workers: dict[str, int] = {}
    """What the app says of its workers where their command line says nothing: `WorkerOptions` by name."""
    threads: int = 0
    """Threads that importing the app has started: they do not survive a fork."""


class ImportFailed(Message, frozen=True):
    """The app could not be imported; `text` is what its author needs to read."""

    text: str
    usage: bool = False
    """True when `-A` itself is wrong, and not the code it names."""


class Fork(Message, frozen=True):
    """To the forkserver, with the executor's end of a socketpair attached."""

    number: int


class Forked(Message, frozen=True):
    number: int
    pid: int


class Exited(Message, frozen=True):
    pid: int
    status: int
    """As `os.waitstatus_to_exitcode`: negative for a signal."""


ToExecutor = Setup | Run | Stop | TakeBack | Tell | Quit
ToWorker = Manifest | ImportFailed | Ready | Started | Ended | Returned | Reported | Bloated
FromForkserver = Manifest | ImportFailed | Forked | Exited
ToForkserver = Fork | Quit

_encoder = msgspec.msgpack.Encoder()


def frame(messages: Sequence[Any]) -> bytes:
    """Messages as one frame."""
    data = _encoder.encode(messages)
    return len(data).to_bytes(4, "big") + data


class Decoder:
    """Bytes in any portions -> messages of one union of types."""

    def __init__(self, union: Any) -> None:
        self._decode = msgspec.msgpack.Decoder(list[union]).decode
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The messages that these bytes complete."""
        buffer = self._buffer
        if not buffer and len(data) - 4 == int.from_bytes(data[:4], "big"):
            yield from self._decode(data[4:])  # just one, which is most of the time
            return
        buffer += data
        at, end = 0, len(buffer)
        view = memoryview(buffer)
        out: list[Iterable[Any]] = []
        while end - at >= 4:
            size = int.from_bytes(view[at : at + 4], "big")
            if end - at - 4 < size:
                break
            out.append(self._decode(view[at + 4 : at + 4 + size]))
            at += 4 + size
        view.release()
        if at:
            del buffer[:at]
        for messages in out:
            yield from messages
