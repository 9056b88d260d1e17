"""redis-server without persistence, as Celery's documentation runs it."""

from __future__ import annotations

import functools
import shutil
import socket
import subprocess
from collections.abc import Callable

import machine
from services import Service


class Redis(Service):
    name, told = "redis", "redis-server"
    needs = "apt-get install redis-server (on SQLite only Celery does: --only tidewheel,huey,engine)"

    @classmethod
    def installed(cls) -> bool:
        return shutil.which("redis-server") is not None

    @classmethod
    def version(cls) -> str:
        text = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout
        return "redis-server " + text.partition("v=")[2].partition(" ")[0]

    def _start(self) -> None:
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "", "--appendonly", "no"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self._answering(lambda: self.command("PING"), 10)

    def fresh(self) -> str:
        self.command("FLUSHALL")
        return f"redis://127.0.0.1:{self.port}/0"

    def stored(self) -> int:
        return int(self.command("INFO", "memory").partition("used_memory:")[2].split()[0])

    def cpu(self) -> float:
        return machine.cpu([self.process.pid])

    def counting(self) -> Callable[[], int]:
        """The server tells every command on a connection of its own."""
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.sendall(b"MONITOR\r\n")
        sock.recv(5, socket.MSG_WAITALL)  # +OK and the end of the line
        return functools.partial(_commands, sock)

    def command(self, *words: str) -> str:
        """One command over a plain socket: this process has no Redis client."""
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            sock.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
            answer = sock.makefile("rb")
            head = answer.readline()
            return answer.read(int(head[1:])).decode() if head[:1] == b"$" else head.decode()


def _commands(monitor: socket.socket) -> int:
    """How many commands clients have sent; what scripts call inside the server is not counted. Closes it."""
    told = b""
    with monitor:
        monitor.setblocking(False)
        try:
            while more := monitor.recv(1 << 16):
                told += more
        except BlockingIOError:
            pass
    return sum(b" lua] " not in line[:60] for line in told.splitlines())
