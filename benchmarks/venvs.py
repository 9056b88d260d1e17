"""A virtual environment for each peer, made on first use under `$BENCH_ROOT` (by default in the temporary folder); a copy of our source."""

from __future__ import annotations

import compileall
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = pathlib.Path(os.environ.get("BENCH_ROOT") or pathlib.Path(tempfile.gettempdir()) / "tidewheel-bench")
QUIET = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
"""For pip."""


def environment(name: str, packages: list[str]) -> pathlib.Path:
    """The environment's folder. Delete it to have it made again with newer packages."""
    path = ROOT / "venv" / name
    packages = packages or our_dependencies()
    made, wanted = path / "made", "\n".join(packages)
    if not made.exists():
        shutil.rmtree(path, ignore_errors=True)
        print(f"making the environment of {name} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", path], check=True)
    if not made.exists() or made.read_text() != wanted:
        subprocess.run([path / "bin/pip", "install", "-qq", *packages], check=True, env=QUIET)
        made.write_text(wanted)
    return path


def our_dependencies() -> list[str]:
    """Those of all installations, and of the extras that are measured."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *(p for extra in ("redis", "postgres", "rabbitmq", "gevent") for p in extras.get(extra, ()))]


def snapshot() -> pathlib.Path:
    """A compiled copy of src/, so that one run measures one state of the code, whatever is edited meanwhile."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="src-", dir=ROOT))
    shutil.copytree(HERE.parent / "src/tidewheel", path / "tidewheel", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(path, quiet=2)
    return path


TOLD = (
    "aio-pika", "amqp", "amqpstorm", "asyncpg", "celery", "dramatiq", "gevent", "hiredis", "huey", "msgspec", "pamqp", "pgqueuer", "pika",
    "psycopg", "redis", "uvloop", "wakaq",
)  # fmt: skip
"""Packages whose versions are told."""


def versions(names: list[str]) -> list[str]:
    """What these environments hold, each package once."""
    out = []
    for name in names:
        pip = ROOT / "venv" / name / "bin/pip"
        text = subprocess.run([pip, "list", "--format=json"], capture_output=True, text=True, env=QUIET).stdout
        out += [f"{p['name'].lower()} {p['version']}" for p in json.loads(text or "[]") if p["name"].lower() in TOLD]
    return list(dict.fromkeys(out))
