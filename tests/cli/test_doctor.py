from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest
from cli_rig import Rig, run

from tidewheel import Tidewheel
from tidewheel.backends.memory.broker import Broker
from tidewheel.backends.memory.browse import Browse
from tidewheel.cli.checks import Finding, machine
from tidewheel.cli.checks.app import tasks
from tidewheel.cli.checks.storage import file_system, storage
from tidewheel.errors import BrokerUnavailable

Write = Callable[..., Path]


def findings(rig: Rig, *args: str, code: int = 0) -> dict[str, list[dict[str, Any]]]:
    """By check."""
    found: dict[str, list[dict[str, Any]]] = {}
    for f in rig.json("doctor", *args, code=code)["findings"]:
        found.setdefault(f["check"], []).append(f)
    return found


def levels(found: Iterator[Finding]) -> dict[str, str]:
    return {f.check: f.level for f in found}


# -- the command ------------------------------------------------------------------------------------------------------


def test_a_healthy_broker(rig: Rig) -> None:
    rig.worker("w1")
    rig.publish()
    rig.running()
    found = rig.json("doctor")
    assert (found["healthy"], found["problems"]) == (True, 0)
    assert {f["level"] for f in found["findings"] if f["check"] in ("workers", "queues", "running jobs", "dead jobs", "clock")} == {"ok"}
    text = rig("doctor")
    assert "ok      workers: 1 worker: w1" in text.stdout
    assert "0 problems" in text.stderr
    assert "ok      " not in rig("doctor", "-q").stdout


def test_every_finding_that_is_not_ok_says_what_mends_it(rig: Rig) -> None:
    rig.dead()
    rig.publish(queue="mail")
    for finding in rig.json("doctor", code=4)["findings"]:
        if finding["level"] != "ok" and finding["check"] != "broker":  # the notes of a broker name their mend themselves
            assert finding["fix"], finding


def test_jobs_in_a_queue_without_a_worker_are_a_problem(rig: Rig) -> None:
    rig.worker("w1", ["default"])
    rig.publish(queue="mail")
    (finding,) = findings(rig, code=4)["queues"]
    assert finding["level"] == "problem"
    assert finding["text"] == "mail has 1 job and no worker"
    assert "worker -Q mail" in finding["fix"]
    assert "PROBLEM queues" in rig("doctor", code=4).stdout


def test_running_jobs_of_workers_that_are_gone(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.running()
    others = list(rig.app.browse().workers())
    assert findings(rig)["running jobs"][0]["level"] == "ok"
    monkeypatch.setattr(Browse, "workers", lambda self: [])
    (finding,) = findings(rig, code=4)["running jobs"]
    assert "1 job of workers that are gone, such as" in finding["text"]
    assert "start a worker" in finding["fix"]
    monkeypatch.setattr(Browse, "workers", lambda self: [msgspec.structs.replace(others[0], id="another")])
    assert findings(rig)["running jobs"][0]["level"] == "warning"


def test_dead_jobs_are_a_warning(rig: Rig) -> None:
    rig.dead()
    (finding,) = findings(rig)["dead jobs"]
    assert (finding["level"], finding["text"]) == ("warning", "1 (1 in default)")


def test_a_broker_that_is_away_is_a_finding(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(self: object, *_: object) -> None:
        raise BrokerUnavailable("connection refused")

    monkeypatch.setattr(Broker, "counts", away)
    assert findings(rig, code=4)["jobs"][0]["text"] == "connection refused"
    monkeypatch.setattr(Broker, "open", away)
    assert findings(rig, code=4)["broker"][0]["text"] == "connection refused"


def test_it_makes_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = run("doctor").stdout
    assert "tidewheel.db does not exist yet" in text
    assert list(tmp_path.iterdir()) == []


def test_the_app(rig: Rig, project: Write) -> None:
    app = "from tidewheel import Tidewheel\napp = Tidewheel()\n@app.task\ndef f(x: int) -> str: ...\n"
    project(fine=app, broken="1/0")
    assert findings(rig)["app"][0]["level"] == "warning"
    found = findings(rig, "-A", "fine")
    assert [f["text"] for f in (*found["app"], *found["tasks"])] == ["fine imported", "1 found, and all their annotations can be converted"]
    (finding,) = findings(rig, "-A", "broken", code=4)["app"]
    assert finding["text"] == "-A broken cannot be imported: ZeroDivisionError: division by zero"
    assert 'broken.py", line 1' in finding["fix"]
    assert 'broken.py", line 1' in rig("-A", "broken", "doctor", code=4).stdout
    assert findings(rig, "-A", "nowhere", code=4)["app"][0]["level"] == "problem"


# -- tasks ------------------------------------------------------------------------------------------------------------


class Stranger:
    pass


class Model(pydantic.BaseModel):
    a: int


class Color(Enum):
    RED = 1


class Node(msgspec.Struct):
    value: int
    next: Node | None = None


@dataclass
class Box:
    inner: list[Stranger]


def fine(
    a: int, b: list[dict[str, UUID]], c: Decimal | None, *d: datetime, e: Color = Color.RED, f: Any = 0, g: Iterable[int] = (), **h: Model
) -> Model:
    return Model(a=1)


def test_annotations_that_nothing_can_be_converted_to() -> None:
    app = Tidewheel("memory://doctor")
    app.task(name="untyped")(lambda x, *args, **more: None)
    app.task(name="fine")(fine)
    app.task(name="node")(_annotated(Node, None))
    assert list(tasks(app)) == [Finding("tasks", "ok", "3 found, and all their annotations can be converted")]
    app.task(name="stranger")(_annotated(Stranger, None))
    app.task(name="inside")(_annotated(dict[str, Stranger], None))
    app.task(name="boxed")(_annotated(Box, None))
    app.task(name="value")(_annotated(int, Stranger))
    found = list(tasks(app))
    assert {f.text.split(":")[0] for f in found} == {"stranger", "inside", "boxed", "value"}
    assert {f.level for f in found} == {"problem"}
    assert all("test_doctor.Stranger" in f.text for f in found)
    assert all("dataclass" in f.fix for f in found)


def _annotated(argument: Any, value: Any) -> Callable[..., Any]:
    def function(x: Any) -> Any: ...

    function.__annotations__ = {"x": argument, "return": value}
    function.__qualname__ = f"f{id(argument)}{id(value)}"
    return function


def test_an_annotation_that_does_not_exist_at_run_time() -> None:
    app = Tidewheel("memory://doctor")
    app.task(name="t")(_annotated("OnlyForTypeCheckers", None))
    (finding,) = tasks(app)
    assert finding.level == "warning"
    assert "OnlyForTypeCheckers" in finding.text


def test_no_tasks() -> None:
    assert levels(tasks(Tidewheel("memory://doctor"))) == {"tasks": "warning"}


# -- storage ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "jobs.db"
    with Tidewheel(f"sqlite:///{path}") as app:
        app.counts()
        yield path


def test_a_database_in_order(file: Path) -> None:
    found = {f.check: f for f in storage(file)}
    assert {f.check for f in found.values() if f.level == "ok"} >= {"permissions", "locks", "disk space", "database"}
    assert "WAL" in found["database"].text
    assert sorted(p.name for p in file.parent.iterdir() if "doctor" in p.name) == []


def test_a_readable_one(file: Path) -> None:
    file.chmod(0o644)
    found = {f.check: f for f in storage(file)}
    assert found["permissions"].level == "warning"
    assert found["permissions"].fix.startswith("chmod o-rwx")


def test_one_that_is_not_ours(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert levels(storage(file))["permissions"] == "problem"


@pytest.mark.parametrize(("free", "level"), [(10_000_000, "problem"), (500_000_000, "warning"), (10**12, "ok")])
def test_disk_space(file: Path, free: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2 * free, free, free))  # type: ignore[attr-defined]
    assert levels(storage(file))["disk space"] == level


def test_locks_without_effect(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", lambda *_: None)
    assert levels(storage(file))["locks"] == "problem"


def test_a_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    path.write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    assert levels(storage(path))["database"] == "problem"


def test_another_journal_mode(tmp_path: Path) -> None:
    path = tmp_path / "plain.db"
    with sqlite3.connect(path) as db:
        db.execute("create table t (x)")
    db.close()
    assert {f.check: f.text for f in storage(path)}["database"] == f"{path} has journal mode delete, not wal"


def test_the_file_system_of_a_path(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text("/dev/a / ext4 rw 0 0\nproc /proc proc rw 0 0\nh:/x /srv/a\\040b nfs4 rw 0 0\ntmpfs /srv/a\\040b/c tmpfs rw 0 0\n")
    assert file_system(Path("/home/x.db"), str(table)) == "ext4"
    assert file_system(Path("/srv/a b/x.db"), str(table)) == "nfs4"
    assert file_system(Path("/srv/a b/c/x.db"), str(table)) == "tmpfs"
    assert file_system(Path("/srv/a bc/x.db"), str(table)) == "ext4"
    assert file_system(Path("/x"), str(tmp_path / "none")) is None


# -- machine ----------------------------------------------------------------------------------------------------------


def test_a_clock_that_differs(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = rig.app.backend.broker
    assert levels(machine.clock(broker)) == {"clock": "ok"}
    now = broker.now()
    monkeypatch.setattr(Broker, "now", lambda self: now + 60)
    (finding,) = machine.clock(broker)
    assert finding.level == "warning"
    assert "ahead of" in finding.text
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert next(machine.clock(None)).level == "problem"
