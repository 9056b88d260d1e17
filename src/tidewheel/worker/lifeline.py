"""How a child process proves to the other workers of this host that it lives: it holds a lock that the kernel lets go when it dies.

A lock (flock) survives a fork but not an exec, so every process takes one of its own, on a file of its own. Nothing here knows the
engine that asked for it.
"""

from __future__ import annotations

import fcntl
import os


def hold(lifeline: str) -> int:
    """Create and lock `<lifeline>.<pid>`. Returns the descriptor: keep it open for as long as this process may run jobs.

    Raises `OSError` when the folder is gone or the file is locked, which only another process with our pid could have done.
    """
    path = f"{lifeline}.{os.getpid()}"
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            # Between our open and our lock a sweeper may have deleted the file: then we hold a lock that nobody can see.
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except FileNotFoundError:
            pass
        os.close(fd)
