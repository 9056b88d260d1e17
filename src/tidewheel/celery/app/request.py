"""`self.request`: what a running task knows of its own call, in Celery's words."""

from __future__ import annotations

import base64
import socket
from collections.abc import Mapping
from typing import Any

import msgspec

from tidewheel.context import Context as NativeContext
from tidewheel.wire.values import decode, encode

__all__ = ["HEADER", "MARK", "MOVED", "Context", "Sent", "hostname"]

HEADER = "celery"
"""The header of an envelope in which a `Sent` travels, as JSON."""

MARK = "tidewheel.celery/state"
"""The key by which a value, or progress, is known to be a state of the task's own making and its `meta`."""
MOVED = "tidewheel.celery/moved"
"""The key by which a value is known to be the id of the job that goes on with the task."""


class Sent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What travels with a call besides its arguments, as far as it is not empty."""

    id: str | None = None
    """The task's id, where it is not the job's."""
    root: str | None = None
    parent: str | None = None
    group: str | None = None
    group_index: int | None = None
    eta: str | None = None
    expires: str | None = None
    retries: int = 0
    ignore: bool | None = None
    shadow: str | None = None
    reply_to: str | None = None
    headers: dict[str, Any] = {}
    link: list[str] = []
    link_error: list[str] = []

    def encoded(self) -> str:
        text = msgspec.json.encode(self, enc_hook=str).decode()
        return "" if text == "{}" else text


_decoder = msgspec.json.Decoder(Sent)


def sent(header: str | None) -> Sent:
    return _decoder.decode(header) if header else Sent()


def pack(signature: Mapping[str, Any]) -> str:
    """A signature as text: MessagePack, so that its arguments come out as those of a call do."""
    return base64.b85encode(encode(dict(signature))).decode()


def unpack(text: str) -> dict[str, Any]:
    return decode(base64.b85decode(text))  # type: ignore[no-any-return]


def hostname() -> str:
    return f"celery@{socket.gethostname()}"


class Context:
    """A call. What is not known of it reads as None; user headers are attributes too."""

    logfile: Any = None
    loglevel: Any = None
    hostname: Any = None
    id: Any = None
    task: Any = None
    args: Any = None
    kwargs: Any = None
    retries: int = 0
    eta: Any = None
    expires: Any = None
    is_eager: bool = False
    headers: Any = None
    delivery_info: Any = None
    reply_to: Any = None
    shadow: Any = None
    root_id: Any = None
    parent_id: Any = None
    correlation_id: Any = None
    taskset: Any = None
    group: Any = None
    group_index: Any = None
    chain: Any = None
    chord: Any = None
    utc: Any = True
    called_directly: bool = True
    callbacks: Any = None
    errbacks: Any = None
    timelimit: Any = None
    time_limit: Any = None
    soft_time_limit: Any = None
    origin: Any = None
    properties: Any = None
    ignore_result: Any = None
    replaced_task_nesting: int = 0
    stamps: Any = None
    stamped_headers: Any = None
    compression: Any = None
    argsrepr: Any = None
    kwargsrepr: Any = None
    native: NativeContext | None = None
    """Tidewheel's own context; None when no worker runs this."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.update(*args, **kwargs)

    def update(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__.update(*args, **kwargs)

    def clear(self) -> None:
        self.__dict__.clear()

    def get(self, key: str, default: Any = None) -> Any:
        return getattr(self, key, default)

    def __repr__(self) -> str:
        shown = {k: v for k, v in vars(self).items() if k not in ("args", "kwargs", "native") and not k.startswith("_")}
        return f"<Context: {shown}>"

    @property
    def children(self) -> list[Any]:
        """The results of the calls that this task has made."""
        found: list[Any] = self.__dict__.setdefault("_children", [])
        return found

    def as_execution_options(self) -> dict[str, Any]:
        """What a call on behalf of this one takes over from it."""
        limit = self.timelimit or (None, None)
        return {
            "task_id": self.id, "root_id": self.root_id, "parent_id": self.parent_id, "group_id": self.group,
            "group_index": self.group_index, "shadow": self.shadow, "chord": self.chord, "chain": self.chain, "link": self.callbacks,
            "link_error": self.errbacks, "expires": self.expires, "soft_time_limit": limit[1], "time_limit": limit[0],
            "headers": self.headers, "retries": self.retries, "reply_to": self.reply_to, "replaced_task_nesting": 0, "origin": self.origin,
        }  # fmt: skip

    @property
    def execution_options(self) -> dict[str, Any]:
        return self.as_execution_options()


def of_job(native: NativeContext, args: tuple[Any, ...], kwargs: dict[str, Any], signature: Any) -> Context:
    """The request of a job that a worker runs. `signature` turns an unpacked one into a `Signature`."""
    job = native.job
    meta = sent(job.headers.get(HEADER))
    task_id = meta.id or job.id
    request = Context(
        id=task_id, task=job.task, args=list(args), kwargs=kwargs, retries=meta.retries + job.attempt - 1, called_directly=False,
        root_id=meta.root or task_id, parent_id=meta.parent, correlation_id=task_id, group=meta.group, group_index=meta.group_index,
        eta=meta.eta, expires=meta.expires, shadow=meta.shadow, reply_to=meta.reply_to, ignore_result=bool(meta.ignore),
        hostname=hostname(), headers=dict(meta.headers) or None, native=native,
        properties={"correlation_id": task_id, "reply_to": meta.reply_to, "priority": job.priority},
        delivery_info={"exchange": "", "routing_key": job.queue, "priority": job.priority, "redelivered": job.deliveries > job.attempt},
        callbacks=[signature(unpack(x)) for x in meta.link] or None, errbacks=[signature(unpack(x)) for x in meta.link_error] or None,
    )  # fmt: skip
    for name, value in meta.headers.items():
        if name not in request.__dict__:
            request.__dict__[name] = value
    return request
