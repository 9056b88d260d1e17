"""Where executors come from: forked off a forkserver, spawned one by one, or living in this very process.

A crew hands out the worker's end of an executor's socket, tells which executors have exited and how, and can signal them. It knows
nothing of jobs. Its `control` socket, where it has one, is read by whoever runs the hub.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tidewheel.errors import ConfigurationError
from tidewheel.worker.frames import Decoder, Exited, Fork, Forked, FromForkserver, ImportFailed, Manifest, Quit, frame

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel
    from tidewheel.worker.executor import Executor

SNDBUF = 1 << 20
"""A socket's default buffer holds only some 280 small outcomes; with more an executor need not wait for a worker that is settling."""


class AppBroken(ConfigurationError):
    """The app could not be imported. `usage`: `-A` itself is wrong."""

    def __init__(self, text: str, *, usage: bool) -> None:
        super().__init__(text)
        self.usage = usage


class Crew(Protocol):
    @property
    def control(self) -> socket.socket | None:
        """Readable when there is something to `poll`."""
        ...

    def begin(self) -> None:
        """Start importing the app, not here. From a thread that lives as long as the worker: the kernel ends a forkserver whose parent
        *thread* has ended."""
        ...

    def start(self) -> Manifest:
        """Wait until the app is imported and tell what it is. Raises `AppBroken`."""
        ...

    def launch(self, number: int) -> socket.socket:
        """The worker's end of a new executor's socket."""
        ...

    def poll(self) -> Sequence[Exited]:
        """Who has exited since the last call. Raises `ForkserverGone` when there will be no more executors from here."""
        ...

    def pid(self, number: int) -> int | None: ...

    def kill(self, number: int, sig: int) -> None: ...

    def close(self) -> None: ...


class ForkserverGone(Exception):
    """The forkserver died, and took its executors along."""


def _pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SNDBUF)
    return ours, theirs


def _manifest_from(sock: socket.socket, decoder: Decoder, process: subprocess.Popen[bytes], where: str) -> Manifest:
    while data := sock.recv(65_536):
        for message in decoder.feed(data):
            if isinstance(message, Manifest):
                return message
            if isinstance(message, ImportFailed):
                raise AppBroken(message.text, usage=message.usage)
    status = process.wait()
    raise AppBroken(f"-A {where}: the process that imported it ended ({exit_text(status)}) before it could say what is in it", usage=False)


def exit_text(status: int | None) -> str:
    """How a process ended, in words."""
    if status is None:
        return "it is gone"
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        return f"signal {-status}"


class ForkCrew:
    """One forkserver. `entry` is the command line of the process that calls `forkserver.serve`, before its own arguments."""

    def __init__(self, where: str, entry: Sequence[str]) -> None:
        self._where = where
        self._entry = tuple(entry)
        self._pids: dict[int, int] = {}
        self._gone = False
        self.control: socket.socket | None = None

    def begin(self) -> None:
        if self.control is not None:
            self.control.close()
        self.control, theirs = socket.socketpair()
        self._decoder = Decoder(FromForkserver)
        self._pids = {}
        self._gone = False
        self._process = subprocess.Popen(
            [*self._entry, "forkserver", str(theirs.fileno()), str(os.getpid()), self._where], pass_fds=(theirs.fileno(),), process_group=0
        )
        theirs.close()

    def start(self) -> Manifest:
        if self.control is None or self._gone:
            self.begin()
        assert self.control is not None
        return _manifest_from(self.control, self._decoder, self._process, self._where)

    def launch(self, number: int) -> socket.socket:
        assert self.control is not None
        ours, theirs = _pair()
        try:
            socket.send_fds(self.control, [frame([Fork(number)])], [theirs.fileno()])
        except OSError:
            pass  # its end is about to be read from the control socket, and both sockets then say the same
        theirs.close()
        return ours

    def poll(self) -> Sequence[Exited]:
        assert self.control is not None
        try:
            data = self.control.recv(65_536)
        except OSError:
            data = b""
        if not data:
            self._process.wait()
            self._gone = True
            raise ForkserverGone(exit_text(self._process.returncode))
        out = []
        for message in self._decoder.feed(data):
            if isinstance(message, Forked):
                self._pids[message.number] = message.pid
            elif isinstance(message, Exited):
                out.append(message)
        return out

    def pid(self, number: int) -> int | None:
        return self._pids.get(number)

    def kill(self, number: int, sig: int) -> None:
        pid = self._pids.get(number)
        if pid is not None:
            _signal(pid, sig)

    def close(self) -> None:
        if self.control is None:
            return
        try:
            self.control.sendall(frame([Quit()]))
        except OSError:
            pass
        self.control.close()
        self.control = None
        _end(self._process)


class SpawnCrew:
    """Every executor is a process of its own that imports the app: where there is no fork, or where the app cannot bear one."""

    def __init__(self, where: str, entry: Sequence[str]) -> None:
        self._where = where
        self._entry = tuple(entry)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._spare: tuple[socket.socket, subprocess.Popen[bytes]] | None = None
        self.control: socket.socket | None = None

    def begin(self) -> None:
        self._spare = self._spawn()

    def _spawn(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        ours, theirs = _pair()
        process = subprocess.Popen(
            [*self._entry, "executor", str(theirs.fileno()), str(os.getpid()), self._where], pass_fds=(theirs.fileno(),), process_group=0
        )
        theirs.close()
        return ours, process

    def start(self) -> Manifest:
        if self._spare is None:
            self.begin()
        assert self._spare is not None
        sock, process = self._spare
        return _manifest_from(sock, Decoder(FromForkserver), process, self._where)

    def launch(self, number: int) -> socket.socket:
        sock, process = self._spare or self._spawn()
        self._spare = None
        self._processes[number] = process
        return sock

    def poll(self) -> Sequence[Exited]:
        out = []
        for number, process in list(self._processes.items()):
            status = process.poll()
            if status is not None:
                del self._processes[number]
                out.append(Exited(process.pid, status))
        return out

    def pid(self, number: int) -> int | None:
        process = self._processes.get(number)
        return None if process is None else process.pid

    def kill(self, number: int, sig: int) -> None:
        process = self._processes.get(number)
        if process is not None:
            process.send_signal(sig)

    def close(self) -> None:
        if self._spare is not None:
            self._spare[0].close()
            _end(self._spare[1])
        for process in self._processes.values():
            _end(process)


class InlineCrew:
    """One executor in this process. `run` is called on the thread on which jobs shall run, and returns when the worker has stopped."""

    control: socket.socket | None = None

    def __init__(self, app: Tidewheel) -> None:
        self._app = app
        self._executor: Executor | None = None
        self._launched = threading.Event()

    def begin(self) -> None:
        """The app is imported already."""

    def start(self) -> Manifest:
        from tidewheel.worker.forkserver import manifest

        return manifest(self._app)

    def launch(self, number: int) -> socket.socket:
        from tidewheel.worker.executor import Executor  # only here: the worker itself runs no job

        ours, theirs = _pair()
        self._executor = Executor(self._app, theirs, inline=True)
        self._launched.set()
        return ours

    def run(self) -> None:
        self._launched.wait()
        if self._executor is not None:
            self._executor.run()

    def poll(self) -> Sequence[Exited]:
        return ()

    def pid(self, number: int) -> int | None:
        return None

    def kill(self, number: int, sig: int) -> None:
        """A thread cannot be killed: a run that ignores its interruption holds the worker up, which is why this is for debugging."""

    def close(self) -> None:
        self._launched.set()


def _signal(pid: int, sig: int) -> None:
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass


def _end(process: subprocess.Popen[bytes], patience: float = 2.0) -> None:
    """Wait for a child that was told to end; then kill it."""
    deadline = time.monotonic() + patience
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
