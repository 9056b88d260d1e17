"""The user's app: can it be imported, and can the arguments of its tasks be stored and restored?"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tidewheel.cli.checks import Finding, ok, problem, warning

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel
    from tidewheel.task import Task

PLAIN: tuple[Any, ...] = ([], {}, "", 0, 0.0, True, b"", None)
STORABLE = "annotate with a plain type, a dataclass, a msgspec Struct, an attrs class or a pydantic model; or pass an id and look it up"


def tasks(app: Tidewheel) -> Iterator[Finding]:
    """One finding for each task whose annotations cannot be kept, else one for all."""
    found = app.tasks
    if not found:
        yield warning("tasks", "the app has no tasks", "import the modules with your tasks in the module that -A names")
        return
    bad = [finding for name in sorted(found) for finding in _task(found[name])]
    yield from bad
    if not bad:
        yield ok("tasks", f"{len(found)} found, and all their annotations can be converted")


def _task(task: Task[..., Any]) -> Iterator[Finding]:
    try:
        hints = typing.get_type_hints(task.function, include_extras=True)
    except Exception as error:  # whatever user annotations raise
        yield warning(
            "tasks", f"{task.name}: an annotation cannot be resolved ({error}); such arguments are not checked",
            "import the name at run time too, not only under TYPE_CHECKING",
        )  # fmt: skip
        return
    names = list(inspect.signature(task.function).parameters)
    if task.takes_context:
        hints.pop(names[0], None)
    for name, kind in hints.items():
        what = "its value" if name == "return" else f"argument {name!r}"
        for part in sorted(_strangers(kind)):
            yield problem("tasks", f"{task.name}: {what} is annotated with {part}, which cannot be restored from what is stored", STORABLE)


def _strangers(kind: Any) -> set[str]:
    """Names of the types within an annotation that nothing can be converted to."""
    import msgspec.inspect

    if kind in (Any, None, type(None), inspect.Signature.empty, typing.NoReturn):
        return set()
    try:
        root = msgspec.inspect.type_info(kind)
    except (TypeError, NotImplementedError) as error:
        return {f"{kind!r} ({error})"}
    strangers: set[str] = set()
    seen: set[int] = set()
    todo: list[Any] = [root]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, msgspec.inspect.CustomType) and not _known(node.cls):
            strangers.add(f"{node.cls.__module__}.{node.cls.__qualname__}")
        for field in getattr(type(node), "__struct_fields__", ()):
            value = getattr(node, field)
            parts = value if isinstance(value, (list, tuple)) else (value,)
            todo += [p for p in parts if isinstance(p, (msgspec.inspect.Type, msgspec.inspect.Field))]
    return strangers


def _known(cls: Any) -> bool:
    """pydantic models have a way of their own; abstract containers are let through where the value fits."""
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    origin = typing.get_origin(cls) or cls
    if base is not None and isinstance(origin, type) and issubclass(origin, base):
        return True
    return isinstance(origin, type) and any(isinstance(v, origin) for v in PLAIN)
