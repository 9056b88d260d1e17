"""Stand-ins: an object that is whatever a function answers at the moment it is used, as `current_app` is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Proxy"]


class Proxy:
    """Passes everything on to what `find()` answers."""

    __slots__ = ("__find",)

    def __init__(self, find: Callable[[], Any]) -> None:
        object.__setattr__(self, "_Proxy__find", find)

    def _get_current_object(self) -> Any:
        return object.__getattribute__(self, "_Proxy__find")()

    # So that isinstance() sees what is behind it.
    __class__: Any = property(lambda self: self._get_current_object().__class__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._get_current_object(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._get_current_object(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._get_current_object(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._get_current_object()(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self._get_current_object())

    def __str__(self) -> str:
        return str(self._get_current_object())

    def __bool__(self) -> bool:
        return bool(self._get_current_object())

    def __eq__(self, other: object) -> bool:
        if type(other) is Proxy:
            other = other._get_current_object()
        return bool(self._get_current_object() == other)

    def __hash__(self) -> int:
        return hash(self._get_current_object())

    def __dir__(self) -> list[str]:
        return dir(self._get_current_object())

    def __getitem__(self, key: Any) -> Any:
        return self._get_current_object()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._get_current_object())

    def __len__(self) -> int:
        return len(self._get_current_object())

    def __contains__(self, key: Any) -> bool:
        return key in self._get_current_object()

    def __or__(self, other: Any) -> Any:
        return self._get_current_object() | other
