"""Middleware, events, wiring and the search for the app."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hands import Hand

from tidewheel import CallNext, ConfigurationError, Job, Tidewheel
from tidewheel.contract import Backend, Broker, Browse, Control, ResultStore
from tidewheel.errors import MissingRole
from tidewheel.events import ALL_EVENTS, Event, JobEvent, JobFailed, JobPublished, WorkerEvent, WorkerStarted
from tidewheel.locate import locate
from tidewheel.middleware import around_async, around_sync

# -- middleware -------------------------------------------------------------------------------------------------------

JOB = Job(id="1", task="t")


def layer(name: str, log: list[str]) -> Any:
    def middleware(job: Job, call_next: CallNext) -> Any:
        log.append(f"{name}>")
        try:
            return call_next(job)
        finally:
            log.append(f"<{name}")

    return middleware


def alayer(name: str, log: list[str]) -> Any:
    async def middleware(job: Job, call_next: CallNext) -> Any:
        log.append(f"{name}>")
        try:
            return await call_next(job)
        finally:
            log.append(f"<{name}")

    return middleware


def test_the_first_is_the_outermost() -> None:
    log: list[str] = []
    call, awaitable = around_sync([layer("a", log), layer("b", log)], lambda job: log.append("run") or 7)
    assert (call(JOB), awaitable) == (7, False)
    assert log == ["a>", "b>", "run", "<b", "<a"]


def test_no_middleware_is_the_call_itself() -> None:
    def run(job: Job) -> int:
        return 7

    assert around_sync([], run) == (run, False)


def test_an_async_layer_makes_the_call_awaitable() -> None:
    log: list[str] = []
    call, awaitable = around_sync([alayer("a", log), layer("b", log)], lambda job: log.append("run") or 7)
    assert awaitable
    assert asyncio.run(call(JOB)) == 7
    assert log == ["a>", "b>", "<b", "run", "<a"], "a plain layer round an awaitable only sees it made"


def test_async_layers_wrap_an_async_task() -> None:
    log: list[str] = []

    async def run(job: Job) -> int:
        log.append("run")
        return 7

    assert asyncio.run(around_async([alayer("a", log), alayer("b", log)], run)(JOB)) == 7  # type: ignore[arg-type]
    assert log == ["a>", "b>", "run", "<b", "<a"]


def test_a_layer_may_answer_itself_or_raise() -> None:
    call, _ = around_sync([lambda job, call_next: "instead"], lambda job: pytest.fail("not called"))
    assert call(JOB) == "instead"


# -- events -----------------------------------------------------------------------------------------------------------

FAILED = JobFailed(id="1", task="t", queue="q", attempt=1, reason="failed")


def test_listeners_hear_a_class_and_its_subclasses(app: Tidewheel) -> None:
    heard: list[tuple[str, Event]] = []
    for kind in (JobFailed, JobEvent, Event, WorkerEvent):
        app.on(kind)(lambda event, name=kind.__name__: heard.append((name, event)))
    app.events.emit(FAILED)
    assert [name for name, _ in heard] == ["JobFailed", "JobEvent", "Event"]
    app.events.emit(WorkerStarted(worker="w"))
    assert [name for name, _ in heard[3:]] == ["Event", "WorkerEvent"]


def test_nobody_listens_costs_nothing(app: Tidewheel) -> None:
    assert not any(app.events.wants(kind) for kind in ALL_EVENTS)
    app.on(JobEvent)(print)
    assert app.events.wants(JobFailed)
    assert not app.events.wants(WorkerStarted)
    assert app.events.wanted() == {k.__name__ for k in ALL_EVENTS if issubclass(k, JobEvent)}


def test_unsubscribing(app: Tidewheel) -> None:
    heard: list[Event] = []
    end = app.events.subscribe(JobFailed, heard.append)
    end()
    end()
    app.events.emit(FAILED)
    assert heard == []


def test_a_listener_that_raises_changes_nothing(app: Tidewheel, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Event] = []
    app.on(JobFailed)(lambda event: 1 / 0)
    app.on(JobFailed)(heard.append)
    with caplog.at_level(logging.ERROR, "tidewheel.events"):
        app.events.emit(FAILED)
    assert heard == [FAILED]
    assert "a listener for JobFailed failed" in caplog.text


def test_what_is_not_an_event(app: Tidewheel) -> None:
    with pytest.raises(TypeError, match="is not an event class"):
        app.on("JobFailed")(print)  # type: ignore[arg-type]


def test_publishing_is_an_event(app: Tidewheel) -> None:
    heard: list[JobPublished] = []
    app.on(JobPublished)(heard.append)
    task = app.task(name="t", queue="q")(lambda: None).using(key="k")
    first = task.delay()
    task.delay()
    assert heard == [JobPublished(id=first.id, task="t", queue="q")], "a job that was there already is not published again"


def test_every_event_class_is_listed() -> None:
    def below(kind: type[Event]) -> Iterator[type[Event]]:
        for sub in kind.__subclasses__():
            yield sub
            yield from below(sub)

    assert set(below(Event)) - {JobEvent, WorkerEvent} == set(ALL_EVENTS)


# -- wiring -----------------------------------------------------------------------------------------------------------


def test_memory_fills_the_roles(app: Tidewheel) -> None:
    backend = app.backend
    assert isinstance(backend.broker, Broker)
    assert isinstance(backend.results, ResultStore)
    assert isinstance(app.browse(), Browse)
    assert isinstance(app.control(), Control)


def test_a_missing_role_names_who_has_it(app: Tidewheel) -> None:
    app._backend = Backend(app.backend.broker)
    for ask in (app.browse, app.control, lambda: app.cancel("x"), lambda: app.record("x")):
        with pytest.raises(MissingRole, match=r"memory://.* alone cannot .*results="):
            ask()


def test_the_url_comes_from_the_call_the_environment_or_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Tidewheel().url == "sqlite:///tidewheel.db"
    monkeypatch.setenv("TIDEWHEEL_URL", "memory://")
    assert Tidewheel().url == "memory://"
    assert Tidewheel("sqlite:///x.db").url == "sqlite:///x.db"


def test_passwords_are_not_shown() -> None:
    app = Tidewheel("engine://user:s3cret@host/0")
    assert repr(app) == "<Tidewheel engine://user:***@host/0>"
    with pytest.raises(ConfigurationError, match="unknown engine; use one of memory://, sqlite://") as caught:
        _ = app.backend
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "tidewheel.db", "://", "http//x"])
def test_what_is_not_a_url(url: str) -> None:
    from tidewheel import backends

    with pytest.raises(ConfigurationError, match="unknown engine"):
        backends.connect(url)


def test_a_closed_app_may_be_used_again(tmp_path: Path) -> None:
    app = Tidewheel(f"sqlite:///{tmp_path}/t.db")
    task = app.task(name="t")(lambda: None)
    first = task.delay()
    app.close()
    app.close()
    assert app.result(first.id).state == "ready"
    app.close()


def test_counts_and_purge(app: Tidewheel, hand: Hand) -> None:
    task = app.task(name="t")(lambda: None)
    task.starmap([()] * 3)
    task.using(countdown=60).delay()
    hand.claim()
    found = app.counts()["default"]
    assert (found.ready, found.scheduled, found.running) == (2, 1, 1)
    assert app.purge("default") == 3
    assert app.counts("default")["default"].running == 1
    assert app.describe().level == "volatile"


# -- locate -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


APP = "from tidewheel import Tidewheel\n"


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ({"one.py": APP + "app = Tidewheel('memory://', name='it')"}, "one"),
        ({"two.py": APP + "wheel = Tidewheel('memory://', name='it')"}, "two"),
        ({"three.py": APP + "a = Tidewheel('memory://')\nb = Tidewheel('memory://', name='it')"}, "three:b"),
        ({"four.py": APP + "a = Tidewheel('memory://')\napp = Tidewheel('memory://', name='it')"}, "four"),
        ({"five.py": APP + "class C:\n    inner = Tidewheel('memory://', name='it')"}, "five:C.inner"),
        ({"six/__init__.py": "", "six/celery.py": APP + "app = Tidewheel('memory://', name='it')"}, "six"),
        ({"seven/__init__.py": "", "seven/app.py": APP + "app = Tidewheel('memory://', name='it')"}, "seven"),
        ({"eight/__init__.py": APP + "app = Tidewheel('memory://', name='it')", "eight/celery.py": "1/0"}, "eight"),
        ({"nine.py": APP + "class Mine(Tidewheel): pass\napp = Mine('memory://', name='it')"}, "nine"),
    ],
)
def test_found(project: Path, files: dict[str, str], where: str) -> None:
    write(project, files)
    assert locate(where).name == "it"


@pytest.mark.parametrize(
    ("files", "where", "message"),
    [
        ({}, "nil", "there is no module 'nil' here; run the command from the folder that holds it, or set PYTHONPATH"),
        ({"w1.py": ""}, "w1", "no Tidewheel app in module 'w1'; expected a variable such as `app = Tidewheel"),
        ({"w2.py": "x = 3"}, "w2:x", "'x' is a int, not a Tidewheel app"),
        ({"w3.py": ""}, "w3:app", "module 'w3' has no attribute 'app'"),
        (
            {"w4.py": APP + "a = Tidewheel('memory://')\nb = Tidewheel('memory://')"},
            "w4",
            "several Tidewheel apps; name one: -A w4:variable",
        ),
        ({"w5/__init__.py": ""}, "w5", "or in one of its sub-modules celery, tidewheel_app, app"),
        ({"w6/__init__.py": ""}, "w6.tasks", "no module 'w6.tasks'"),
        ({}, "", "expected the name of a module"),
        ({}, "./tasks.py", "expected the name of a module, as in `import`; for this file: -A tasks"),
        ({}, "src/app/tasks.py", "for this file: -A src.app.tasks"),
        ({}, "my-project", "expected the name of a module, as in `import`$"),
    ],
)
def test_not_found_says_what_was_looked_for(project: Path, files: dict[str, str], where: str, message: str) -> None:
    write(project, files)
    with pytest.raises(ConfigurationError, match=message.replace("(", r"\(")):
        locate(where)


def test_an_error_inside_the_users_module_is_theirs(project: Path) -> None:
    write(project, {"broken.py": "import not_installed_anywhere", "zero.py": "1/0"})
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        locate("broken")
    with pytest.raises(ZeroDivisionError):
        locate("zero")


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
