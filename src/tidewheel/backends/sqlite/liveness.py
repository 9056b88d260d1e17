"""Which workers live: those of whose lifelines at least one is held (`tidewheel.lifeline`). One file per process of a worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tidewheel import lifeline
from tidewheel.backends.sqlite import bells
from tidewheel.backends.sqlite.place import Place


def files(place: Place) -> dict[str, list[str]]:
    """The lifelines by incarnation."""
    found: dict[str, list[str]] = {}
    try:
        names = os.listdir(place.workers)
    except FileNotFoundError:
        return {}
    for name in sorted(names):
        found.setdefault(name.partition(".")[0], []).append(f"{place.workers}/{name}")
    return found


@contextmanager
def grave(paths: list[str]) -> Iterator[bool]:
    """Whether all of these lifelines are dead. If so they stay seized within, so that nobody else acts on it too, and go afterwards."""
    seized: list[tuple[str, int]] = []
    dead = True
    try:
        for path in paths:
            fd = lifeline.seize(path)
            if fd is None:
                dead = False
                break
            if fd >= 0:
                seized.append((path, fd))
        yield dead
        if dead:
            for path, _ in seized:
                bells.remove(path)
    finally:
        for _, fd in seized:
            os.close(fd)


def lives(paths: list[str]) -> bool:
    """Whether any of these lifelines is held."""
    for path in paths:
        fd = lifeline.seize(path)
        if fd is None:
            return True
        if fd >= 0:
            os.close(fd)
    return False
