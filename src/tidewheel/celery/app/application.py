"""`Celery`: the app, with Celery's surface. It holds a native app, `native`, made from the settings when it is first needed."""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidewheel.celery import _state, signals
from tidewheel.celery.app import sending, wiring
from tidewheel.celery.app.annotations import annotate, as_list
from tidewheel.celery.app.backend import Backend, Connection
from tidewheel.celery.app.configured import Configured
from tidewheel.celery.app.loading import Loader, command_line, import_related, set_up_django, tell_of_workers
from tidewheel.celery.app.routes import Router
from tidewheel.celery.app.settings import Settings, by_name
from tidewheel.celery.app.task import Task
from tidewheel.celery.registry import TaskRegistry
from tidewheel.celery.signals import Signal
from tidewheel.task import Call

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel
    from tidewheel.celery.app.control import Control
    from tidewheel.celery.canvas import Signature

__all__ = ["Celery"]

log = logging.getLogger("tidewheel.celery")


class Celery(Configured):
    """An app: its settings, its tasks, and the way to send them. `main` names tasks of the module `__main__`."""

    def __init__(
        self, main: str | None = None, loader: Any = None, backend: Any = None, amqp: Any = None, events: Any = None, log: Any = None,
        control: Any = None, set_as_current: bool = True, tasks: Any = None, broker: Any = None, include: Any = None, changes: Any = None,
        config_source: Any = None, fixups: Any = None, task_cls: Any = None, autofinalize: bool = True, namespace: str | None = None,
        strict_typing: bool = True, broker_connection_retry: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.main = main
        self.namespace = namespace
        self.strict_typing = strict_typing
        self.autofinalize = autofinalize
        self.finalized = False
        self.configured = False
        self._lock = threading.RLock()
        self._task_cls = task_cls
        self._tasks = TaskRegistry(self)
        self._native: Tidewheel | None = None
        self._before: Tidewheel | None = None
        """The native app from before a setting was changed: tasks of its own move on to the next one."""
        self._router: Router | None = None
        self._control: Control | None = None
        self._classes: dict[str, Any] = {}
        self._autodiscover: list[tuple[Any, str | None]] = []
        self._periodic: dict[str, dict[str, Any]] = {}
        self._imported = False
        self.on_configure = Signal("app.on_configure")
        self.on_after_configure = Signal("app.on_after_configure")
        self.on_after_finalize = Signal("app.on_after_finalize")
        self.on_after_fork = Signal("app.on_after_fork", sent=False)
        self.conf = Settings(self._changed, self._configured)
        given = {"broker_url": broker, "result_backend": kwargs.pop("result_backend", None) or backend, "include": include}
        given |= dict(changes or {}) | kwargs
        for name, value in given.items():
            if value is not None:
                self.conf[name] = value
        if config_source is not None:
            self.config_from_object(config_source)
        _state.register_app(self)
        if set_as_current:
            _state.made(self)
        self.on_init()

    def __repr__(self) -> str:
        return f"<Celery {self.main or '__main__'} at {id(self):#x}>"

    def on_init(self) -> None:
        """Called at the end of making one. For you to define."""

    def _configured(self) -> None:
        self.configured = True
        self.on_configure.send(sender=self)
        self.on_after_configure.send(sender=self, source=self.conf)

    def _changed(self, name: str) -> None:
        self._router = None
        native = self._native
        if native is not None and (not name or name in wiring.WIRED):
            self._native, self._before = None, native
            native.close()

    # -- tasks --------------------------------------------------------------------------------------------------------------

    def task(self, *args: Any, **opts: Any) -> Any:
        """Make a function a task: `@app.task`, or `@app.task(bind=True, max_retries=5, …)`."""
        opts.pop("lazy", None)
        opts.pop("shared", None)

        def make(function: Callable[..., Any]) -> Any:
            return self._task_from_fun(function, **opts)

        if len(args) == 1 and callable(args[0]):
            return make(args[0])
        if args:
            raise TypeError(f"@app.task takes options by name, and got {args!r}")
        return make

    def _task_from_fun(self, fun: Callable[..., Any], name: str | None = None, base: Any = None, bind: bool = False, **options: Any) -> Any:
        name = name or self.gen_task_name(fun.__name__, fun.__module__)
        with self._lock:
            if name in self._tasks.data:
                return self._tasks.data[name]
            if "queue" in options and hasattr(options["queue"], "name"):
                options["queue"] = options["queue"].name
            attributes = {
                "_app": self, "name": name, "run": fun if bind else staticmethod(fun), "__doc__": fun.__doc__, "__module__": fun.__module__,
                "__wrapped__": fun, "__bound__": bind, **options,
            }  # fmt: skip
            task = type(fun.__name__, (base or self.Task,), attributes)()
            task.__dict__["_function"] = fun
            task.__dict__["__qualname__"] = getattr(fun, "__qualname__", fun.__name__)
            return self._register(task)

    def register_task(self, task: Any, **options: Any) -> Any:
        """Register a task of a class of your own (or that class)."""
        task = task() if isinstance(task, type) else task
        if not task.name:
            cls = type(task)
            task.name = self.gen_task_name(cls.__name__, cls.__module__)
        type(task)._app = self
        for name, value in options.items():
            setattr(task, name, value)
        return self._register(task)

    def _register(self, task: Any) -> Any:
        self._tasks.data[task.name] = task
        task.prepare()
        type(task).on_bound(self)
        if self.finalized:
            annotate(task, self.conf["task_annotations"])
        if self._native is not None:
            wiring.register(self._native, task)
        return task

    def gen_task_name(self, name: str, module: str) -> str:
        """`module.function`; in `__main__` the app's name stands for the module."""
        if module == "__main__":
            if self.main:
                module = self.main
            else:
                file = getattr(sys.modules["__main__"], "__file__", None)
                module = Path(file).stem if file else module
        return ".".join(part for part in (module, name) if part)

    @property
    def Task(self) -> Any:
        """The base class of this app's tasks, to derive from."""
        found = self.__dict__.get("_task_base")
        if found is None:
            base = self._task_cls or Task
            base = by_name(base) if isinstance(base, str) else base
            found = self.__dict__["_task_base"] = type(
                "Task", (base,), {"_app": self, "__module__": base.__module__, "__doc__": base.__doc__}
            )
        return found

    @Task.setter
    def Task(self, cls: Any) -> None:
        self.__dict__["_task_base"] = type("Task", (cls,), {"_app": self, "__module__": cls.__module__, "__doc__": cls.__doc__})

    @property
    def tasks(self) -> TaskRegistry:
        """The tasks by name, shared ones too."""
        self.finalize(auto=True)
        return self._tasks

    def finalize(self, auto: bool = False) -> None:
        """Take in shared tasks. Happens by itself when tasks are asked for."""
        with self._lock:
            if self.finalized:
                return
            if auto and not self.autofinalize:
                raise RuntimeError("the app is not finalized: autofinalize=False was said, so call app.finalize()")
            self.finalized = True
            for register in _state.shared():
                register(self)
            for task in list(self._tasks.data.values()):
                annotate(task, self.conf["task_annotations"])
        self.on_after_finalize.send(sender=self)

    # -- loading --------------------------------------------------------------------------------------------------------------

    def autodiscover_tasks(self, packages: Any = None, related_name: str | None = "tasks", force: bool = False) -> None:
        """Import the module `tasks` of each package when a worker starts (with `force` now); of Django's apps when none are named."""
        if force:
            import_related(packages, related_name)
        else:
            self._autodiscover.append((packages, related_name))

    def import_default_modules(self) -> None:
        """Import what defines the tasks: `imports`, `include`, and what `autodiscover_tasks` was told. Once."""
        with self._lock:
            if self._imported:
                return
            self._imported = True
        set_up_django()
        for name in [*as_list(self.conf["imports"]), *as_list(self.conf["include"])]:
            importlib.import_module(name)
        for packages, related in self._autodiscover:
            import_related(packages, related)
        signals.import_modules.send(sender=self)

    @property
    def loader(self) -> Any:
        return Loader(self)

    def __tidewheel__(self) -> Tidewheel:
        """For `-A`: the native app, with all tasks imported. Says what of the settings has no effect."""
        self.import_default_modules()
        self.finalize(auto=True)
        native = self.native
        self.beat_entries()
        idle = self.conf.no_effect()
        if idle:
            log.info("settings that are accepted and have no effect here: %s (docs/reference/celery.md says why)", ", ".join(idle))
        tell_of_workers(self, native)
        return native

    # -- the native app -------------------------------------------------------------------------------------------------------

    @property
    def native(self) -> Tidewheel:
        """Tidewheel's own app, made from the settings."""
        native = self._native
        if native is None:
            with self._lock:
                if self._native is None:
                    self.finalize(auto=True)
                    native = wiring.build(self)
                    for task in self._tasks.data.values():
                        wiring.register(native, task)
                    if self._before is not None:
                        wiring.move_own_tasks(self._before, native)
                    self._native, self._before = native, None
                native = self._native
        return native

    @property
    def router(self) -> Router:
        router = self._router
        if router is None:
            conf = self.conf
            router = self._router = Router(
                conf["task_routes"], wiring.queues_of(self), create_missing=bool(conf["task_create_missing_queues"])
            )
        return router

    # -- sending --------------------------------------------------------------------------------------------------------------

    def send_task(
        self, name: str, args: Any = None, kwargs: Any = None, countdown: float | None = None, eta: Any = None, task_id: str | None = None,
        producer: Any = None, connection: Any = None, router: Any = None, result_cls: Any = None, expires: Any = None,
        publisher: Any = None,
        link: Any = None, link_error: Any = None, add_to_parent: bool = True, **options: Any,
    ) -> Any:  # fmt: skip
        """Send a task by its name, whether or not this process knows it. Answers an `AsyncResult`."""
        if self.conf["task_always_eager"] and options.get("task_type") is None:
            log.warning("task_always_eager has no effect on send_task(%r)", name)
        options.update(countdown=countdown, eta=eta, task_id=task_id, expires=expires, link=link, link_error=link_error)
        ignored = options.get("ignore_result")
        task = options.get("task_type") or self._tasks.data.get(name)
        if ignored is None and task is not None:
            ignored = task.ignore_result
        result = (result_cls or self.AsyncResult)(sending.publish(self, name, args, kwargs, options))
        result.ignored = bool(ignored)
        current = _state.get_current_worker_task()
        if add_to_parent and current is not None:
            current.add_trail(result)
        return result

    def call(self, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Call[Any]:
        """Tidewheel's own call of this task, not published yet: for `app.native.publish_many` and `Context.follow`."""
        return sending.prepare(self, name, args, kwargs, options)

    def signature(self, *args: Any, **kwargs: Any) -> Signature:
        from tidewheel.celery.canvas import signature

        kwargs.setdefault("app", self)
        return signature(*args, **kwargs)

    subtask = signature

    @property
    def AsyncResult(self) -> Any:
        return self._bound("AsyncResult")

    @property
    def ResultSet(self) -> Any:
        return self._bound("ResultSet")

    @property
    def GroupResult(self) -> Any:
        return self._bound("GroupResult")

    def _bound(self, name: str) -> Any:
        """The class of this name in `result.py`, as one of this app's own."""
        found = self._classes.get(name)
        if found is None:
            from tidewheel.celery import result

            cls = getattr(result, name)
            found = self._classes[name] = type(name, (cls,), {"_app": self, "__module__": cls.__module__, "__doc__": cls.__doc__})
        return found

    @property
    def control(self) -> Control:
        if self._control is None:
            from tidewheel.celery.app.control import Control

            self._control = Control(self)
        return self._control

    # -- periodic tasks: kept, not run --------------------------------------------------------------------------------------------

    def add_periodic_task(self, schedule: Any, sig: Any, args: Any = (), kwargs: Any = None, name: str | None = None, **opts: Any) -> str:
        """Add an entry to `beat_schedule`. It is checked and kept; nothing runs it yet."""
        from tidewheel.celery.schedules import maybe_schedule

        sig = self.signature(sig, args, kwargs) if not isinstance(sig, dict) else sig.clone(args, kwargs)  # type: ignore[attr-defined]
        key = name or repr(sig)
        self._periodic[key] = {
            "schedule": maybe_schedule(schedule, app=self), "task": sig["task"], "args": tuple(sig["args"]), "kwargs": dict(sig["kwargs"]),
            "options": {**sig["options"], **opts},
        }  # fmt: skip
        return key

    def beat_entries(self) -> dict[str, dict[str, Any]]:
        """`beat_schedule` and what `add_periodic_task` was told, checked. Raises `ImproperlyConfigured`."""
        from tidewheel.celery.schedules import checked

        return {**checked(self.conf["beat_schedule"]), **self._periodic}

    # -- currency and life --------------------------------------------------------------------------------------------------------

    def set_current(self) -> None:
        _state.set_current_app(self)

    def set_default(self) -> None:
        _state.set_default_app(self)

    @property
    def current_task(self) -> Any:
        return _state.get_current_task()

    @property
    def current_worker_task(self) -> Any:
        return _state.get_current_worker_task()

    def close(self) -> None:
        """Release connections. Tasks that were sent stay; the app may be used again."""
        if self._native is not None:
            self._native.close()
        _state.deregister_app(self)

    def __enter__(self) -> Celery:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self, argv: Any = None) -> None:
        """The command line, for this app: `app.start(["worker", "-l", "info"])`."""
        command_line(self, list(argv) if argv is not None else sys.argv[1:])

    def worker_main(self, argv: Any = None) -> None:
        """Run a worker for this app: `app.worker_main(["worker", "-l", "info"])`."""
        argv = list(argv) if argv is not None else sys.argv[1:]
        if "worker" not in argv:
            raise ValueError(f"worker_main({argv!r}): expected the command 'worker' in it, as ['worker', '--loglevel=info']")
        self.start(argv)

    # -- backend and connections -------------------------------------------------------------------------------------------

    @property
    def backend(self) -> Any:
        return Backend(self)

    def connection_for_write(self, url: str | None = None, **kwargs: Any) -> Any:
        """An object with the few methods of a kombu connection that programs ask to see whether the broker is there."""
        return Connection(self)

    connection_for_read = connection = broker_connection = connection_or_acquire = connection_for_write
