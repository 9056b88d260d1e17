"""Which queue a call goes to: `queue=` at the call, else `task_routes`, else the default queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidewheel.celery.app.settings import by_name
from tidewheel.celery.exceptions import ImproperlyConfigured, QueueNotFound
from tidewheel.celery.queues import Queues, matches

__all__ = ["MapRoute", "Router"]


class MapRoute:
    """Routes by the task's name: exact names, globs (`feed.*`) and compiled regular expressions, in this order of preference."""

    def __init__(self, rules: Any) -> None:
        pairs = list(rules.items() if isinstance(rules, Mapping) else rules)
        self.exact = {k: v for k, v in pairs if isinstance(k, str) and not any(c in k for c in "*?[")}
        self.patterns = [(k, v) for k, v in pairs if k not in self.exact]

    def __call__(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if name in self.exact:
            return self.exact[name]
        return next((route for pattern, route in self.patterns if matches(pattern, name)), None)


class Router:
    """Reads `task_routes` once."""

    def __init__(self, routes: Any, queues: Queues, *, create_missing: bool) -> None:
        self._routes = list(_routers(routes))
        self._queues = queues
        self._create = create_missing

    def route(self, options: dict[str, Any], name: str, args: Any, kwargs: Any, task: Any) -> tuple[str, dict[str, Any]]:
        """The queue of a call, and its options, completed by those of its route. Raises `QueueNotFound`."""
        found: Mapping[str, Any] = {}
        if not options.get("queue"):
            for router in self._routes:
                answer = router(name, args, kwargs, options, task=task)
                if answer:
                    found = _as_options(answer, name)
                    break
        merged = {**found, **{k: v for k, v in options.items() if v is not None}}
        return self._queue(merged), merged

    def _queue(self, options: Mapping[str, Any]) -> str:
        queue = options.get("queue")
        if queue:
            name = str(getattr(queue, "name", queue))
            if not self._create and self._queues.known and name not in self._queues:
                raise QueueNotFound(f"queue {name!r} is not in task_queues, and task_create_missing_queues is off")
            return name
        key, exchange = options.get("routing_key"), options.get("exchange")
        if key:
            return self._queues.bound(str(key), getattr(exchange, "name", exchange) or None)
        return self._queues.default


def _as_options(answer: Any, name: str) -> Mapping[str, Any]:
    if isinstance(answer, str):
        return {"queue": answer}
    if isinstance(answer, Mapping):
        return answer
    if hasattr(answer, "name"):
        return {"queue": answer.name}
    raise ImproperlyConfigured(f"task_routes: the route of {name} is {answer!r}; expected a queue's name or a dict of options")


def _routers(routes: Any) -> Iterator[Any]:
    """Each source of routes as a function of `(name, args, kwargs, options, task=None)`."""
    if not routes:
        return
    if isinstance(routes, Mapping) or _is_pairs(routes):
        yield MapRoute(routes)
    elif isinstance(routes, str):
        try:
            yield from _routers(by_name(routes))
        except ImportError as error:
            raise ImproperlyConfigured(f"task_routes: {routes!r} cannot be imported: {error}") from None
    elif isinstance(routes, (list, tuple)):
        for route in routes:
            yield from _routers(route)
    elif isinstance(routes, type):
        yield from _routers(routes())
    elif hasattr(routes, "route_for_task"):
        yield _older(routes)
    elif callable(routes):
        yield routes
    else:
        raise ImproperlyConfigured(f"task_routes: {routes!r} is no dict, function, dotted name, nor a list of them")


def _older(router: Any) -> Any:
    """A router object of before Celery 4."""
    return lambda name, args, kwargs, options, task=None: router.route_for_task(name, args, kwargs)


def _is_pairs(routes: Any) -> bool:
    return isinstance(routes, (list, tuple)) and bool(routes) and all(
        isinstance(r, (list, tuple)) and len(r) == 2 and isinstance(r[1], (Mapping, str)) and not isinstance(r[0], Mapping) for r in routes
    )  # fmt: skip
