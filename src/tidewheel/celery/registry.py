"""The tasks of an app, by name."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from tidewheel.celery.exceptions import NotRegistered

if TYPE_CHECKING:
    from tidewheel.celery.app.application import Celery

__all__ = ["TaskRegistry"]


class TaskRegistry(MutableMapping[str, Any]):
    """`app.tasks`. Raises `NotRegistered` (a `KeyError`) for a name that is none."""

    NotRegistered = NotRegistered

    def __init__(self, app: Celery) -> None:
        self._app = app
        self.data: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        try:
            return self.data[name]
        except KeyError:
            raise NotRegistered(name) from None

    def __setitem__(self, name: str, task: Any) -> None:
        task.name = name
        self._app.register_task(task)

    def __delitem__(self, name: str) -> None:
        try:
            del self.data[name]
        except KeyError:
            raise NotRegistered(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"<TaskRegistry: {', '.join(sorted(self.data))}>"

    def register(self, task: Any) -> Any:
        return self._app.register_task(task)

    def unregister(self, name: Any) -> None:
        del self[getattr(name, "name", name)]

    def regular(self) -> dict[str, Any]:
        return dict(self.data)

    def periodic(self) -> dict[str, Any]:
        return {}
