"""A wake-up for a thread that waits on sockets."""

from __future__ import annotations

import os


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
