"""Forks. A child that went on with its parent's connections would mix up their answers: stores are told, so that it makes its own."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Store(Protocol):
    def after_fork(self) -> None:
        """Forget every connection, without a word to the server: it is the parent's."""
        ...


_stores: weakref.WeakSet[Store] = weakref.WeakSet()


def tell(store: Store) -> None:
    """Tell this store in every forked child, for as long as it is there."""
    _stores.add(store)


def _after_fork() -> None:
    for store in list(_stores):
        store.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
