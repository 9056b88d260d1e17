"""Broadcasts within this process."""

from __future__ import annotations

from collections.abc import Callable

from tidewheel.backends.memory.store import Store


class Broadcaster:
    """See `tidewheel.contract.Broadcaster`. It calls the listeners in the sender's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def send(self, message: bytes) -> int:
        with self._store.saying:
            listeners = list(self._store.listeners.values())
            for heard in listeners:
                heard(message)
            return len(listeners)

    def listen(self, heard: Callable[[bytes], None]) -> Callable[[], None]:
        key = object()
        with self._store.saying:
            self._store.listeners[key] = heard

        def end() -> None:
            with self._store.saying:
                self._store.listeners.pop(key, None)

        return end
