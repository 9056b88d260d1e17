"""`Queue` and `Exchange`, which Celery takes from kombu. kombu's own do as well: only their attributes are read."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tidewheel.celery.exceptions import ImproperlyConfigured, QueueNotFound

__all__ = ["Exchange", "Queue", "Queues"]


class Exchange:
    """A name that queues and routes have in common. There are no exchanges here: it only helps to find the queue of a route."""

    def __init__(self, name: str = "", type: str = "direct", channel: Any = None, **options: Any) -> None:
        self.name = name
        self.type = type
        self.options = options

    def __repr__(self) -> str:
        return f"Exchange({self.name!r}, type={self.type!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exchange) and (other.name, other.type) == (self.name, self.type)

    def __hash__(self) -> int:
        return hash((self.name, self.type))


class Queue:
    """A queue, and the routing key by which routes find it."""

    def __init__(self, name: str = "", exchange: Any = None, routing_key: str | None = None, channel: Any = None, **options: Any) -> None:
        self.name = name
        self.exchange = exchange if not isinstance(exchange, str) else Exchange(exchange)
        self.routing_key = routing_key if routing_key is not None else name
        self.options = options
        self.queue_arguments: Mapping[str, Any] = options.get("queue_arguments") or {}

    def __repr__(self) -> str:
        return f"Queue({self.name!r}, routing_key={self.routing_key!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Queue) and (other.name, other.routing_key) == (self.name, self.routing_key)

    def __hash__(self) -> int:
        return hash((self.name, self.routing_key))


class Queues(dict[str, Any]):
    """`task_queues`, by name; the default queue when the setting names none. `known` is whether it named any."""

    def __init__(self, setting: Any, default: str) -> None:
        super().__init__()
        self.default = default
        self.known = bool(setting)
        for queue in _listed(setting):
            self[queue.name] = queue
        if not self.known:
            self[default] = Queue(default)

    def bound(self, routing_key: str, exchange: str | None = None) -> str:
        """The queue that this routing key leads to. Raises `QueueNotFound`."""
        for queue in self.values():
            theirs = getattr(queue.exchange, "name", None) or ""
            if exchange and theirs and exchange != theirs:
                continue
            topic = getattr(queue.exchange, "type", "direct") == "topic"
            key = queue.routing_key or queue.name
            if key == routing_key or (topic and _topic(key).fullmatch(routing_key)):
                return str(queue.name)
        if routing_key == self.default:
            return self.default
        raise QueueNotFound(f"no queue of task_queues is bound to the routing key {routing_key!r}; name the queue itself with queue=")


def _listed(setting: Any) -> Iterable[Any]:
    if not setting:
        return ()
    if isinstance(setting, Mapping):
        return [
            q if hasattr(q, "name") else Queue(name, exchange=(q or {}).get("exchange"), routing_key=(q or {}).get("routing_key"))
            for name, q in setting.items()
        ]
    found = [Queue(q) if isinstance(q, str) else q for q in setting]
    for queue in found:
        if not getattr(queue, "name", None):
            raise ImproperlyConfigured(f"task_queues: {queue!r} is no Queue and no name of one")
    return found


def _topic(pattern: str) -> re.Pattern[str]:
    """A binding of a topic exchange: `*` is one word, `#` any number of them."""
    words = [".*" if w == "#" else r"[^.]+" if w == "*" else re.escape(w) for w in pattern.split(".")]
    return re.compile(r"\.".join(words).replace(r"\..*", r"(\..*)?"))


def matches(pattern: Any, name: str) -> bool:
    """Whether a route's pattern (a name, a glob or a compiled regular expression) fits a task's name."""
    if isinstance(pattern, re.Pattern):
        return pattern.match(name) is not None
    return bool(pattern == name) or fnmatch.fnmatchcase(name, str(pattern))
