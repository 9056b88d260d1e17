"""Signatures: a call as a value, that can be sent later or hung on another one. Chains, groups and chords are not there yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from tidewheel.celery._state import app_or_default
from tidewheel.celery.exceptions import NotSupported
from tidewheel.celery.utils import uuid

if TYPE_CHECKING:
    from tidewheel.celery.app.application import Celery

__all__ = ["Signature", "chain", "chord", "chunks", "group", "maybe_signature", "signature", "subtask", "xmap", "xstarmap"]


def _field(name: str, doc: str) -> Any:
    def read(self: Signature) -> Any:
        return self.get(name)

    def write(self: Signature, value: Any) -> None:
        self[name] = value

    return property(read, write, doc=doc)


class Signature(dict[str, Any]):
    """A task's name, arguments and options. It is a dict, so that it can be stored and sent."""

    _app: Celery | None = None
    TYPES: ClassVar[dict[str, Any]] = {}

    task = _field("task", "The task's name.")
    args = _field("args", "Positional arguments.")
    kwargs = _field("kwargs", "Named arguments.")
    options = _field("options", "What `apply_async` takes.")
    subtask_type = _field("subtask_type", "Of a chain, group or chord; here always None.")
    immutable = _field("immutable", "Whether it takes no further arguments.")

    def __init__(
        self, task: Any = None, args: Any = None, kwargs: Any = None, options: Any = None, type: Any = None, subtask_type: Any = None,
        immutable: bool = False, app: Celery | None = None, **more: Any,
    ) -> None:  # fmt: skip
        self.__dict__["_app"] = app
        if isinstance(task, Mapping):
            super().__init__(task)
            if isinstance(task, Signature) and app is None:
                self.__dict__["_app"] = task._app
            return
        super().__init__(
            task=task if isinstance(task, str) else getattr(task, "name", None), args=tuple(args or ()), kwargs=dict(kwargs or {}),
            options={**(options or {}), **more}, subtask_type=subtask_type, immutable=immutable,
        )  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], app: Celery | None = None) -> Signature:
        if values.get("subtask_type"):
            _not_yet(str(values["subtask_type"]))
        found = Signature(values, app=app)
        found["args"] = tuple(values.get("args") or ())
        found["kwargs"] = dict(values.get("kwargs") or {})
        found["options"] = dict(values.get("options") or {})
        return found

    @property
    def app(self) -> Celery:
        return app_or_default(self._app)

    @property
    def type(self) -> Any:
        return self.app.tasks[self["task"]]

    @property
    def name(self) -> Any:
        return self["task"]

    @property
    def id(self) -> Any:
        return self["options"].get("task_id")

    # -- sending ----------------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the task's function here and now."""
        args, kwargs, _ = self._merge(args, kwargs, {}, force=False)
        return self.type(*args, **kwargs)

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        return self.apply_async(args, kwargs)

    def apply_async(self, args: Any = (), kwargs: Any = None, route_name: str | None = None, **options: Any) -> Any:
        """Send it. Arguments given here stand before those that it has."""
        args, kwargs, options = self._merge(args, kwargs, options)
        task = self.app.tasks.get(self["task"])
        if task is not None:
            return task.apply_async(args, kwargs, **options)
        return self.app.send_task(self["task"], args, kwargs, **options)

    def apply(self, args: Any = (), kwargs: Any = None, **options: Any) -> Any:
        args, kwargs, options = self._merge(args, kwargs, options)
        return self.type.apply(args, kwargs, **options)

    def prepared(self, args: Any = (), kwargs: Any = None, **options: Any) -> Any:
        """Tidewheel's own call, not published yet."""
        args, kwargs, merged = self._merge(args, kwargs, options)
        return self.app.call(self["task"], args, kwargs, **merged)

    def _merge(self, args: Any, kwargs: Any, options: Mapping[str, Any], *, force: bool = False) -> tuple[Any, Any, dict[str, Any]]:
        both = {**self["options"], **options}
        if self["immutable"] and not force:
            return self["args"], self["kwargs"], both
        return (*tuple(args or ()), *self["args"]), {**self["kwargs"], **(kwargs or {})}, both

    # -- changing ---------------------------------------------------------------------------------------------------------

    def clone(self, args: Any = (), kwargs: Any = None, **options: Any) -> Signature:
        """A copy, with more arguments and options."""
        args, kwargs, options = self._merge(args, kwargs, options)
        copy = Signature(self)
        copy.update(args=tuple(args), kwargs=dict(kwargs), options=options)
        return copy

    partial = clone

    def replace(self, args: Any = None, kwargs: Any = None, options: Any = None) -> Signature:
        """A copy with other arguments."""
        copy = self.clone()
        for name, value in (("args", args), ("kwargs", kwargs), ("options", options)):
            if value is not None:
                copy[name] = value
        return copy

    def set(self, immutable: bool | None = None, **options: Any) -> Signature:
        """Change options; answers itself."""
        if immutable is not None:
            self.set_immutable(immutable)
        self["options"].update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        self["immutable"] = immutable

    def freeze(self, _id: str | None = None, **options: Any) -> Any:
        """Give it its task id now; answers the result it will have."""
        self["options"].update({k: v for k, v in options.items() if v is not None})
        task_id = self["options"].setdefault("task_id", _id or uuid())
        return self.app.AsyncResult(task_id)

    def link(self, callback: Any) -> Any:
        """Send this one when the task has succeeded, with its value as the first argument."""
        return self._append("link", callback)

    def link_error(self, errback: Any) -> Any:
        """Send this one when the task has failed."""
        return self._append("link_error", errback)

    def on_error(self, errback: Any) -> Signature:
        self.link_error(errback)
        return self

    def _append(self, name: str, value: Any) -> Any:
        items = list(listed(self["options"].get(name)) or [])
        if value not in items:
            items.append(value)
        self["options"][name] = items
        return value

    def flatten_links(self) -> list[Any]:
        found = [self]
        for link in listed(self["options"].get("link")) or []:
            found += maybe_signature(link, self.app).flatten_links()
        return found

    def __or__(self, other: Any) -> NoReturn:
        _not_yet("chain", "the operator | ")

    __ror__ = __or__

    def __invert__(self) -> Any:
        """Send it and wait for its value."""
        return self.apply_async().get()

    def __deepcopy__(self, memo: Any) -> Signature:
        return self.clone()

    def __reduce__(self) -> Any:
        return Signature.from_dict, (dict(self),)

    def __json__(self) -> dict[str, Any]:
        return dict(self)

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        args, kwargs, _ = self._merge(args, kwargs, {}, force=True)
        return f"{self['task']}({', '.join([*map(repr, args), *(f'{k}={v!r}' for k, v in kwargs.items())])})"

    def __repr__(self) -> str:
        return self.reprcall()


def signature(varies: Any, *args: Any, **kwargs: Any) -> Signature:
    """A signature of a task (or of a name), or a copy of one."""
    app = kwargs.get("app")
    if isinstance(varies, Signature):
        return varies.clone()
    if isinstance(varies, Mapping):
        return Signature.from_dict(varies, app=app)
    return Signature(varies, *args, **kwargs)


subtask = signature


def maybe_signature(value: Any, app: Celery | None = None, clone: bool = False) -> Any:
    """A signature of what is one, or is stored as one; None for None."""
    if value is None:
        return None
    if isinstance(value, Signature):
        found = value.clone() if clone else value
    elif isinstance(value, Mapping):
        found = Signature.from_dict(value, app=app)
    else:
        return value
    if app is not None and found._app is None:
        found.__dict__["_app"] = app
    return found


def listed(value: Any) -> list[Any] | None:
    """`link=` takes one signature, or several."""
    if not value:
        return None
    return list(value) if isinstance(value, (list, tuple)) else [value]


INSTEAD = {
    "chain": "send the next task at the end of the one before it, or with link=",
    "group": "send the tasks in a loop, and keep their results in a ResultSet",
    "chord": "count what is done in your database, and let the last task send the next one",
    "chunks": "send one task for each slice of the list, in a loop",
    "xmap": "call the function in a loop, or send one task for each value",
    "xstarmap": "call the function in a loop, or send one task for each value",
}


def _not_yet(name: str, what: str = "") -> NoReturn:
    raise NotSupported(f"{what}({name}) is not there yet: {INSTEAD.get(name, 'send the tasks one by one')}" if what else
                       f"{name} is not there yet: {INSTEAD.get(name, 'send the tasks one by one')}")  # fmt: skip


class _NotYet(Signature):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _not_yet(type(self).__name__)


class chain(_NotYet):
    """Tasks one after the other. Not there yet: making one raises `NotSupported`."""


class group(_NotYet):
    """Tasks side by side. Not there yet."""


class chord(_NotYet):
    """Tasks side by side, and one at their end. Not there yet."""


class chunks(_NotYet):
    """A list in slices. Not there yet."""


class xmap(_NotYet):
    """Not there yet."""


class xstarmap(_NotYet):
    """Not there yet."""
