"""Envelopes as the arguments of `publish`: runs of jobs that share queue and priority (lua/shared/put.lua)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tidewheel.backends.redis import layout
from tidewheel.contract import Receipt
from tidewheel.core.job import Envelope
from tidewheel.errors import ConfigurationError

RUN = 1000
"""Jobs in a run, at most: Lua unpacks one on its stack, which holds 8000."""
MOST = 250_000
"""Jobs in a publication. It is one script, that all may come or none; the server does nothing else meanwhile (a second or two at most) and
takes about a million arguments in a command."""
LONG = 1 << 20
"""Bytes. A longer body takes the way on which its size counts."""
BYTES = 256 << 20
"""Bytes of them all: the server takes a gigabyte in a command, and holds it twice."""

_TIMES = struct.Struct(">dddd")
Arg = bytes | str | int | float


def lone(batch: Sequence[Envelope]) -> list[Arg] | None:
    """The arguments of `publish_one`; None where it is not for this batch."""
    if len(batch) > 1:
        return None
    e = batch[0]
    if e.key is not None or layout.timed(e) or len(e.body) > LONG:
        return None
    return [e.queue, -e.priority, layout.raw(e.id), layout.job(e)]


def arguments(batch: Sequence[Envelope]) -> list[Arg]:
    """The runs, in the order of the batch."""
    if len(batch) > MOST:
        raise ConfigurationError(f"{len(batch):,} jobs in one publication; Redis takes up to {MOST:,}: publish them in several")
    size = sum(len(e.body) for e in batch)
    if size > BYTES:
        raise ConfigurationError(f"{size:,} bytes in one publication; Redis takes up to {BYTES:,}: publish the jobs in several")
    twins = len({e.id for e in batch}) < len(batch)
    args: list[Arg] = []
    group: tuple[str, int, bool] | None = None
    size = at = 0
    for e in batch:
        special = twins or e.key is not None or layout.timed(e)
        this = (e.queue, e.priority, special)
        if this != group or size == RUN:
            if size:
                args[at] = size
            group, size, at = this, 0, len(args) + 2
            args += (e.queue, -e.priority, 0, "1" if special else "0")
        size += 1
        args.append(layout.raw(e.id))
        args.append(layout.job(e))
        if special:
            args.append(_times(e) if layout.timed(e) else b"")
            args.append(b"" if e.key is None else f"{e.queue}\0{e.key}".encode())
    if size:
        args[at] = size
    return args


def weight(batch: Sequence[Envelope]) -> int:
    """How large it is, in jobs of an ordinary size."""
    return max(len(batch), sum(len(e.body) for e in batch) // 2500)


def _times(e: Envelope) -> bytes:
    lifetime = -1.0 if e.lifetime is None else max(0.0, e.lifetime)
    return _TIMES.pack(max(0.0, e.delay), e.due or 0.0, lifetime, e.expires or 0.0)


def receipts(batch: Sequence[Envelope], answer: Sequence[int | bytes] | None) -> list[Receipt]:
    """What `publish` answered: nothing when all are new."""
    if answer is None:
        return [Receipt(e.id) for e in batch]
    return [
        Receipt(e.id, bool(said)) if isinstance(said, int) else Receipt(layout.text(said), False)
        for e, said in zip(batch, answer, strict=True)
    ]
