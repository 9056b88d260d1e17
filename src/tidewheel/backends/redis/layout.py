"""What lies where on the server, and bytes from and to structs.

Every key begins with `{prefix}:`, one hash tag for all, so that any script may touch any of them and a cluster keeps them together.

    job        HASH    id → job: published, flags, [due, expires], priority, where the body begins, queue, task, [window, key], headers,
                       body
    run        HASH    id → state, of jobs that were claimed once: counters, cancel, started, due, place; and the fence while it runs
    end        HASH    id → record of an ended job: state, moments, reason, error, state as above, job without body (a dead one's with it),
                       value
    ready:q    ZSET    id by place: -priority * 2^44 + a running number. A list a priority would be cheaper, and cancel would be O(n)
    due:q      ZSET    id by the moment it may start
    late       ZSET    id by the moment until which it must have started, of those that wait
    dead:q     ZSET    ids of dead letters, all with score 0, so in the order of ids
    key        HASH    queue NUL key → id
    own:w      SET     ids that a worker holds          stop:w  SET  those of them whose cancellation was asked for
    worker     HASH    worker → counter of its beats, moment of the last, lease, seconds between two       info  HASH  worker → JSON
    dying      SET     workers that were declared dead and still hold something
    idle:q     ZSET    workers that wait for jobs of a queue, by the moment since when       offer  HASH  worker → the claim under which
                       it takes a job that comes
    queues     SET     names of queues that are in use   running  HASH  queue → number of running jobs    seq  STRING  the running number
    keep       ZSET    buckets of 10 s → keep:n  LIST  ids of ended jobs that are kept until then (may hold old entries)
    history:id LIST    what happened to a job            progress  HASH  id → what a running job says of itself
    wait       HASH    id → listeners, 8 bytes each, that want to hear of its end
    archive    HASH    id → deliveries, until, record as in `end`: of jobs that another engine carries (`a` and the id in a bucket)
    schema     STRING  version of all this

Ids are the 16 bytes of the UUID. Numbers are big-endian; moments are doubles.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from tidewheel.core.job import Delivery, Envelope, State, Token
from tidewheel.errors import ConfigurationError

SCHEDULED, READY, RUNNING, SUCCEEDED, DEAD, CANCELLED, EXPIRED = range(7)
STATES: tuple[State, ...] = ("scheduled", "ready", "running", "succeeded", "dead", "cancelled", "expired")
UNKNOWN = 9

TIMES, KEYED = 1, 2
"""Flags of a job: it has a due moment or one to expire; it has an idempotency key."""

_ROUTE = struct.Struct(">bIH")
_TWO = struct.Struct(">dd")
_ONE = struct.Struct(">d")
_SHORT = struct.Struct(">H")
_KEY = struct.Struct(">dH")
_STATE = struct.Struct(">IIIIBddd")
_END = struct.Struct(">BdddBHIHI")
_FENCE = _STATE.size
_CLAIM = struct.Struct(">I")

_HEADERS = msgspec.json.Decoder(dict[str, str])
_encode = msgspec.json.encode


# -- ids ------------------------------------------------------------------------------------------------------------------


def raw(job_id: str) -> bytes:
    """The bytes of a job's id. Raises `ConfigurationError` for what is no UUID."""
    try:
        made = bytes.fromhex(job_id.replace("-", ""))
    except ValueError:
        made = b""
    if len(made) != 16 or len(job_id) != 36:
        raise ConfigurationError(f"{job_id!r} is not a job id; the Redis engine takes UUIDs in their form of 36 characters")
    return made


def known(ids: Sequence[str]) -> dict[bytes, str]:
    """Ids by their bytes, without those that cannot be ids of jobs."""
    found = {}
    for id_ in ids:
        try:
            found[raw(id_)] = id_
        except ConfigurationError:
            continue
    return found


def text(id_: bytes) -> str:
    """A job's id from its bytes."""
    h = id_.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def fence(token: Token) -> bytes:
    """What must stand at the end of a job's state for a write to count."""
    return _CLAIM.pack(token.claim & 0xFFFFFFFF) + token.worker.encode()


def claim_number(claim: int) -> bytes:
    return _CLAIM.pack(claim)


# -- jobs -----------------------------------------------------------------------------------------------------------------


@lru_cache(1024)
def _plain(priority: int, queue: str, task: str) -> bytes:
    """The beginning of a job without times, key and headers."""
    return _head(priority, queue.encode(), task.encode(), 0, b"")


def _head(priority: int, queue: bytes, task: bytes, flags: int, rest: bytes) -> bytes:
    # The server puts its time before all of it (8 bytes) and, counting from 1, finds the body where we say.
    times = bytes(16) if flags & TIMES else b""
    length = 1 + len(times) + _ROUTE.size + len(queue) + 2 + len(task) + len(rest)
    return b"".join((bytes((flags,)), times, _ROUTE.pack(priority, 8 + length + 1, len(queue)), queue, _SHORT.pack(len(task)), task, rest))


def job(envelope: Envelope) -> bytes:
    """An envelope as bytes, but for the server's share."""
    e = envelope
    flags = (TIMES if timed(e) else 0) | (KEYED if e.key is not None else 0)
    if not flags and not e.headers:
        return _plain(e.priority, e.queue, e.task) + e.body
    rest = _encode(e.headers) if e.headers else b""
    if e.key is not None:
        key = e.key.encode()
        rest = _KEY.pack(e.key_window, len(key)) + key + rest
    return _head(e.priority, e.queue.encode(), e.task.encode(), flags, rest) + e.body


def timed(e: Envelope) -> bool:
    return bool(e.delay) or e.due is not None or e.lifetime is not None or e.expires is not None


class Head(msgspec.Struct, frozen=True, array_like=True):
    """The routing part of a stored job."""

    priority: int
    queue: str
    task: str
    key: str | None
    window: float
    headers: Mapping[str, str]


@lru_cache(1024)
def _read_head(flags: int, head: bytes) -> Head:
    """`head` is everything from the priority on, without the body."""
    priority, _, n = _ROUTE.unpack_from(head)
    at = _ROUTE.size + n
    queue = head[_ROUTE.size : at].decode()
    (n,) = _SHORT.unpack_from(head, at)
    task = head[at + 2 : at + 2 + n].decode()
    at += 2 + n
    key, window = None, 60.0
    if flags & KEYED:
        window, n = _KEY.unpack_from(head, at)
        at += _KEY.size
        key = head[at : at + n].decode()
        at += n
    return Head(priority, queue, task, key, window, _HEADERS.decode(head[at:]) if at < len(head) else {})


class Job(msgspec.Struct, frozen=True, array_like=True):
    """A stored job."""

    head: Head
    published: float
    due: float | None
    expires: float | None
    body: bytes


def read_job(data: bytes) -> Job:
    """From the bytes of `job`."""
    (published,) = _ONE.unpack_from(data)
    flags = data[8]
    due = expires = None
    at = 9
    if flags & TIMES:
        due, expires = _TWO.unpack_from(data, 9)
        at = 25
    body = int.from_bytes(data[at + 1 : at + 5], "big") - 1
    return Job(_read_head(flags, data[at:body]), published, due, expires or None, data[body:])


class Run(msgspec.Struct, frozen=True, array_like=True):
    """The state of a job that was claimed at least once."""

    deliveries: int = 0
    attempts: int = 0
    strikes: int = 0
    losses: int = 0
    cancel: int = 0
    started: float = 0.0
    due: float = 0.0
    place: float = 0.0
    fence: bytes = b""

    @property
    def worker(self) -> str | None:
        return self.fence[4:].decode() if self.fence else None

    @property
    def token(self) -> Token:
        return Token(self.fence[4:].decode(), _CLAIM.unpack_from(self.fence)[0])


def read_run(data: bytes) -> Run:
    """From the bytes of `run`; of a job that was never claimed they are empty."""
    if not data:
        return Run()
    deliveries, attempts, strikes, losses, cancel, started, due, place_ = _STATE.unpack_from(data)
    return Run(deliveries, attempts, strikes, losses, cancel, started, due, place_, data[_FENCE:])


def place(run: bytes) -> float:
    """Where the job stood in its queue: the lower the sooner."""
    found: float = _ONE.unpack_from(run, _FENCE - _ONE.size)[0]
    return found


def delivery(id_: bytes, data: bytes, run: bytes, token: Token | None = None) -> Delivery:
    """What `claim` and `owned` answer of a job. `token`, where it is known."""
    stored = read_job(data)
    head = stored.head
    deliveries, attempts, strikes, losses = struct.unpack_from(">IIII", run)
    envelope = Envelope(
        id=text(id_), task=head.task, body=stored.body, queue=head.queue, priority=head.priority, expires=stored.expires, key=head.key,
        key_window=head.window, headers=head.headers,
    )  # fmt: skip
    return Delivery(
        envelope=envelope, token=token or read_run(run).token, published=stored.published, deliveries=deliveries, attempts=attempts,
        strikes=strikes, losses=losses,
    )  # fmt: skip


HANDED = b"job:"
"""How a worker is told of a job that was handed to it: this, its id, the length of its state, its state, its bytes."""


def handed(message: bytes) -> Delivery:
    """The job in such a message."""
    at = len(HANDED) + 16
    run = at + 2 + int.from_bytes(message[at : at + 2], "big")
    return delivery(message[len(HANDED) : at], message[run:], message[at + 2 : run])


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """The record of an ended job."""

    state: int
    finished: float
    reason: str
    error: bytes
    run: Run
    job: bytes
    value: bytes | None


def read_end(data: bytes) -> Ended:
    """From the bytes of `end`."""
    state, finished, _, _, valued, a, b, c, d = _END.unpack_from(data)
    at = _END.size
    reason, error = data[at : at + a].decode(), data[at + a : at + a + b]
    at += a + b
    run, stored = data[at : at + c], data[at + c : at + c + d]
    return Ended(state, finished, reason, error, read_run(run), stored, data[at + c + d :] if valued else None)
