"""From `apply_async` to a job: where it goes, what travels with it, and the two signals round its publication."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from tidewheel.celery import signals
from tidewheel.celery._state import running
from tidewheel.celery.app.request import HEADER, Sent, pack
from tidewheel.celery.canvas import listed, maybe_signature
from tidewheel.celery.exceptions import ImproperlyConfigured, NotSupported
from tidewheel.core.job import MAX_PRIORITY, MIN_PRIORITY
from tidewheel.core.options import NAME
from tidewheel.ids import job_id
from tidewheel.task import Call
from tidewheel.task import Task as NativeTask

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel
    from tidewheel.celery.app.application import Celery

__all__ = ["prepare", "publish"]

NOT_YET = {"chain": "chains", "chord": "chords"}
MEANINGLESS = frozenset({
    "serializer", "compression", "retry", "retry_policy", "connection", "producer", "publisher", "delivery_mode", "mandatory", "immediate",
    "add_to_parent", "router", "route_name", "exchange", "exchange_type", "routing_key", "queue", "replaced_task_nesting", "origin",
    "stamped_headers", "stamps", "task_type", "result_cls", "correlation_id", "declare", "loglevel", "logfile", "app", "throw",
})  # fmt: skip
"""Options that are read elsewhere, or change nothing."""
KNOWN = MEANINGLESS | {
    "countdown", "eta", "expires", "task_id", "link", "link_error", "group_id", "group_index", "retries", "chord", "chain", "reply_to",
    "time_limit", "soft_time_limit", "root_id", "parent_id", "shadow", "headers", "priority", "ignore_result", "known_as",
}  # fmt: skip


def publish(app: Celery, name: str, args: Any, kwargs: Any, options: dict[str, Any]) -> str:
    """Publish the call; answers the task's id. Raises `tidewheel.errors.BrokerError`s."""
    call, told = _prepared(app, name, args, kwargs, options)
    app.native.publish_many([call])
    if told is not None:
        signals.after_task_publish.send(
            sender=name, body=told["body"], exchange="", routing_key=call.envelope.queue, headers=told["headers"]
        )
    return call.id


def prepare(app: Celery, name: str, args: Any, kwargs: Any, options: dict[str, Any]) -> Call[Any]:
    """The native call, unpublished."""
    return _prepared(app, name, args, kwargs, options)[0]


def _prepared(app: Celery, name: str, args: Any, kwargs: Any, options: dict[str, Any]) -> tuple[Call[Any], dict[str, Any] | None]:
    for option, plural in NOT_YET.items():
        if options.get(option):
            raise NotSupported(f"{name}: {option}= is not there yet, for there are no {plural} yet")
    args, kwargs = list(args or ()), dict(kwargs or {})
    queue, options = app.router.route(options, options.get("route_name") or name, args, kwargs, options.get("task_type"))
    task_id = checked_id(options.get("task_id"), app.native)
    links, errors = listed(options.get("link")), listed(options.get("link_error"))
    headers = {**(options.get("headers") or {}), **{k: v for k, v in options.items() if k not in KNOWN}}
    told: dict[str, Any] | None = None
    if signals.before_task_publish.has_listeners(name) or signals.after_task_publish.has_listeners(name):
        told = _message(app, name, args, kwargs, task_id, queue, options, headers, links, errors)
        signals.before_task_publish.send(
            sender=name, body=told["body"], exchange="", routing_key=queue, headers=told["headers"], properties=told["properties"],
            declare=[], retry_policy=None,
        )  # fmt: skip
        headers |= {k: v for k, v in told["headers"].items() if k not in told["ours"]}
    native = native_task(app, name)
    changes = _timing(options, app)
    if queue != native.options.queue:
        changes["queue"] = queue
    if options.get("priority") is not None:
        changes["priority"] = native_priority(options["priority"], app.native.url)
    elif app.conf["task_inherit_parent_priority"] and (parent := _parent()) is not None and parent.native is not None:
        changes["priority"] = parent.native.job.priority
    for limit in ("time_limit", "soft_time_limit"):
        if options.get(limit):
            changes[limit] = options[limit]
    if options.get("ignore_result") is not None:
        from tidewheel.celery.app.wiring import result_ttl

        changes["result_ttl"] = 0.0 if options["ignore_result"] else result_ttl(app.conf["result_expires"])
    header = _sent(app, options, headers, links, errors, task_id).encoded()
    if header:
        changes["headers"] = {HEADER: header}
    call = (native.using(**changes) if changes else native).call(*args, **kwargs)
    if header and len(header) > app.native.payload_limit:
        raise ImproperlyConfigured(f"{name}: headers and callbacks of {len(header)} bytes, and the limit is {app.native.payload_limit}")
    return Call(call.task, msgspec.structs.replace(call.envelope, id=task_id)), told


def native_task(app: Celery, name: str) -> NativeTask[..., Any]:
    """The native task; one that takes anything for a name that this process does not know."""
    found = app.native.tasks.get(name)
    return found if found is not None else NativeTask(app.native, _unknown, name, app.native.defaults)


def _unknown(*args: Any, **kwargs: Any) -> Any:
    """Stands for a task that this process does not know."""


def checked_id(task_id: Any, native: Tidewheel) -> str:
    if task_id is None:
        return job_id()
    text = str(task_id)
    if not NAME.fullmatch(text):
        raise ImproperlyConfigured(f"task_id={task_id!r}: expected 1 to 128 letters, digits and any of _ . : -")
    if any(url is not None and url.startswith("postgres") for url in (native.url, native.results_url)) and not _is_uuid(text):
        raise ImproperlyConfigured(
            f"task_id={task_id!r}: PostgreSQL keeps ids as UUIDs; make one of it, as str(uuid.uuid5(uuid.NAMESPACE_URL, {text!r}))"
        )
    return text


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _parent() -> Any:
    """The request of the task that runs here; None outside of one."""
    return next((r for _, r in reversed(running()) if not r.called_directly), None)


def _sent(app: Celery, options: Mapping[str, Any], headers: dict[str, Any], links: Any, errors: Any, task_id: str) -> Sent:
    parent = _parent()
    root = options.get("root_id") or (parent.root_id if parent is not None else None)
    above = options.get("parent_id") or (parent.id if parent is not None else None)
    eta, expires = (_iso(options.get(name)) for name in ("eta", "expires"))
    if options.get("countdown"):
        eta = _iso(_number("countdown", options["countdown"]))
    return Sent(
        id=options.get("known_as"), root=root if root != task_id else None, parent=above,
        group=options.get("group_id"), group_index=options.get("group_index"),
        eta=eta, expires=expires,
        retries=int(options.get("retries") or 0), ignore=True if options.get("ignore_result") else None, shadow=options.get("shadow"),
        reply_to=options.get("reply_to"), headers=headers,
        link=[pack(maybe_signature(s, app)) for s in links or ()], link_error=[pack(maybe_signature(s, app)) for s in errors or ()],
    )  # fmt: skip


def _iso(when: Any) -> str | None:
    """A moment as text; of seconds, the moment by this machine's clock. For people: the broker's clock decides."""
    if isinstance(when, (int, float)):
        when = timedelta(seconds=when)
    if isinstance(when, timedelta):
        when = datetime.now(timezone.utc) + when
    return when.isoformat() if isinstance(when, datetime) else when


def _timing(options: Mapping[str, Any], app: Celery) -> dict[str, Any]:
    """`countdown`, `eta` and `expires` as native options. A moment without time zone is meant in `timezone`."""
    out: dict[str, Any] = {}
    if options.get("countdown") is None and options.get("eta") is None and options.get("expires") is None:
        return out
    zone = app.timezone
    if options.get("countdown") is not None:
        out["countdown"] = max(0.0, _number("countdown", options["countdown"]))
    elif options.get("eta") is not None:
        out["eta"] = _moment("eta", options["eta"], zone)
    expires = options.get("expires")
    if expires is not None:
        if isinstance(expires, (int, float)) and not isinstance(expires, bool):
            out["expires"] = max(0.0, float(expires))
        elif isinstance(expires, timedelta):
            out["expires"] = max(0.0, expires.total_seconds())
        else:
            out["expires"] = _moment("expires", expires, zone)
    return out


def _number(what: str, value: Any) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{what}={value!r}: expected seconds")
    return float(value)


def _moment(what: str, value: Any, zone: tzinfo) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise TypeError(f"{what}={value!r}: expected a datetime")
    return (value if value.tzinfo is not None else value.replace(tzinfo=zone)).astimezone(timezone.utc)


def native_priority(priority: Any, url: str) -> int:
    """Celery's 0 … 9 as ours, where higher comes first. On Redis Celery's 0 comes first, elsewhere its 9."""
    value = int(priority)
    if url.partition(":")[0].lower() in ("redis", "rediss", "unix", "valkey", "valkeys"):
        value = -value
    return max(MIN_PRIORITY, min(MAX_PRIORITY, value))


def _message(
    app: Celery, name: str, args: list[Any], kwargs: dict[str, Any], task_id: str, queue: str, options: Mapping[str, Any],
    headers: dict[str, Any], links: Any, errors: Any,
) -> dict[str, Any]:  # fmt: skip
    """What Celery's message would be: for receivers, who may read it and add headers."""
    parent = _parent()
    ours: dict[str, Any] = {
        "lang": "py", "task": name, "id": task_id, "shadow": options.get("shadow"), "eta": options.get("eta"),
        "expires": options.get("expires"), "group": options.get("group_id"), "group_index": options.get("group_index"),
        "retries": options.get("retries") or 0, "timelimit": [options.get("time_limit"), options.get("soft_time_limit")],
        "root_id": options.get("root_id") or (parent.root_id if parent is not None else task_id),
        "parent_id": options.get("parent_id") or (parent.id if parent is not None else None), "argsrepr": repr(tuple(args))[:1024],
        "kwargsrepr": repr(kwargs)[:1024], "origin": f"gen{os.getpid()}@{socket.gethostname()}",
        "ignore_result": bool(options.get("ignore_result")), "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {},
    }  # fmt: skip
    return {
        "headers": {**ours, **headers}, "ours": set(ours),
        "properties": {"correlation_id": task_id, "reply_to": options.get("reply_to") or "", "priority": options.get("priority")},
        "body": (args, kwargs, {"callbacks": links, "errbacks": errors, "chain": None, "chord": None}),
    }  # fmt: skip
