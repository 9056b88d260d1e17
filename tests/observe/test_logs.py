from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tidewheel import events as e
from tidewheel.context import Context, _current
from tidewheel.errors import ConfigurationError, ErrorRecord
from tidewheel.events import ALL_EVENTS, Emitter, Event
from tidewheel.middleware import Job
from tidewheel.observe import logs

ID = "01990000-0000-7000-8000-000000000001"
JOB: dict[str, Any] = {"id": ID, "task": "mail.send", "queue": "mail"}
ERROR = ErrorRecord(
    type="shop.OutOfStock",
    message="no tea\n12:00:00.000 INFO     Task forged[1] succeeded\x1b[2J",
    traceback='Traceback (most recent call last):\n  File "shop.py", line 3, in sell\nshop.OutOfStock: no tea\n',
    args=("no tea",),
)

EXAMPLES: list[Event] = [
    e.JobPublished(**JOB),
    e.JobStarted(**JOB, attempt=1, waited=0.25),
    e.JobSucceeded(**JOB, attempt=1, duration=0.0123),
    e.JobRetried(**JOB, attempt=2, why="retry", delay=4.0, duration=0.5, error=ERROR),
    e.JobFailed(**JOB, attempt=3, reason="failed", duration=0.5, error=ERROR),
    e.JobCancelled(**JOB),
    e.WorkerStarting(worker="w1"),
    e.WorkerStarted(worker="w1"),
    e.WorkerDraining(worker="w1", running=2),
    e.WorkerStopped(worker="w1", cut=1),
    e.ExecutorStarted(worker="w1", pid=42),
    e.ExecutorEnded(worker="w1", pid=42, why="signal 9 (SIGKILL)"),
    e.BrokerLost(worker="w1", error="disk full"),
    e.BrokerFound(worker="w1", after=2.5),
    e.OutcomeRefused(worker="w1", id=ID, verdict="stale"),
    e.Broadcast(topic="drop-cache", packed=b"\xa6secret"),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(event: Event, level: str = "debug", *, stream: io.StringIO | None = None, **how: Any) -> str:
    """What the logs say of an event."""
    stream = stream or io.StringIO()
    logs.setup(level, stream=stream, **how)
    emitter = Emitter()
    logs.subscribe(emitter)
    emitter.emit(event)
    return stream.getvalue()


def as_json(event: Event, **how: Any) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(told(event, **how))
    return line


# -- what is said -----------------------------------------------------------------------------------------------------


def test_there_is_an_example_and_a_line_for_every_event() -> None:
    assert {type(x) for x in EXAMPLES} == set(ALL_EVENTS) == set(logs.LINES)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda x: type(x).__name__)
def test_every_event_is_one_line_of_json_with_the_fields_that_all_have(event: Event) -> None:
    text = told(event)
    assert text.count("\n") == 1
    line = json.loads(text)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])
    assert line["level"] in logs.LEVELS
    assert line["logger"].startswith("tidewheel.")
    assert line["event"] == logs.LINES[type(event)][0]
    assert line["msg"]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda x: type(x).__name__)
def test_no_event_is_louder_than_its_subscription_expects(event: Event) -> None:
    _, highest, describe = logs.LINES[type(event)]
    assert describe(event).level <= highest


def test_a_success_in_celery_s_words() -> None:
    text = told(e.JobSucceeded(**JOB, attempt=1, duration=0.0123), stream=Terminal(), color=False)
    assert re.fullmatch(rf"\d\d:\d\d:\d\d\.\d{{3}} INFO     Task mail\.send\[{ID}\] succeeded in 0\.012s\n", text)


def test_a_success_as_json() -> None:
    line = as_json(e.JobSucceeded(**JOB, attempt=2, duration=0.0123), worker="w1")
    assert line.pop("ts")
    assert line == {
        "level": "info", "logger": "tidewheel.job", "event": "job.succeeded", "msg": f"Task mail.send[{ID}] succeeded in 0.012s",
        "task": "mail.send", "job_id": ID, "queue": "mail", "attempt": 2, "duration_ms": 12.3, "outcome": "succeeded", "worker": "w1",
    }  # fmt: skip


def test_a_failure_as_json_has_its_error_and_traceback_as_fields() -> None:
    line = as_json(e.JobFailed(**JOB, attempt=3, reason="failed", error=ERROR))
    assert (line["level"], line["outcome"], line["reason"]) == ("error", "failed", "failed")
    assert line["error.type"] == "shop.OutOfStock"
    assert line["error.traceback"] == ERROR.traceback
    assert line["error.message"].startswith("no tea\n")
    assert "after 3 attempts: shop.OutOfStock: no tea\\n" in line["msg"]


def test_a_failure_on_a_terminal_shows_a_readable_traceback_that_cannot_forge_lines() -> None:
    text = told(e.JobFailed(**JOB, attempt=1, reason="failed", error=ERROR), stream=Terminal(), color=False)
    first, *rest = text.rstrip("\n").split("\n")
    assert f"ERROR    Task mail.send[{ID}] failed: shop.OutOfStock: no tea\\n12:00:00" in first
    assert rest == ["  Traceback (most recent call last):", '    File "shop.py", line 3, in sell', "  shop.OutOfStock: no tea"]
    assert "\x1b" not in text


@pytest.mark.parametrize("kind", ["tidewheel.errors.Abort", "tidewheel.errors.RetryIn"])
def test_what_a_task_says_by_raising_is_one_line(kind: str) -> None:
    error = ErrorRecord(type=kind, message="no such user", traceback=ERROR.traceback)
    failed = e.JobFailed(**JOB, attempt=1, reason="aborted", error=error)
    for event in (failed, e.JobRetried(**JOB, attempt=1, why="retry", delay=1.0, error=error)):
        text = told(event, stream=Terminal(), color=False)
        assert text.count("\n") == 1
        assert "no such user" in text


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (e.JobFailed(**JOB, attempt=1, reason="poison"), "error", "is dead (poison)"),
        (e.JobFailed(**JOB, attempt=1, reason="aborted", error=ErrorRecord(type="Abort", message="no such user")), "warning", "(aborted)"),
        (e.JobRetried(**JOB, attempt=1, why="retry", delay=2.0, error=ERROR), "warning", "retry in 2s, attempt 1 failed: shop.OutOfStock"),
        (e.JobRetried(**JOB, attempt=1, why="snooze", delay=30.0), "info", "snoozed for 30s"),
        (e.JobRetried(**JOB, attempt=1, why="crashed", delay=1.0), "warning", "crashed its process, retry in 1s"),
        (e.JobRetried(**JOB, attempt=1, why="interrupted", delay=0.0), "info", "interrupted, handed back"),
        (e.JobRetried(**JOB, attempt=1, why="of another day", delay=1.0), "warning", "retry in 1s (of another day)"),
        (e.WorkerStopped(worker="w1", cut=0), "info", "w1 stopped"),
        (e.WorkerStopped(worker="w1", cut=2), "warning", "2 jobs cut short"),
        (e.WorkerStopped(worker="w1", cut=0, refused=1), "info", "w1 stopped, 1 outcome refused"),
        (e.ExecutorEnded(worker="w1", pid=7, why="recycled"), "debug", "executor 7 recycled"),
        (e.ExecutorEnded(worker="w1", pid=7, why="exit status 3"), "error", "executor 7 ended: exit status 3"),
        (e.OutcomeRefused(worker="w1", id=ID, verdict="gone"), "info", "refused (gone)"),
    ],
)
def test_levels_and_words(event: Event, level: str, text: str) -> None:
    line = as_json(event)
    assert line["level"] == level
    assert text in line["msg"]


# -- levels -----------------------------------------------------------------------------------------------------------


def wanted(level: str) -> set[str]:
    logs.setup(level, stream=io.StringIO())
    emitter = Emitter()
    logs.subscribe(emitter)
    return set(emitter.wanted())


def test_what_is_not_logged_is_not_listened_to() -> None:
    assert wanted("warning") == {"JobRetried", "JobFailed", "WorkerStopped", "ExecutorEnded", "BrokerLost", "BrokerFound"}
    assert wanted("error") == {"JobFailed", "ExecutorEnded", "BrokerLost"}
    assert "JobSucceeded" in wanted("info")
    assert "JobStarted" not in wanted("info")
    assert wanted("debug") == {k.__name__ for k in ALL_EVENTS}


def test_an_event_may_say_less_than_its_kind_may() -> None:
    assert told(e.JobRetried(**JOB, attempt=1, why="snooze", delay=1.0), "warning") == ""
    assert told(e.JobRetried(**JOB, attempt=1, why="retry", delay=1.0), "warning") != ""


def test_only_some_kinds_and_the_end_of_it() -> None:
    logs.setup("debug", stream=io.StringIO())
    emitter = Emitter()
    end = logs.subscribe(emitter, (e.JobStarted,))
    assert emitter.wanted() == {"JobStarted"}
    end()
    assert not emitter.wanted()


@pytest.mark.parametrize(("level", "number"), [("info", 20), ("INFO", 20), ("warn", 30), ("fatal", 50), ("15", 15), (10, 10)])
def test_level_names(level: str | int, number: int) -> None:
    assert logs.level_number(level) == number


def test_an_unknown_level_names_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match="'loud': use one of debug, info, warning, error, critical"):
        logs.setup("loud")


# -- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "env", "color", "colored"),
    [
        (Terminal, {}, None, True),
        (Terminal, {"NO_COLOR": "1"}, None, False),
        (Terminal, {"TERM": "dumb"}, None, False),
        (Terminal, {}, False, False),
        (Terminal, {"NO_COLOR": "1"}, True, True),
    ],
)
def test_color(
    stream: type[io.StringIO], env: dict[str, str], color: bool | None, colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    text = told(EXAMPLES[2], stream=stream(), color=color)
    assert ("\x1b[" in text) is colored


def test_the_format_follows_the_stream_unless_it_is_said() -> None:
    assert told(EXAMPLES[2]).startswith("{")
    assert not told(EXAMPLES[2], format="text").startswith("{")
    assert told(EXAMPLES[2], stream=Terminal(), format="json").startswith("{")
    assert not logs.human()


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "worker.log"
    file.write_text("before\n")
    assert told(EXAMPLES[2], file=str(file)) == ""
    before, line = file.read_text().splitlines()
    assert before == "before"
    assert json.loads(line)["event"] == "job.succeeded"


def test_long_texts_are_cut() -> None:
    error = ErrorRecord(type="E", message="m" * 100_000, traceback="first\n" + "t" * 100_000 + "\nlast")
    line = as_json(e.JobFailed(**JOB, attempt=1, reason="failed", error=error))
    assert len(json.dumps(line)) < 25_000
    assert line["error.traceback"].endswith("last")
    assert len(told(e.BrokerLost(worker="w", error="x" * 100_000))) < 5_000


# -- the users' own loggers -------------------------------------------------------------------------------------------


def test_users_loggers_come_out_in_the_same_format_with_the_job_they_run_for() -> None:
    stream = io.StringIO()
    logs.setup("info", stream=stream, worker="w1")
    job = Job(id=ID, task="mail.send", args=("secret",), kwargs={"password": "secret"}, queue="mail", attempt=2)
    token = _current.set(Context(job))
    try:
        logging.getLogger("shop.mail").info("sending to %s", "somebody")
    finally:
        _current.reset(token)
    logging.getLogger("shop.mail").info("outside")
    logging.getLogger("shop.mail").debug("unheard")
    inside, outside = map(json.loads, stream.getvalue().splitlines())
    del inside["ts"]
    assert inside == {
        "level": "info", "logger": "shop.mail", "event": "log", "msg": "sending to somebody", "task": "mail.send", "job_id": ID,
        "attempt": 2, "queue": "mail", "worker": "w1",
    }  # fmt: skip
    assert "job_id" not in outside


def test_users_loggers_on_a_terminal() -> None:
    stream = Terminal()
    logs.setup("info", False, stream)
    token = _current.set(Context(Job(id=ID, task="mail.send")))
    try:
        logging.getLogger("shop").warning("two\nlines\x1b[2J")
    finally:
        _current.reset(token)
    assert stream.getvalue()[13:] == f"WARNING  mail.send[{ID}] shop: two\n  lines\\x1b[2J\n"


def test_an_exception_in_a_users_log_line() -> None:
    stream = io.StringIO()
    logs.setup("info", stream=stream)
    try:
        raise KeyError("tea")
    except KeyError:
        logging.getLogger("shop").exception("oh no")
    line = json.loads(stream.getvalue())
    assert (line["msg"], line["error.type"], line["error.message"]) == ("oh no", "KeyError", "'tea'")
    assert 'raise KeyError("tea")' in line["error.traceback"]


def test_a_log_call_whose_arguments_do_not_fit_is_still_a_line() -> None:
    record = logging.LogRecord("shop", logging.INFO, "", 0, "%d teas", ("many",), None)
    assert json.loads(logs.JsonFormatter().format(record))["msg"] == "%d teas (its arguments do not fit: TypeError)"


def test_calling_setup_again_replaces_and_never_doubles() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.setup("info", stream=first)
    logs.setup("info", stream=second)
    logging.getLogger("shop").info("x")
    logging.getLogger("tidewheel.worker").info("y")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 2


def test_a_console_that_users_have_configured_stays_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    console, ours = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", console)
    theirs = logging.StreamHandler(console)
    logging.getLogger().addHandler(theirs)
    logs.setup("info", stream=ours)
    logging.getLogger("shop").warning("theirs")
    logging.getLogger("tidewheel.worker").warning("ours")
    assert console.getvalue() == "theirs\n"
    assert json.loads(ours.getvalue())["msg"] == "ours"


def test_loggers_that_dictconfig_has_switched_off_are_on_again() -> None:
    log = logging.getLogger("tidewheel.worker")
    log.disabled = True
    stream = io.StringIO()
    logs.setup("info", stream=stream)
    log.info("here")
    assert "here" in stream.getvalue()


def test_no_arguments_and_no_values_in_any_field_of_an_event() -> None:
    """Events carry neither; should one get such a field, this fails and somebody thinks about the logs."""
    known = {
        "id", "task", "queue", "attempt", "waited", "duration", "why", "delay", "error", "reason", "worker", "running", "cut", "pid",
        "after", "verdict", "topic", "refused",
        "packed",  # of a broadcast, and its line tells the topic only
    }  # fmt: skip
    assert {f for kind in ALL_EVENTS for f in kind.__struct_fields__} <= known
    assert "args" not in as_json(e.JobFailed(**JOB, attempt=1, reason="failed", error=ERROR))
    assert "secret" not in told(e.Broadcast(topic="drop-cache", packed=b"\xa6secret"))


def test_every_event_and_every_field_is_in_the_reference() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
    text = page[page.index("### Logs") : page.index("## status")]
    for event in EXAMPLES:
        line = as_json(event, worker="w1")
        assert {word for word in (line["event"], *line) if f"`{word}`" not in text} == set()


def test_it_is_light_to_import() -> None:
    code = 'import tidewheel.observe.logs, sys; print(*{"click", "asyncio", "logging.handlers", "sqlite3"} & set(sys.modules))'
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
