"""Finds the app that `-A` names, as Celery finds it: `module`, `module:attribute`, or a package with a `.celery`/`.app` sub-module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tidewheel.errors import ConfigurationError

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel

SUBMODULES = ("celery", "tidewheel_app", "app")


def locate(where: str) -> Tidewheel:
    """Import and return the app. The working directory is importable. Raises `ConfigurationError` that says what was looked for."""
    if "" not in sys.path and "." not in sys.path:
        sys.path.insert(0, "")
    name, _, attribute = where.partition(":")
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(f"-A {where!r}: expected the name of a module, as in `import`{_suggestion(name)}")
    module = _import(name, where)
    if attribute:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part, None)
        if found is None:
            raise ConfigurationError(f"-A {where}: module {name!r} has no attribute {attribute!r}")
        if not _is_app(found):
            raise ConfigurationError(f"-A {where}: {attribute!r} is a {type(found).__name__}, not a Tidewheel app")
        return found  # type: ignore[no-any-return]
    app = _in_module(module)
    if app is None and hasattr(module, "__path__"):
        for sub in SUBMODULES:
            if importlib.util.find_spec(f"{name}.{sub}") is not None:
                app = _in_module(_import(f"{name}.{sub}", where))
                if app is not None:
                    break
    if app is None:
        raise ConfigurationError(
            f"-A {where}: no Tidewheel app in module {name!r}; expected a variable such as `app = Tidewheel()` there"
            + (f" or in one of its sub-modules {', '.join(SUBMODULES)}" if hasattr(module, "__path__") else "")
            + ", or name it: -A module:variable"
        )
    return app


def _suggestion(path: str) -> str:
    """What `-A` would be for a file name."""
    name = path.removeprefix("./").removesuffix(".py").strip("/").replace("/", ".")
    return f"; for this file: -A {name}" if all(part.isidentifier() for part in name.split(".")) else ""


def _import(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigurationError(
                f"-A {where}: there is no module {error.name!r} here; run the command from the folder that holds it, or set PYTHONPATH"
            ) from None
        raise


def _in_module(module: ModuleType) -> Tidewheel | None:
    for name in ("app", "tidewheel", "celery"):
        if _is_app(getattr(module, name, None)):
            return getattr(module, name)  # type: ignore[no-any-return]
    found = [v for v in vars(module).values() if _is_app(v)]
    if len({id(v) for v in found}) > 1:
        raise ConfigurationError(f"module {module.__name__!r} holds several Tidewheel apps; name one: -A {module.__name__}:variable")
    return found[0] if found else None


def _is_app(thing: object) -> bool:
    # By name: the app is above this module. A subclass is one too.
    return any(c.__module__ == "tidewheel.app" and c.__qualname__ == "Tidewheel" for c in type(thing).__mro__)
