"""The pools `gevent` and `eventlet`: what is patched and what is not, and that waiting lets others run. (That they keep the promises of
every pool is tested in test_pools.py, run here in patched processes, and in test_worker.py.)"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from rig import APPS, until

from tidewheel import JobFailed
from tidewheel.errors import ConfigurationError, JobCancelled
from tidewheel.pools.patches import PATCHES, REMARKS, check

HERE = Path(__file__).parent


@pytest.fixture(params=list(PATCHES))
def pool(request: pytest.FixtureRequest) -> str:
    return request.param  # type: ignore[no-any-return]


class Field:
    """A broker, the app of `apps/green.py`, and workers with one of these pools."""

    def __init__(self, folder: Path, green: ModuleType, pool: str) -> None:
        self.folder = folder
        self.green = green
        self.pool = pool
        self.worker: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tidewheel", "-A", "green", "worker", "-P", self.pool, *flags]
        env = dict(os.environ, PYTHONPATH=str(APPS))
        with (self.folder / "log").open("wb") as log:
            self.worker = subprocess.Popen(command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self.worker

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def close(self) -> None:
        if self.worker is not None:
            self.worker.terminate()
            try:
                assert self.worker.wait(30) == 0, self.log()
            finally:
                self.worker.kill()
        self.green.app.close()


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: str) -> Iterator[Field]:
    monkeypatch.setenv("GREEN_URL", f"sqlite:///{tmp_path}/jobs.db")
    monkeypatch.syspath_prepend(str(APPS))
    monkeypatch.delitem(sys.modules, "green", raising=False)
    field = Field(tmp_path, importlib.import_module("green"), pool)
    yield field
    field.close()
    sys.modules.pop("green", None)


def test_the_promises_of_every_pool(pool: str) -> None:
    code = f"{PATCHES[pool]}; import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    # Plug-ins of others are left out: some of them cannot be imported in a process that eventlet has patched.
    flags = ("--noconftest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:xdist", "-q")
    ran = subprocess.run(
        [sys.executable, "-c", code, str(HERE / "test_pools.py"), *flags],
        cwd=HERE.parents[1], env=dict(os.environ, PATCHED_FOR=pool, PYTEST_ADDOPTS=""), capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"[{pool}]" not in ran.stdout
    assert " passed" in ran.stdout


def test_the_app_is_imported_in_a_patched_process_and_the_worker_is_not_patched(field: Field) -> None:
    worker = field.start()
    assert {name.partition(".")[0] for name in field.green.seen.delay().get(20)} == {field.pool}
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in (field.green.pid.delay().get(20), worker.pid)]
    assert ["_greenlet" in text for text in maps] == [True, False]


def test_who_waits_lets_others_run(field: Field) -> None:
    field.start("-c", "100")
    results = [field.green.meet.delay(100) for _ in range(100)]
    assert [r.get(20) for r in results] == [r.id for r in results]


def test_more_than_that_wait_for_their_turn(field: Field) -> None:
    field.start("-c", "3")
    first = [field.green.meet.delay(4) for _ in range(3)]
    until("three run", lambda: [r.state for r in first] == ["running"] * 3)
    fourth = field.green.meet.delay(4)
    assert first[0].cancel() == "requested"
    assert fourth.get(20) == fourth.id
    assert {r.get(20) for r in first[1:]} == {r.id for r in first[1:]}


def test_both_kinds_at_once_and_neither_sees_the_other_s_loop(field: Field) -> None:
    field.start("-c", "30")
    tasks = [field.green.ameet, field.green.loop_beside, field.green.own_loop]
    results = [tasks[i % 3].delay(30) for i in range(30)]
    answers = [r.get(20) for r in results]
    assert answers[0::3] == [r.id for r in results[0::3]]
    assert set(answers[1::3]) == {"none"}
    assert set(answers[2::3]) == {30}


def test_a_step_of_the_loop_that_waits_keeps_its_loop_to_itself(field: Field) -> None:
    field.start("-c", "30")
    inside = field.green.waits_in_the_loop.delay(21)
    tasks = [field.green.loop_beside, field.green.own_loop]
    results = [tasks[i % 2].delay(21) for i in range(20)]
    assert inside.get(20) == "done"
    assert {r.get(20) for r in results} == {"none", 21}


def test_a_task_publishes_and_waits_for_the_result(field: Field) -> None:
    field.start("-c", "2")
    assert field.green.calls_another.delay().get(20) == field.green.pid.delay().get(20)


def test_progress_and_cancellation_are_each_job_s_own(field: Field) -> None:
    field.start("-c", "10")
    results = [field.green.tells.delay() for _ in range(3)]
    until("all have told", lambda: [r.progress for r in results] == ["half"] * 3)
    assert results[1].cancel() == "requested"
    with pytest.raises(JobCancelled):
        results[1].get(20)
    assert [r.state for r in results] == ["running", "cancelled", "running"]
    for result in results:
        result.cancel()


def test_what_never_waits_is_ended_with_its_process(field: Field) -> None:
    field.start("--kill-after", "0.3")
    before = field.green.pid.delay().get(20)
    with pytest.raises(JobFailed) as caught:
        field.green.never_waits.delay().get(30)
    assert caught.value.reason == "time limit"
    assert field.green.pid.delay().get(20) != before


def test_executors_are_replaced(field: Field) -> None:
    field.start("--max-tasks-per-child", "3", "-c", "2")
    assert len({field.green.pid.delay().get(20) for _ in range(7)}) >= 2


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: str) -> None:
    (tmp_path / "shop.py").write_text("raise SystemExit('the app was imported')")
    code = f"import sys; sys.modules[{pool!r}] = None; from tidewheel.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code, "-A", "shop", "worker", "-P", pool], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert ran.returncode == 2
    assert f"pip install 'tidewheel[{pool}]'" in ran.stderr
    assert "-P asyncio" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "imported" not in ran.stderr
    monkeypatch.setitem(sys.modules, pool, None)
    with pytest.raises(ConfigurationError, match="-P threads"):
        check(pool)


def test_eventlet_s_end_is_said_once_in_our_words(field: Field) -> None:
    field.start("--log-format", "json")
    field.green.pid.delay().get(20)
    lines = [json.loads(line) for line in field.log().splitlines()]
    said = [line["msg"] for line in lines if line["level"] == "warning"]
    assert said == [REMARKS[field.pool]] if field.pool in REMARKS else said == []
    assert ("eventlet is deprecated" in field.log()) == (field.pool == "eventlet")
