"""Finds the app that `-A` names, as Celery finds it: `module`, `module:attribute`, or a package with a `.celery`/`.app` sub-module.

What is found there is a `Tidewheel`, or any object that offers one: whose class has a method `__tidewheel__()` that answers it. The
method is called once the app is needed, and may import what defines its tasks.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tidewheel.errors import ConfigurationError

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel

PROTOCOL = "__tidewheel__"
FRAMEWORKS = {"DJANGO_SETTINGS_MODULE": ("django", "tidewheel.django.process")}
"""Whose environment variable is set, that has to be set up before the app's modules can be imported: its library, and by name, for it is
above this module as engines are above the app, a module with `prepare()` (called before, any number of times) and `adopt(app)`."""
SUBMODULES = ("celery", "tidewheel_app", "app")


def locate(where: str) -> Tidewheel:
    """Import and return the app. The working directory is importable. Raises `ConfigurationError` that says what was looked for."""
    if "" not in sys.path and "." not in sys.path:
        sys.path.insert(0, "")
    name, _, attribute = where.partition(":")
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(f"-A {where!r}: expected the name of a module, as in `import`{_suggestion(name)}")
    prepare()
    app = _find(name, attribute, where)
    for framework in _frameworks():
        framework.adopt(app)
    return app


def _frameworks() -> list[Any]:
    used = [(library, module) for variable, (library, module) in FRAMEWORKS.items() if os.environ.get(variable)]
    return [importlib.import_module(module) for library, module in used if importlib.util.find_spec(library) is not None]


def prepare() -> None:
    """Set up the frameworks whose environment variables are set, so that an app's modules can be imported. Repeating it is harmless."""
    for framework in _frameworks():
        framework.prepare()


def _find(name: str, attribute: str, where: str) -> Tidewheel:
    module = _import(name, where)
    if attribute:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part, None)
        if found is None:
            raise ConfigurationError(f"-A {where}: module {name!r} has no attribute {attribute!r}")
        if not _is_app(found):
            raise ConfigurationError(f"-A {where}: {attribute!r} is a {type(found).__name__}, not a Tidewheel app")
        return _native(found)
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
    return _native(app)


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


def _in_module(module: ModuleType) -> Any:
    """What is an app in this module, or offers one; None when there is nothing."""
    for name in ("app", "tidewheel", "celery"):
        if _is_app(getattr(module, name, None)):
            return getattr(module, name)
    found = [v for v in vars(module).values() if _is_app(v)]
    if len({id(v) for v in found}) > 1:
        raise ConfigurationError(f"module {module.__name__!r} holds several Tidewheel apps; name one: -A {module.__name__}:variable")
    return found[0] if found else None


def _is_app(thing: object) -> bool:
    # By name: the app is above this module. A subclass is one too. On the class, for an object may answer to any name (a proxy, a mock).
    return hasattr(type(thing), PROTOCOL) or _is_native(thing)


def _native(found: Any) -> Tidewheel:
    prepare()  # once more: the module may have named the settings itself
    return found if _is_native(found) else getattr(found, PROTOCOL)()  # type: ignore[no-any-return]


def _is_native(thing: object) -> bool:
    return any(c.__module__ == "tidewheel.app" and c.__qualname__ == "Tidewheel" for c in type(thing).__mro__)
