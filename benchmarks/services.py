"""A private redis-server: a free port of 127.0.0.1, a temporary folder, no persistence (as Celery's documentation runs it)."""

from __future__ import annotations

import pathlib
import shutil
import socket
import subprocess
import tempfile
import time


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Redis:
    def __init__(self, root: pathlib.Path) -> None:
        if shutil.which("redis-server") is None:
            raise SystemExit(
                "this needs redis-server: apt-get install redis-server (on SQLite only Celery does: --only tidewheel,huey,engine)"
            )
        self.folder = tempfile.mkdtemp(prefix="redis-", dir=root)
        self.port = free_port()
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "", "--appendonly", "no"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.url = f"redis://127.0.0.1:{self.port}/0"
        for _ in range(200):
            try:
                self.command("PING")
                return
            except OSError:
                time.sleep(0.05)
        raise TimeoutError("redis-server does not answer")

    def command(self, *words: str) -> str:
        """One command over a plain socket: this process has no Redis client."""
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            sock.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
            answer = sock.makefile("rb")
            head = answer.readline()
            return answer.read(int(head[1:])).decode() if head[:1] == b"$" else head.decode()

    def monitor(self) -> socket.socket:
        """A connection on which the server tells every command from now on; for `commands`."""
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.sendall(b"MONITOR\r\n")
        sock.recv(5, socket.MSG_WAITALL)  # +OK and the end of the line
        return sock

    def memory(self) -> int:
        return int(self.command("INFO", "memory").partition("used_memory:")[2].split()[0])

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def commands(monitor: socket.socket) -> int:
    """How many commands clients have sent since `Redis.monitor`; what scripts call inside the server is not counted. Closes it."""
    told = b""
    with monitor:
        monitor.setblocking(False)
        try:
            while more := monitor.recv(1 << 16):
                told += more
        except BlockingIOError:
            pass
    return sum(b" lua] " not in line[:60] for line in told.splitlines())
