"""How the documentation is run. The convention, for who writes a page:

Each page is run from top to bottom in an empty folder of its own, with the default broker (a SQLite file in that folder).

```python      run in the page's one interpreter. When its first line is a comment with a file name (`# tasks.py`), it becomes
               that file instead.
```console     lines that begin with `$ ` are run by bash. A last `&` leaves the command running until the end of the page (a worker).
               Lines below a command are its output; `…` stands for anything.
```text        straight after a python block: what it prints.
other blocks   are only shown.

A block below the line `<!-- not run: reason -->` is only shown.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md"] + [
    page for room in ("tutorial", "howto", "reference", "explanation") for page in sorted((ROOT / "docs" / room).glob("*.md"))
]
TIMEOUT = 60.0
FENCE = re.compile(r"(?:<!-- not run: (?P<why>.*?) -->\n)?^```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

INTERPRETER = """
import contextlib, io, json, sys, traceback
sys.path.insert(0, "")
space = {"__name__": "page"}
for line in sys.stdin:
    job, out, error = json.loads(line), io.StringIO(), None
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(job["code"], job["name"], "exec"), space)
        except BaseException:
            error = traceback.format_exc()
    print(json.dumps({"out": out.getvalue(), "error": error}), flush=True)
"""


@dataclass
class Block:
    language: str
    text: str
    line: int
    why_not: str | None
    follows: Block | None
    """The block before it, when nothing stands between."""


def blocks(text: str) -> list[Block]:
    found: list[Block] = []
    end = 0
    for match in FENCE.finditer(text):
        before = found[-1] if found and not text[end : match.start()].strip() else None
        line = text.count("\n", 0, match.start("text"))
        found.append(Block(match["language"], match["text"], line, match["why"], before))
        end = match.end()
    return found


def _is_run(block: Block | None) -> bool:
    return block is not None and block.language == "python" and block.why_not is None


class Page:
    """One page under way."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("TIDEWHEEL", "PYTEST"))}
        self.environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1", "COLUMNS": "160",
            "NO_COLOR": "1", "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        self.printed = ""
        self._python: subprocess.Popen[str] | None = None
        self._left_running: list[tuple[subprocess.Popen[bytes], Path]] = []

    def run(self) -> None:
        try:
            for block in blocks(self.path.read_text()):
                self._block(block)
        finally:
            self.close()

    def _block(self, block: Block) -> None:
        if block.why_not is not None:
            return
        where = f"{self.path.relative_to(ROOT)}:{block.line}"
        if block.language == "python":
            named = re.match(r"# ([\w/]+\.py)\n", block.text)
            if named:
                target = self.folder / named[1]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text)
            else:
                self.printed = self._execute(block.text, where)
        elif block.language == "text" and _is_run(block.follows):
            compare(block.text, self.printed, where)
        elif block.language == "console":
            for number, (command, expected) in enumerate(commands(block.text)):
                output = self._shell(command, f"{where} (command {number + 1})")
                if expected.strip():
                    compare(expected, output, where)

    def _execute(self, code: str, where: str) -> str:
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, "-c", INTERPRETER], cwd=self.folder, env=self.environment, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        self._python.stdin.write(json.dumps({"code": code, "name": where}) + "\n")
        self._python.stdin.flush()
        answer = json.loads(self._python.stdout.readline() or '{"out": "", "error": "the interpreter ended"}')
        assert answer["error"] is None, f"{where}\n{answer['error']}{self._logs()}"
        return str(answer["out"])

    def _shell(self, command: str, where: str) -> str:
        if command.endswith("&"):
            log = self.folder / f".left-running-{len(self._left_running)}.log"
            with log.open("wb") as file:
                process = subprocess.Popen(
                    ["bash", "-c", "exec " + command.removesuffix("&")], cwd=self.folder, env=self.environment, stdout=file, stderr=file
                )
            self._left_running.append((process, log))
            return ""
        run = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=TIMEOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        wanted = re.search(r"# exit (\d+)$", command)
        assert run.returncode == (int(wanted[1]) if wanted else 0), f"{where}: {command}\n{run.stdout}{self._logs()}"
        return run.stdout

    def _logs(self) -> str:
        return "".join(f"\n--- {process.args[2]}\n{log.read_text()}" for process, log in self._left_running)  # type: ignore[index]

    def close(self) -> None:
        for process, _ in self._left_running:
            process.send_signal(signal.SIGTERM)
        if self._python is not None and self._python.stdin is not None:
            self._python.stdin.close()
        deadline = time.monotonic() + 30
        for process in [p for p, _ in self._left_running] + ([self._python] if self._python is not None else []):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with the output shown below it; `\\` continues a command."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        command = [lines.pop(0)]
        while command[-1].endswith("\\"):
            command.append(lines.pop(0))
        yield "\n".join(command).strip(), "\n".join(lines)


def compare(expected: str, found: str, where: str) -> None:
    """`…` stands for anything within the text; blanks at the ends of lines and the widths of gaps do not matter."""
    pattern = r"[\s\S]*?".join(re.escape(part) for part in re.sub(r"[ \t]+", " ", expected.strip()).split("…"))
    actual = re.sub(r"[ \t]+", " ", re.sub(r"[ \t]+$", "", found.strip(), flags=re.MULTILINE))
    assert re.fullmatch(pattern, actual), f"{where}: the page shows\n\n{expected.strip()}\n\nand it was\n\n{found.strip()}"
