"""Declaring and calling tasks: mistakes surface at once, before any I/O."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hands import Recorder

from tidewheel import ConfigurationError, Context, InvalidArguments, Retry, Task, Tidewheel, current
from tidewheel.context import CancelFlag
from tidewheel.core.options import effective
from tidewheel.task import OVERRIDES, AsyncTask
from tidewheel.wire.call import decode_call

nowhere = Tidewheel("sqlite:////nowhere/at/all.db")
"""Any I/O on this app would fail with something else than what the tests expect."""


@nowhere.task
def add(x: int, y: int = 0, *rest: int, flag: bool = False, **more: str) -> int:
    return x + y


@nowhere.task(context=True, queue="rows", retry=3)
async def rows(job: Context, path: str) -> tuple[str, int]:
    return path, job.attempt


def test_declaration() -> None:
    assert isinstance(add, Task)
    assert add.name.endswith("test_task.add")
    assert (add.__name__, add.__doc__) == ("add", None)
    assert isinstance(rows, AsyncTask)
    assert rows.is_async
    assert not add.is_async
    assert rows.options.queue == "rows"
    assert rows.options.retry == Retry(3)
    assert nowhere.tasks[add.name] is add


async def call_rows() -> tuple[str, int]:
    return await rows("p")


def test_calling_runs_here() -> None:
    import asyncio

    assert add(1, 2) == 3
    assert asyncio.run(call_rows()) == ("p", 1)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, r"missing a required argument: 'x'"),
        ((1,), {"x": 2}, "multiple values for argument 'x'"),
        ((object(),), {}, r"args\[0\]: objects of type builtins.object cannot be stored"),
        ((1,), {"note": [1, {"when": object()}]}, r"kwargs\['note'\]\[1\]\['when'\]: "),
        ((2**70,), {}, "more than 64 bits"),
        ((1,), {"note": "x" * 300_000}, "arguments of 3000.. bytes, and the limit is 262144: store the data elsewhere"),
    ],
)
def test_a_bad_call_raises_before_any_io(args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArguments, match=message) as caught:
        add.delay(*args, **kwargs)
    assert isinstance(caught.value, TypeError)
    assert add.name in str(caught.value)


def test_the_context_is_not_an_argument_of_the_call() -> None:
    with pytest.raises(InvalidArguments, match=r"\(path: .*missing a required argument: 'path'"):
        rows.delay()  # type: ignore[call-arg]


def test_async_calls_fail_before_any_io_too() -> None:
    import asyncio

    with pytest.raises(InvalidArguments, match="missing a required argument"):
        asyncio.run(add.adelay())  # type: ignore[call-arg]


def test_map_is_all_or_nothing(app: Tidewheel, recorder: Recorder) -> None:
    @app.task
    def double(x: Any) -> Any:
        return x

    with pytest.raises(InvalidArguments):
        double.map([1, object(), 3])
    assert recorder.batches == []
    assert len(double.map([1, 2, 3])) == 3
    assert [decode_call(e.body)[0] for e in recorder.batches[0]] == [[1], [2], [3]]
    assert double.map([]) == []
    assert len(recorder.batches) == 1


def test_starmap_and_publish_many_take_one_round_trip(app: Tidewheel, recorder: Recorder) -> None:
    @app.task
    def f(x: int, y: int) -> int:
        return x + y

    @app.task(queue="mail")
    def g(*, to: str) -> None: ...

    results = f.starmap([(1, 2), (3, 4)])
    assert [decode_call(e.body) for e in recorder.batches[0]] == [([1, 2], {}), ([3, 4], {})]
    assert [r.id for r in results] == [e.id for e in recorder.batches[0]]
    app.publish_many([f.call(1, 2), g.call(to="a@b"), f.using(priority=9).call(5, 6)])
    assert [(e.task.rsplit(".", 1)[1], e.queue, e.priority) for e in recorder.batches[1]] == [
        ("f", "default", 0),
        ("g", "mail", 0),
        ("f", "default", 9),
    ]
    assert app.publish_many([]) == []
    assert len(recorder.batches) == 2


def test_using_makes_a_copy() -> None:
    urgent = add.using(priority=100, queue="fast")
    assert type(urgent) is type(add)
    assert (urgent.options.priority, urgent.options.queue) == (100, "fast")
    assert (add.options.priority, add.options.queue) == (0, "default")
    assert urgent.using(priority=1).options.queue == "fast"
    assert nowhere.tasks[add.name] is add, "a copy is not registered"
    assert isinstance(rows.using(queue="x"), AsyncTask)


def test_using_says_what_is_wrong() -> None:
    with pytest.raises(ConfigurationError, match="priority=101"):
        add.using(priority=101)
    with pytest.raises(TypeError):
        add.using(qeue="mail")  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="unknown option 'qeue'"):
        nowhere.task(qeue="mail")(lambda: None)  # type: ignore[call-overload]


def test_the_envelope_says_what_using_said(app: Tidewheel, recorder: Recorder) -> None:
    @app.task(retry=2, time_limit=60)
    def f() -> None: ...

    eta = datetime(2031, 1, 1, tzinfo=timezone.utc)
    until = eta + timedelta(days=1)
    f.using(queue="q", priority=-5, countdown=1.5, eta=eta, expires=until, key="k", key_window=9, headers={"a": "b"}).delay()
    f.using(expires=timedelta(minutes=1), retry=None, time_limit=None).delay()
    f.delay()
    first, second, third = (batch[0] for batch in recorder.batches)
    assert (first.queue, first.priority, first.delay, first.due) == ("q", -5, 1.5, eta.timestamp())
    assert (first.expires, first.lifetime, first.key, first.key_window, first.headers) == (until.timestamp(), None, "k", 9.0, {"a": "b"})
    assert (second.lifetime, second.expires) == (60.0, None)
    assert set(msgspec.json.decode(second.headers[OVERRIDES])) == {"retry", "time_limit"}, "only what differs from the declaration"
    there = effective(f.options, second.headers[OVERRIDES])
    assert (there.retry.attempts, there.time_limit) == (1, None)
    assert third.headers == {}


def test_a_declared_expiry_counts_for_every_call(app: Tidewheel, recorder: Recorder) -> None:
    @app.task(expires=30)
    def f() -> None: ...

    f.delay()
    assert recorder.batches[0][0].lifetime == 30.0


def test_defaults_of_the_app() -> None:
    app = Tidewheel("memory://", queue="web", retry=4, time_limit=None, result_ttl=5)

    @app.task
    def f() -> None: ...

    @app.task(queue="other", retry=None, time_limit=3)
    def g() -> None: ...

    assert (f.options.queue, f.options.retry.attempts, f.options.time_limit, f.options.result_ttl) == ("web", 4, None, 5.0)
    assert (g.options.queue, g.options.retry.attempts, g.options.time_limit) == ("other", 1, 3.0)


def test_two_tasks_with_one_name() -> None:
    app = Tidewheel("memory://")

    def f() -> None: ...

    def g() -> None: ...

    app.task(name="t")(f)
    with pytest.raises(
        ConfigurationError, match=r"two tasks are named 't': .*test_task.py:.*\.f and .*\.g; give one of them another name="
    ):
        app.task(name="t")(g)


def test_the_same_function_twice_is_a_reload() -> None:
    app = Tidewheel("memory://")

    def f() -> None: ...

    app.task(f)
    app.task(f)
    assert len(app.tasks) == 1


@pytest.mark.parametrize("name", ["a b", "", "é", "x" * 129])
def test_impossible_task_names(name: str) -> None:
    if name:
        with pytest.raises(ConfigurationError, match="not a valid name"):
            Tidewheel("memory://").task(name=name)(lambda: None)


def test_context_needs_a_parameter() -> None:
    with pytest.raises(ConfigurationError, match="takes no argument for the context"):
        Tidewheel("memory://").task(context=True, name="t")(lambda: None)  # type: ignore[call-overload]


@pytest.mark.parametrize(("thing", "message"), [("mail", "not a function"), (partial(print), "not a function"), (add, "a task already")])
def test_what_cannot_be_a_task(thing: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Tidewheel("memory://").task(thing)


def test_a_builtin_without_a_signature() -> None:
    with pytest.raises(ConfigurationError, match="its signature cannot be read"):
        Tidewheel("memory://").task(iter)


def test_a_script_names_its_tasks_as_a_worker_will_import_them(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(
        "from tidewheel import Tidewheel\napp = Tidewheel('memory://')\n@app.task\ndef f(): ...\nprint(f.name)\n"
    )
    run = subprocess.run([sys.executable, "tasks.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "tasks.f"
    run = subprocess.run([sys.executable, "-m", "tasks"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "tasks.f"


# -- the worker's side ------------------------------------------------------------------------------------------------


@dataclass
class Mail:
    to: str
    at: datetime


def test_bind_converts_by_annotation() -> None:
    app = Tidewheel("memory://")

    @app.task
    def send(mail: Mail, *copies: float, when: datetime | None = None, **extra: int) -> None: ...

    at = datetime(2026, 1, 1, tzinfo=timezone.utc)
    args, kwargs = decode_call(send.call(Mail("a", at), 1, 2.5, when=at, a=1).envelope.body)
    bound, named = send.bind(args, kwargs)
    assert bound == (Mail("a", at), 1.0, 2.5)
    assert named == {"when": at, "a": 1}


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        (["1"], {}, "x: Expected `int`, got `str`"),
        ([1, 2, "3"], {}, "rest: Expected `int`"),
        ([1], {"colour": 3}, "more: Expected `str`"),
        ([], {}, "missing a required argument"),
    ],
)
def test_bind_refuses(args: list[Any], kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArguments, match=message):
        add.bind(args, kwargs)


def test_annotations_for_checkers_only_do_not_matter() -> None:
    app = Tidewheel("memory://")

    @app.task
    def f(x: NotImported, y: int) -> AlsoNot: ...  # type: ignore[name-defined]  # noqa: F821

    assert f.bind([{"a": 1}, 2], {}) == (({"a": 1}, 2), {})
    with pytest.raises(InvalidArguments, match="y: Expected `int`"):
        f.bind([1, "2"], {})
    assert f.returns is Any


def test_send_by_name(app: Tidewheel, recorder: Recorder) -> None:
    app.send("other.project.task", 1, a=2)
    [[envelope]] = recorder.batches
    assert (envelope.task, envelope.queue, decode_call(envelope.body)) == ("other.project.task", "default", ([1], {"a": 2}))
    with pytest.raises(ConfigurationError, match="not a valid name"):
        app.send("no such")


# -- current() and progress -------------------------------------------------------------------------------------------


def test_current_outside_of_a_job() -> None:
    with pytest.raises(ConfigurationError, match="no job is running here"):
        current()


def test_progress_refuses_what_cannot_be_stored() -> None:
    from tidewheel.middleware import Job

    said: list[bytes] = []
    context = Context(Job(id="1", task="t"), report=said.append, cancel=CancelFlag())
    context.progress({"done": 1, "of": 2})
    assert len(said) == 1
    with pytest.raises(TypeError, match=r"progress\['x'\]: .*cannot be stored"):
        context.progress({"x": object()})
    with pytest.raises(TypeError, match="at most 16384 are kept"):
        context.progress("x" * 20_000)
    assert len(said) == 1


# -- forks ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_gets_connections_of_its_own(tmp_path: Path) -> None:
    with Tidewheel(f"sqlite:///{tmp_path}/t.db") as app:
        task = app.task(name="t")(lambda: None)
        task.delay()
        parents = app.backend
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                assert app._backend is None
                assert app._listener is None
                task.delay()
                code = 0 if app.backend is not parents else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert app.backend is parents
        task.delay()
        assert app.counts("default")["default"].ready == 3
