"""Waiting on sockets, and being woken from it."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence


class Alarm:
    """A pipe that is readable from `ring` until it was heard. Any thread may ring; needs no server."""

    def __init__(self) -> None:
        self._read = self._write = -1
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    @property
    def fd(self) -> int:
        return self._read

    def ring(self) -> None:
        try:
            os.write(self._write, b"!")
        except OSError:
            pass  # full: it is ringing already. Closed: nobody waits any more.

    def clear(self) -> None:
        """Only when it rings. One read: under eventlet a second one, of an empty pipe, would wait for the next ring."""
        try:
            os.read(self._read, 4096)
        except OSError:
            pass

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        read, write, self._read, self._write = self._read, self._write, -1, -1
        for fd in (read, write):
            if fd >= 0:
                os.close(fd)


def readable(fds: Sequence[int], timeout: float) -> set[int]:
    """Those that can be read within `timeout` seconds; returns with the first. Closed ones (-1) are left out."""
    if not hasattr(select, "poll"):  # eventlet takes away what would block; its own select has no limit at 1024
        return set(select.select([fd for fd in fds if fd >= 0], [], [], max(0.0, timeout))[0])
    poll = select.poll()
    for fd in fds:
        if fd >= 0:
            poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(max(0.0, timeout) * 1000)}
