"""The commands as people run them: processes of their own, over a SQLite file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cli_rig import tidewheel

SHOP = """
import logging
import logging.config
from tidewheel import Tidewheel, current

app = Tidewheel("sqlite:///shop.db")
log = logging.getLogger("shop.orders")

@app.task
def add(x: int, y: int) -> int:
    log.info("adding")
    return x + y

@app.task
def pay(card: str) -> None:
    raise ValueError("declined")

@app.task
def again(n: int) -> str:
    return add.delay(n, n).id
"""


@pytest.fixture
def shop(project: Callable[..., Path]) -> Path:
    return project(shop=SHOP)


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@contextmanager
def running(*args: str, cwd: Path, first: str) -> Iterator[subprocess.Popen[str]]:
    """A command in the background, once it has written a line with `first` to standard error."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tidewheel", *args], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        seen = []
        for line in process.stderr:
            seen.append(line)
            if first in line:
                break
        else:
            pytest.fail("".join(seen))
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_life_of_a_job(shop: Path) -> None:
    id_ = tidewheel("-A", "shop", "call", "shop.add", "-a", "[1, 2]", cwd=shop).stdout.strip()
    status = tidewheel("-A", "shop", "status", cwd=shop)
    assert "queue default has 1 job and no worker" in status.stderr
    assert "has not ended" in tidewheel("-A", "shop", "result", id_, cwd=shop, code=5).stderr
    lines = json_lines(tidewheel("-A", "shop", "worker", "--burst", "-c", "1", "-n", "w@%h", cwd=shop).stderr)
    events = [line["event"] for line in lines]
    assert events[:2] == ["worker.settings", "worker.started"]
    assert events[-1] == "worker.stopped"
    by_event = {line["event"]: line for line in lines}
    assert by_event["worker.settings"]["tasks"] == ["shop.add", "shop.again", "shop.pay"]
    assert (by_event["log"]["logger"], by_event["log"]["job_id"], by_event["log"]["msg"]) == ("shop.orders", id_, "adding")
    assert by_event["job.succeeded"]["job_id"] == id_
    assert len({line["worker"] for line in lines}) == 1
    # Without -A, from another folder, by URL.
    url = f"sqlite:///{shop}/shop.db"
    assert tidewheel("-b", url, "result", id_, cwd=Path("/")).stdout == "3\n"
    assert [j["state"] for j in json.loads(tidewheel("-b", url, "jobs", "-o", "json", cwd=Path("/")).stdout)] == ["succeeded"]


def test_a_worker_serves_until_sigterm(shop: Path) -> None:
    with running("-A", "shop", "worker", "-c", "1", "--pidfile", "w.pid", cwd=shop, first="worker.started") as worker:
        assert (shop / "w.pid").read_text() == f"{worker.pid}\n"
        assert "runs already" in tidewheel("-A", "shop", "worker", "--pidfile", "w.pid", cwd=shop, code=1).stderr
        done = tidewheel("-A", "shop", "call", "shop.add", "-a", "[20, 22]", "--wait", "30", cwd=shop)
        assert done.stdout == "42\n"
        (seen,) = json.loads(tidewheel("-A", "shop", "status", "-o", "json", cwd=shop).stdout)["workers"]
        assert (seen["pid"], seen["queues"], seen["concurrency"]) == (worker.pid, ["default"], 1)
        assert json.loads(tidewheel("-A", "shop", "doctor", "-o", "json", cwd=shop).stdout)["healthy"]
        worker.send_signal(signal.SIGTERM)
        _, stderr = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert json_lines(stderr)[-1]["event"] == "worker.stopped"
    assert not (shop / "w.pid").exists()


def test_the_dead_and_their_return(shop: Path) -> None:
    id_ = tidewheel("-A", "shop", "call", "shop.pay", "-a", '["4111 1111"]', cwd=shop).stdout.strip()
    log = tidewheel("-A", "shop", "worker", "--burst", "-c", "1", "-l", "debug", cwd=shop).stderr
    (failed,) = [line for line in json_lines(log) if line["event"] == "job.failed"]
    assert (failed["job_id"], failed["error.type"]) == (id_, "ValueError")
    assert "4111" not in log
    assert tidewheel("-A", "shop", "dead", "-q", cwd=shop).stdout == f"{id_}\n"
    assert "4111 1111" in tidewheel("-A", "shop", "jobs", "show", id_, cwd=shop).stdout
    assert "is dead (failed): ValueError: declined" in tidewheel("-A", "shop", "result", id_, cwd=shop, code=1).stderr
    tidewheel("-A", "shop", "retry", "--all", cwd=shop)
    assert tidewheel("-A", "shop", "dead", "-o", "json", cwd=shop).stdout == "[]\n"
    assert "cancelled" in tidewheel("-A", "shop", "cancel", id_, cwd=shop).stdout


def test_what_a_task_publishes_goes_to_the_broker_that_b_names(shop: Path) -> None:
    other = ("-A", "shop", "-b", "sqlite:///other.db")
    tidewheel(*other, "call", "shop.again", "-a", "[1]", cwd=shop)
    tidewheel(*other, "worker", "--burst", "-c", "1", cwd=shop)
    found = json.loads(tidewheel("-b", "sqlite:///other.db", "jobs", "-o", "json", cwd=shop).stdout)
    assert {j["task"]: j["state"] for j in found} == {"shop.add": "succeeded", "shop.again": "succeeded"}
    assert not (shop / "shop.db").exists()


@pytest.mark.parametrize("pool", ["solo", "threads", "asyncio", "gevent", "eventlet"])
def test_other_pools_log_alike(shop: Path, pool: str) -> None:
    id_ = tidewheel("-A", "shop", "call", "shop.add", "-a", "[1, 2]", cwd=shop).stdout.strip()
    lines = json_lines(tidewheel("-A", "shop", "worker", "--burst", "-P", pool, cwd=shop).stderr)
    assert [(line["event"], line["job_id"]) for line in lines if "job_id" in line] == [("log", id_), ("job.succeeded", id_)]


def test_an_app_that_configures_logging_does_not_silence_ours(shop: Path) -> None:
    (shop / "shop.py").write_text(SHOP + "\nlogging.config.dictConfig({'version': 1})\n")
    tidewheel("-A", "shop", "call", "shop.add", "-a", "[1, 2]", cwd=shop)
    for more in ([], ["-P", "solo"]):
        tidewheel("-A", "shop", "call", "shop.add", "-a", "[1, 2]", cwd=shop)
        lines = json_lines(tidewheel("-A", "shop", "worker", "--burst", *more, cwd=shop).stderr)
        assert "job.succeeded" in {line["event"] for line in lines}


def test_a_log_file(shop: Path) -> None:
    tidewheel("-A", "shop", "call", "shop.add", "-a", "[1, 2]", cwd=shop)
    done = tidewheel("-A", "shop", "worker", "--burst", "-f", "w.log", cwd=shop)
    assert done.stderr == ""
    events = {line["event"] for line in json_lines((shop / "w.log").read_text())}
    assert {"worker.settings", "job.succeeded", "log"} <= events
    quiet = json_lines(tidewheel("-A", "shop", "-q", "worker", "--burst", cwd=shop).stderr)
    assert [line["event"] for line in quiet] == ["worker.started", "worker.stopped"]


def test_a_worker_whose_app_cannot_be_imported(shop: Path) -> None:
    (shop / "broken.py").write_text("import shop\n\ndef settings():\n    return {}['KEY']\n\nsettings()\n")
    for more in ([], ["--start-method", "spawn"], ["-P", "solo"]):
        done = tidewheel("-A", "broken", "worker", *more, cwd=shop, code=1)
        assert done.stderr.startswith("Error: -A broken cannot be imported: KeyError: 'KEY'\n")
        assert "return {}['KEY']" in done.stderr
        assert "tidewheel/locate.py" not in done.stderr
    assert "tidewheel/locate.py" in tidewheel("-v", "-A", "broken", "worker", cwd=shop, code=1).stderr
    assert "there is no module 'nowhere'" in tidewheel("-A", "nowhere", "worker", cwd=shop, code=2).stderr
    assert list(shop.glob("*.db")) == []


def test_a_memory_broker_cannot_be_shared_and_the_worker_says_so(shop: Path) -> None:
    text = tidewheel("-A", "shop", "-b", "memory://", "worker", cwd=shop, code=2).stderr
    assert "use sqlite:///tidewheel.db" in text
    assert text.count("\n") == 1


def test_ctrl_c_ends_a_wait_quietly(shop: Path) -> None:
    with running("-A", "shop", "call", "shop.add", "-a", "[1, 2]", "--wait", "60", cwd=shop, first="job 0") as call:
        call.send_signal(signal.SIGINT)
        stdout, stderr = call.communicate(timeout=30)
    assert (call.returncode, stdout, stderr) == (130, "", "")


def test_a_reader_that_has_gone_is_no_error(shop: Path) -> None:
    tidewheel("-A", "shop", "call", "shop.add", "-a", "[1, 2]", cwd=shop)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "tidewheel", "-b", "sqlite:///shop.db", "jobs"], cwd=shop, stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_on_a_terminal_there_is_a_banner_and_lines_for_people(shop: Path) -> None:
    import pty

    tidewheel("-A", "shop", "call", "shop.add", "-a", "[1, 2]", cwd=shop)
    ours, theirs = pty.openpty()
    worker = subprocess.Popen(
        [sys.executable, "-m", "tidewheel", "-A", "shop", "worker", "--burst", "-c", "1"],
        cwd=shop, stderr=theirs, stdout=theirs, stdin=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(theirs)
    data = b""
    try:
        while chunk := os.read(ours, 65536):
            data += chunk
    except OSError:
        pass  # EIO: everybody at the other end has gone
    os.close(ours)
    assert worker.wait(30) == 0
    text = data.decode()
    assert "\x1b[2mbroker     \x1b[0m" in text
    assert "shop.orders: adding" in text
    assert "succeeded in 0." in text
    assert "{" not in text
