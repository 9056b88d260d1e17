"""The shape of the code: who imports whom, how long things are, what is public, what an import costs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import tidewheel

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tidewheel"
FILES = sorted(SOURCE.rglob("*.py"))

FILE_LINES, FILE_HABIT = 600, 400
FUNCTION_LINES = 60
"""A function fits on a screen. Its signature and docstring are not counted: they are for who reads only them."""
IMPORT_RATIO = 2.5
"""`import tidewheel` against `import json, asyncio` in the same process start, best of several."""

PUBLIC = {
    "Abort", "CallNext", "Cancelled", "ConfigurationError", "Context", "HardTimeLimit", "InvalidArguments", "Job", "JobFailed", "Result",
    "Retry", "RetryIn", "Snooze", "SoftTimeLimit", "Task", "Tidewheel", "TidewheelError", "__version__", "current",
}  # fmt: skip

HEAVY = {
    "asyncio", "click", "cronsim", "django", "email", "html", "http", "importlib.metadata", "logging.config", "logging.handlers",
    "multiprocessing", "psycopg", "pydantic", "redis", "sqlite3", "ssl", "tidewheel.backends.memory", "tidewheel.backends.sqlite",
    "tidewheel.celery", "tidewheel.cli", "tidewheel.observe", "tidewheel.pools", "tidewheel.worker", "urllib.request", "xml", "zoneinfo",
}  # fmt: skip


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a file with the number of lines of its body."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            if body:
                yield f"{name(path)}:{node.lineno} {node.name}", (node.end_lineno or 0) - body[0].lineno + 1


def test_layers() -> None:
    """The contracts are in pyproject.toml, and there is no list of exceptions to them."""
    assert "ignore_imports" not in (ROOT / "pyproject.toml").read_text()
    lint = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([lint, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_contracts_are_checked(tmp_path: Path) -> None:
    """A guard has a test that fails without it: the same contracts, over a copy in which core looks at the clock and wire at the app."""
    package = tmp_path / "tidewheel"
    for path in FILES:
        copy = package / path.relative_to(SOURCE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    for module, line in (("core/limits.py", "import time"), ("wire/values.py", "import tidewheel.app"), ("ids.py", "import pickle")):
        with (package / module).open("a") as file:
            file.write(f"\n{line}\n")
    run = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache", "--no-logo",
         "--config", str(ROOT / "pyproject.toml")],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode != 0
    broken = {line.split(":")[0].strip() for line in run.stdout.splitlines() if line.endswith("BROKEN")}
    assert {"layers", "core decides", "no pickle anywhere, and nothing that is pickle under another name BROKEN"} <= broken, run.stdout


def test_files_stay_short() -> None:
    lengths = {name(p): len(p.read_text().splitlines()) for p in FILES}
    for path, lines in lengths.items():
        if lines > FILE_HABIT:
            warnings.warn(f"{path} has {lines} lines; the habit is {FILE_HABIT}", stacklevel=1)
    assert {p: n for p, n in lengths.items() if n > FILE_LINES} == {}


def test_functions_fit_on_a_screen() -> None:
    assert {f: n for path in FILES for f, n in functions(path) if n > FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{name(path)} has no docstring"


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{name(path)}:{node.lineno}"
        for path in FILES
        if SOURCE / "cli" not in path.parents
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "breakpoint")
    ]
    assert printing == []


def test_names_of_modules_say_what_is_in_them() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "handlers", "base", "tools"}
    # What is below tidewheel/celery has the names that code written for Celery imports.
    ours = [p for p in FILES if SOURCE / "celery" not in p.parents]
    assert [name(p) for p in ours if vague & {p.stem, p.parent.name}] == []


def test_public_names() -> None:
    assert set(tidewheel.__all__) == PUBLIC
    assert all(hasattr(tidewheel, n) for n in PUBLIC)


def test_package_says_that_it_is_typed() -> None:
    assert (SOURCE / "py.typed").exists()


def fresh(code: str) -> str:
    """What a new interpreter prints, without site hooks of the test run."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


def test_import_stays_light() -> None:
    code = "import json, sys; before = set(sys.modules); import tidewheel; print(json.dumps(list(set(sys.modules) - before)))"
    loaded = set(json.loads(fresh(code)))
    assert loaded & HEAVY == set()


TIMED = """
import sys, time
def cost(*names):
    begun = time.perf_counter()
    for name in names:
        __import__(name)
    return time.perf_counter() - begun
print({first})
print({second})
"""
OURS, THEIRS = 'cost("tidewheel")', 'cost("json", "asyncio")'


def test_import_stays_fast() -> None:
    """Relative to a part of the standard library that most programs import, so that it holds on any machine."""
    ours = min(float(fresh(TIMED.format(first=OURS, second="0")).split()[0]) for _ in range(5))
    theirs = min(float(fresh(TIMED.format(first=THEIRS, second="0")).split()[0]) for _ in range(5))
    assert ours < IMPORT_RATIO * theirs, f"import tidewheel {ours * 1000:.0f} ms, json and asyncio {theirs * 1000:.0f} ms"
