"""Job ids: UUID version 7 (RFC 9562, 5.7), so that they sort by time and tell when a job was made."""

from __future__ import annotations

import os
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0


def job_id() -> str:
    """A new id: 48 bits of milliseconds, then 12 bits that count within the millisecond (method 1), then 62 random bits.

    Ids made by one process sort in the order of their making.
    """
    global _last
    with _lock:
        stamp = (time.time_ns() // 1_000_000) << 12
        _last = stamp = stamp if stamp > _last else _last + 1
    rand = int.from_bytes(os.urandom(8), "big") >> 2
    text = f"{(stamp >> 12) << 80 | 7 << 76 | (stamp & 0xFFF) << 64 | 2 << 62 | rand:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def made_at(job_id: str) -> float | None:
    """When an id was made, epoch seconds on its maker's clock; None when it is not a UUIDv7."""
    try:
        value = uuid.UUID(job_id)
    except ValueError:
        return None
    return (value.int >> 80) / 1000 if value.version == 7 else None


def incarnation() -> str:
    """A random name for one life of one worker process; never used again."""
    return os.urandom(16).hex()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
