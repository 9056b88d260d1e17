"""Starts `demo.py` as a person does, for the tests of this folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "mydemo"


def environment(folder: Path) -> dict[str, str]:
    """The caller's, with nothing set for the demo; whatever it keeps, it keeps in this folder."""
    mine = ("MYDEMO_", "TIDEWHEEL_", "DJANGO_", "PYTHONWARNINGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(mine)} | {"TMPDIR": str(folder)}


class Demo:
    """The demo, running."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.said = ""
        assert process.stdout is not None
        for line in process.stdout:
            self.said += line
            if "Ctrl-C" in line:
                break
        addresses = list(dict.fromkeys(re.findall(r"http://127\.0\.0\.1:\d+", self.said)))
        assert len(addresses) >= 2, self.said
        self.site, self.mailbox = [a for a in addresses if f"   {a}" in self.said][:2]

    def end(self, signum: int = signal.SIGINT) -> int:
        """As Ctrl-C does. Returns the exit status."""
        self.process.send_signal(signum)
        return self.wait()

    def wait(self) -> int:
        self.said += self.process.communicate(timeout=60)[0]
        return self.process.returncode

    def programs(self) -> dict[int, str]:
        """The processes that work in the demo's folder, and their command lines."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and str(self.folder).encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # ended meanwhile, or not ours
                continue
        found.pop(self.process.pid, None)
        return found


@contextmanager
def demo(folder: Path) -> Iterator[Demo]:
    process = subprocess.Popen(
        [sys.executable, "demo.py"], cwd=EXAMPLE, env=environment(folder), text=True, encoding="utf-8",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield Demo(process, folder)
    finally:
        if process.poll() is None:
            process.terminate()  # which it takes as Ctrl-C, and ends its programs
            process.communicate(timeout=60)
