"""Who is to be told of what, without a row for it: advisory locks as marks, NOTIFY as the bell.

Whoever waits holds a shared lock on its own connection, which the server drops when it dies, however it dies. Who publishes or settles
tries the same lock for itself, in the same statement: if it gets it, nobody waits; and since it holds it until its commit, nobody can begin
to wait in between and miss what is committed. Only if it does not get it (somebody waits, or somebody else is committing too) it rings
after the commit, from a transaction of its own that does not wait for the disk. A NOTIFY takes a lock that is global to the server: in the
user's transaction it would make all commits queue up.

Locks are pairs of numbers: the schema's, and that of a place.

    queue       somebody is idle who takes from this queue           seat:n      … and listens on the channel of this seat
    waiters     somebody waits for a result                          bucket:n    … of a job whose id falls into this bucket
    nowhere     for who publishes in a transaction of the user's: it may last, and a lock of it would keep others from beginning to wait
    broadcast   somebody listens to broadcasts                       schema      migrations and partitions, one process at a time
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg.types.numeric import Int4, Int8

from tidewheel.backends.postgres import arrays

SEATS = 8
"""Idle workers spread over so many channels, so that one job wakes few of them."""
BUCKETS = 16
MANY = 1000
"""Queues and seats whose arguments are remembered."""
PAYLOAD = 7900
"""Bytes that a notification can carry, nearly."""


def number(text: str) -> int:
    """A place's number, 32 bits with sign. If two places share one, somebody is rung in vain."""
    return zlib.crc32(text.encode()) - (1 << 31)


class Bells:
    """The names and numbers of one schema's places."""

    def __init__(self, schema: str) -> None:
        self.house = Int4(number(f"tidewheel {schema}"))
        self.waiters = Int4(number("waiters"))
        self.broadcast = Int4(number("broadcast"))
        self.nowhere = Int4(number("nowhere"))
        self.schema = Int4(number("schema"))
        self._made: dict[tuple[str, int], tuple[arrays.Longs, arrays.Texts]] = {}
        self.prefix = f"tidewheel_{self.house & 0xFFFFFFFF:08x}"

    def queue(self, queue: str) -> Int4:
        return Int4(number(f"queue {queue}"))

    def seat(self, queue: str, seat: int) -> int:
        return number(f"seat {seat} {queue}")

    def bucket(self, bucket: int) -> int:
        return number(f"bucket {bucket}")

    def idle(self, queues: Iterable[str], seat: int) -> list[int]:
        """The places to mark for who waits for jobs."""
        return [place for q in queues for place in (int(self.queue(q)), self.seat(q, seat))]

    def waiting(self, ids: Mapping[str, bytes]) -> list[int]:
        """The places to mark for who waits for results."""
        return [int(self.waiters), *(self.bucket(b) for b in sorted({raw[-1] % BUCKETS for raw in ids.values()}))]

    def seat_channel(self, seat: int) -> str:
        return f"{self.prefix}_seat_{seat}"

    def worker_channel(self, worker: str) -> str:
        return f"{self.prefix}_worker_{worker}" if len(worker) <= 32 else f"{self.prefix}_worker_{number(worker) & 0xFFFFFFFF:08x}"

    @property
    def ends_channel(self) -> str:
        return f"{self.prefix}_ends"

    @property
    def broadcast_channel(self) -> str:
        return f"{self.prefix}_broadcast"

    def work(self, queue: str, many: int) -> list[Any]:
        """The arguments of `ring.sql`: so many jobs came to this queue. Each time another seat is the first."""
        places, channels = self._seats(queue, random.randrange(SEATS))
        return [self.house, places, channels, queue, Int8(many)]

    def _seats(self, queue: str, first: int) -> tuple[arrays.Longs, arrays.Texts]:
        made = self._made.get((queue, first))
        if made is None:
            seats = [(first + n) % SEATS for n in range(SEATS)]
            made = arrays.longs([self.seat(queue, n) for n in seats]), arrays.texts([self.seat_channel(n) for n in seats])
            if len(self._made) < MANY:
                self._made[queue, first] = made
        return made

    def ends(self, ids: Sequence[str]) -> list[Any]:
        """The arguments of `tell.sql`: these jobs have ended."""
        gathered: dict[int, list[str]] = {}
        for id_ in ids:
            gathered.setdefault(int(id_[-2:], 16) % BUCKETS, []).append(id_)
        each = PAYLOAD // 37
        places: list[int] = []
        payloads: list[str] = []
        for bucket, some in gathered.items():
            for start in range(0, len(some), each):
                places.append(self.bucket(bucket))
                payloads.append(",".join(some[start : start + each]))
        return [self.house, arrays.longs(places), self.ends_channel, arrays.texts(payloads)]
