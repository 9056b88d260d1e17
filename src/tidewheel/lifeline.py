"""The sign of life of a process: an exclusive lock on a file of its own. The kernel drops it when the process is gone, however it went.

Immune to clocks, pauses and full disks; no traffic while all is well. It needs one kernel: containers that share a volume on one
host are fine. This module imports nothing of ours, so an executor can hold its lifeline before anything else.
"""

from __future__ import annotations

import os
import threading

__all__ = ["forget", "give_away", "held", "hold", "release", "seize"]

_lock = threading.Lock()
_held: dict[int, str] = {}
"""Descriptor -> path of every lifeline of this process."""


def hold(lifeline: str) -> int:
    """Create and lock `<lifeline>.<pid>`; answers the descriptor, to be kept open for as long as the process lives.

    `lifeline` is what `Consumer.lifeline` says. Call it first thing in a child process. A child of this process that is made by a
    bare fork does not inherit the lock. Raises `OSError`.
    """
    import fcntl  # not at the top: Windows has none, and no engine there hands out a lifeline

    path = f"{lifeline}.{os.getpid()}"
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            give_away(path)
            if _same(fd, path):
                with _lock:
                    _held[fd] = path
                return fd
        except BaseException:
            os.close(fd)
            raise
        # A sweeper that found the file unlocked has just deleted it: that lock would be on nothing.
        os.close(fd)


def held(fd: int) -> bool:
    """Whether the lifeline is still where others look for it; not after somebody emptied the directory."""
    path = _held.get(fd)
    return path is not None and _same(fd, path)


def release(fd: int) -> None:
    """End a lifeline: remove its file, drop the lock."""
    with _lock:
        path = _held.pop(fd, None)
    if path is None:
        return
    if _same(fd, path):
        try:
            os.unlink(path)
        except OSError:
            pass
    os.close(fd)


def forget(fd: int) -> None:
    """Drop the lock and leave the file, as the kernel does for a process that is killed."""
    with _lock:
        _held.pop(fd, None)
    os.close(fd)


def seize(path: str) -> int | None:
    """Take over the lifeline of a dead process: a descriptor that now holds it (close it), or -1 when the file is gone.

    None: a living process holds it, or there is no telling (another user's file, no descriptor left).
    """
    import fcntl

    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return -1
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    if not _same(fd, path):
        os.close(fd)
        return -1
    return fd


def give_away(path: str) -> None:
    """When root made this, let it belong to whom its directory belongs, so that `sudo tidewheel …` shuts nobody out."""
    if os.geteuid() == 0:
        owner = os.stat(os.path.dirname(path))
        if owner.st_uid != 0:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _same(fd: int, path: str) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _after_fork() -> None:
    """A lock belongs to the open file, which a forked child shares: without this a stray grandchild would keep the dead alive."""
    global _lock
    _lock = threading.Lock()
    for fd in list(_held):
        try:
            os.close(fd)
        except OSError:
            pass
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
