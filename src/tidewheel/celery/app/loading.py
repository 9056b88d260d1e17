"""Importing what defines an app's tasks, and telling its signals what happens to a worker."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidewheel import events
from tidewheel.celery import signals
from tidewheel.celery.app.request import hostname
from tidewheel.celery.exceptions import ImproperlyConfigured, NotSupported
from tidewheel.locate import prepare

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel
    from tidewheel.celery.app.application import Celery

__all__ = ["Loader", "command_line", "import_related", "set_up_django", "tell_of_workers"]


class Loader:
    """The few things that programs ask of `app.loader`."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def import_default_modules(self) -> None:
        self._app.import_default_modules()

    def import_task_module(self, module: str) -> Any:
        return importlib.import_module(module)

    import_module = import_from_cwd = import_task_module

    def autodiscover_tasks(self, packages: Any, related_name: str | None = "tasks") -> None:
        import_related(packages, related_name)

    @property
    def conf(self) -> Any:
        return self._app.conf


def import_related(packages: Any, related_name: str | None) -> None:
    """Import `<package>.<related_name>` of each package that has one; without a name the packages themselves."""
    if callable(packages):
        packages = packages()
    if packages is None:
        packages = django_packages()
    if isinstance(packages, str):
        packages = [packages]
    for package in packages:
        if not related_name:
            importlib.import_module(package)
            continue
        try:
            found = importlib.import_module(package)
        except ModuleNotFoundError as error:
            raise ImproperlyConfigured(f"autodiscover_tasks: there is no package {package!r}: {error}") from error
        if hasattr(found, "__path__") and importlib.util.find_spec(f"{package}.{related_name}") is not None:
            importlib.import_module(f"{package}.{related_name}")


def django_packages() -> list[str]:
    """The apps of a Django project; none where there is no Django."""
    if not set_up_django():
        return []
    from django.apps import apps

    return [config.name for config in apps.get_app_configs()]


def set_up_django() -> bool:
    """With DJANGO_SETTINGS_MODULE: `django.setup()`, unless it was done or is under way, for tasks import models. False without."""
    if not os.environ.get("DJANGO_SETTINGS_MODULE") or importlib.util.find_spec("django") is None:
        return False
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.insert(0, "")
    prepare()
    return True


# -- what happens to workers ------------------------------------------------------------------------------------------------


def tell_of_workers(app: Celery, native: Tidewheel) -> None:
    """Send Celery's signals of workers, for those of them that somebody listens to. Once for each native app."""
    if getattr(native, "_tells_celery", False):
        return
    native._tells_celery = True  # type: ignore[attr-defined]

    def starting(event: events.WorkerStarting) -> None:
        name = hostname()
        signals.celeryd_init.send(sender=name, instance=None, conf=app.conf, options={})
        signals.celeryd_after_setup.send(sender=name, instance=None, conf=app.conf)
        signals.worker_init.send(sender=None)
        signals.setup_logging.send(sender=None, loglevel=logging.getLogger().level, logfile=None, format="", colorize=False)
        signals.after_setup_logger.send(
            sender=None, logger=logging.getLogger(), loglevel=logging.getLogger().level, logfile=None, format="", colorize=False
        )
        signals.after_setup_task_logger.send(
            sender=None,
            logger=logging.getLogger("celery.task"),
            loglevel=logging.getLogger().level,
            logfile=None,
            format="",
            colorize=False,
        )

    listeners: list[tuple[Any, tuple[signals.Signal, ...], Callable[[Any], None]]] = [
        (
            events.WorkerStarting,
            (
                signals.celeryd_init, signals.celeryd_after_setup, signals.worker_init, signals.setup_logging, signals.after_setup_logger,
                signals.after_setup_task_logger,
            ),
            starting,
        ),
        (events.ExecutorStarted, (signals.worker_process_init,), lambda e: _ignore(signals.worker_process_init.send(sender=None))),
        (
            events.ExecutorEnded,
            (signals.worker_process_shutdown,),
            lambda e: _ignore(signals.worker_process_shutdown.send(sender=None, pid=e.pid, exitcode=0)),
        ),
        (events.WorkerStarted, (signals.worker_ready,), lambda e: _ignore(signals.worker_ready.send(sender=None))),
    ]  # fmt: skip
    for kind, wanted, listener in listeners:
        if any(s.has_listeners() for s in wanted):
            native.events.subscribe(kind, listener)


def _ignore(answers: Any) -> None:
    """What receivers answer."""


# -- the command line ---------------------------------------------------------------------------------------------------------


def command_line(app: Celery, argv: list[str]) -> None:
    """Run the command `tidewheel` on this app. It ends the process, as a command does."""
    entry = next(iter(importlib.metadata.entry_points(group="console_scripts", name="tidewheel")), None)
    if entry is None:
        raise NotSupported("app.start() needs the command tidewheel, which is not installed; run it as python -m tidewheel -A …")
    where = [] if "-A" in argv or any(a.startswith("--app") for a in argv) else ["-A", place_of(app)]
    sys.argv = ["tidewheel", *where, *argv]
    sys.exit(entry.load()())


def place_of(app: Celery) -> str:
    """`module:variable`, for `-A`. Raises `NotSupported` when no imported module has the app."""
    for name, module in list(sys.modules.items()):
        attribute = next((k for k, v in list(getattr(module, "__dict__", {}).items()) if v is app), None)
        if attribute is not None:
            file = getattr(module, "__file__", None)
            spec = getattr(module, "__spec__", None)
            if name == "__main__":
                name = spec.name if spec is not None else Path(file or "").stem
            return f"{name}:{attribute}"
    raise NotSupported("app.start(): no module has this app as a variable, so a worker could not import it")
