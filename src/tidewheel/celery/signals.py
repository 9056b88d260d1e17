"""Signals: functions that are called when something happens. `signal.connect(f, sender=…, weak=…, dispatch_uid=…)`, also as a decorator.

Those of a task are sent in the executor that runs it, `before_task_publish` and `after_task_publish` where it is sent from, those of a
worker where docs/reference/celery.md says. What a receiver raises is logged and changes nothing.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

__all__ = [
    "Signal", "after_setup_logger", "after_setup_task_logger", "after_task_publish", "beat_embedded_init", "beat_init",
    "before_task_publish", "celeryd_after_setup", "celeryd_init", "eventlet_pool_apply", "eventlet_pool_postshutdown",
    "eventlet_pool_preshutdown", "eventlet_pool_started", "heartbeat_sent", "import_modules", "setup_logging", "task_failure",
    "task_internal_error", "task_postrun", "task_prerun", "task_received", "task_rejected", "task_retry", "task_revoked", "task_sent",
    "task_success", "task_unknown", "user_preload_options", "worker_before_create_process", "worker_init", "worker_process_init",
    "worker_process_shutdown", "worker_ready", "worker_shutdown", "worker_shutting_down",
]  # fmt: skip

log = logging.getLogger("tidewheel.celery")


class Signal:
    """Something that happens, and who wants to know."""

    def __init__(self, name: str = "", providing_args: Any = None, *, sent: bool = True) -> None:
        self.name = name
        self.providing_args = set(providing_args or ())
        self.sent = sent
        """False: it can be connected to, and is never sent here."""
        self._lock = threading.RLock()
        self._receivers: dict[tuple[Any, Any], tuple[Any, Any]] = {}

    def __repr__(self) -> str:
        return f"<Signal: {self.name}>"

    @property
    def receivers(self) -> list[Callable[..., Any]]:
        """Those who want to know."""
        return [f for f, _ in self._live()]

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function whenever this happens (to `sender`). A function that lives nowhere else is forgotten, unless `weak=False`."""

        def attach(function: Callable[..., Any]) -> Callable[..., Any]:
            return self._connect(function, **kwargs)

        function, *more = args or (None,)
        if more:
            kwargs["sender"] = more[0]
        return attach(function) if callable(function) else attach

    def _connect(
        self, function: Callable[..., Any], sender: Any = None, weak: bool = True, dispatch_uid: Any = None, retry: bool = False
    ) -> Callable[..., Any]:
        if not self.sent:
            log.info("%s: signal %s is never sent here", getattr(function, "__qualname__", function), self.name)
        held: Any = function
        if weak:
            held = weakref.WeakMethod(function) if hasattr(function, "__self__") else weakref.ref(function)
        key = (dispatch_uid if dispatch_uid is not None else _identity(function), _sender(sender))
        with self._lock:
            self._receivers.setdefault(key, (held, weak))
        return function

    def disconnect(
        self, receiver: Callable[..., Any] | None = None, sender: Any = None, weak: bool | None = None, dispatch_uid: Any = None
    ) -> bool:
        """Answers whether it was connected."""
        key = (dispatch_uid if dispatch_uid is not None else _identity(receiver), _sender(sender))
        with self._lock:
            return self._receivers.pop(key, None) is not None

    def has_listeners(self, sender: Any = None) -> bool:
        return bool(self._receivers) and bool(self._live(sender))

    def send(self, sender: Any, **named: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Tell everybody; answers what each said, or raised."""
        if not self._receivers:
            return []
        answers = []
        for function, _ in self._live(sender):
            try:
                answers.append((function, function(signal=self, sender=sender, **named)))
            except Exception as error:
                log.exception("the receiver %s of signal %s raised", getattr(function, "__qualname__", function), self.name)
                answers.append((function, error))
        return answers

    send_robust = send

    def _live(self, sender: Any = ...) -> list[tuple[Callable[..., Any], Any]]:
        wanted = None if sender is ... else _sender(sender)
        found = []
        with self._lock:
            for key, (held, weak) in list(self._receivers.items()):
                if wanted is not None and key[1] is not None and key[1] != wanted:
                    continue
                if sender is not ... and wanted is None and key[1] is not None:
                    continue
                function = held() if weak else held
                if function is None:
                    del self._receivers[key]
                else:
                    found.append((function, key))
        return found


def _identity(function: Any) -> Any:
    owner = getattr(function, "__self__", None)
    return (id(owner), id(function.__func__)) if owner is not None and hasattr(function, "__func__") else id(function)


def _sender(sender: Any) -> Any:
    """What senders are compared by: tasks by name, texts by themselves, other objects by identity."""
    if sender is None or isinstance(sender, str):
        return sender
    name = getattr(sender, "name", None)
    return name if isinstance(name, str) else id(sender)


before_task_publish = Signal("before_task_publish")
after_task_publish = Signal("after_task_publish")
task_sent = Signal("task_sent", sent=False)
task_received = Signal("task_received")
task_prerun = Signal("task_prerun")
task_postrun = Signal("task_postrun")
task_success = Signal("task_success")
task_failure = Signal("task_failure")
task_retry = Signal("task_retry")
task_revoked = Signal("task_revoked")
task_rejected = Signal("task_rejected")
task_unknown = Signal("task_unknown", sent=False)
task_internal_error = Signal("task_internal_error")
import_modules = Signal("import_modules")
celeryd_init = Signal("celeryd_init")
celeryd_after_setup = Signal("celeryd_after_setup")
worker_init = Signal("worker_init")
worker_before_create_process = Signal("worker_before_create_process", sent=False)
worker_process_init = Signal("worker_process_init")
worker_process_shutdown = Signal("worker_process_shutdown")
worker_ready = Signal("worker_ready")
worker_shutting_down = Signal("worker_shutting_down", sent=False)
worker_shutdown = Signal("worker_shutdown", sent=False)
heartbeat_sent = Signal("heartbeat_sent", sent=False)
beat_init = Signal("beat_init", sent=False)
beat_embedded_init = Signal("beat_embedded_init", sent=False)
setup_logging = Signal("setup_logging")
after_setup_logger = Signal("after_setup_logger")
after_setup_task_logger = Signal("after_setup_task_logger")
user_preload_options = Signal("user_preload_options", sent=False)
eventlet_pool_started = Signal("eventlet_pool_started", sent=False)
eventlet_pool_preshutdown = Signal("eventlet_pool_preshutdown", sent=False)
eventlet_pool_postshutdown = Signal("eventlet_pool_postshutdown", sent=False)
eventlet_pool_apply = Signal("eventlet_pool_apply", sent=False)
