"""-A: what it finds, and what it says when there is nothing to find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cli_rig import run, tidewheel

Write = Callable[..., Path]
APP = "from tidewheel import Tidewheel\napp = Tidewheel('memory://app-option')\n@app.task(name='it')\ndef it(): ...\n"


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ({"one": APP}, "one"),
        ({"one": APP.replace("app", "queue")}, "one"),
        ({"one": APP.replace("app", "queue")}, "one:queue"),
        ({"proj____init__": "", "proj__celery": APP}, "proj"),
        ({"proj____init__": "", "proj__app": APP}, "proj"),
        ({"proj____init__": "from proj.celery import app", "proj__celery": APP}, "proj"),
        ({"proj____init__": "", "proj__celery": APP}, "proj.celery:app"),
        ({"one": "class box: pass\n" + APP + "box.inner = app"}, "one:box.inner"),
    ],
)
def test_found(project: Write, files: dict[str, str], where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    project(**files)
    assert run("-A", where, "call", "it").stdout
    assert run("call", "-A", where, "it").stdout
    monkeypatch.setenv("TIDEWHEEL_APP", where)
    assert run("call", "it").stdout


@pytest.mark.parametrize(
    ("files", "where", "text"),
    [
        ({}, "nowhere", "-A nowhere: there is no module 'nowhere' here; run the command from the folder that holds it"),
        ({"one": ""}, "one.two", "there is no module 'one.two'"),
        ({"one": ""}, "one", "no Tidewheel app in module 'one'; expected a variable such as `app = Tidewheel()` there"),
        ({"one": APP}, "one:other", "module 'one' has no attribute 'other'"),
        ({"one": APP + "other = 7"}, "one:other", "'other' is a int, not a Tidewheel app"),
        ({"one": APP.replace("app", "a") + "b = Tidewheel('memory://b')"}, "one", "several Tidewheel apps; name one: -A one:variable"),
        ({"proj____init__": ""}, "proj", "or in one of its sub-modules celery"),
        ({"one": "from tidewheel import Tidewheel\napp = Tidewheel(queue='a b')"}, "one", "not a valid name"),
    ],
)
def test_not_found_is_a_usage_error(project: Write, files: dict[str, str], where: str, text: str) -> None:
    project(**files)
    assert text in run("-A", where, "call", "it", code=2).stderr


BROKEN = "import helpers_of_mine\n"
HELPERS = "def load():\n    return {}['SECRET_KEY']\n\nload()\n"


def test_an_app_that_raises_shows_its_own_frames_only(project: Write) -> None:
    project(broken=BROKEN, helpers_of_mine=HELPERS)
    text = run("-A", "broken", "call", "it", code=1).stderr
    assert text.startswith("Error: -A broken cannot be imported: KeyError: 'SECRET_KEY'\n")
    assert 'broken.py", line 1' in text
    assert "return {}['SECRET_KEY']" in text
    assert "importlib" not in text
    assert "locate.py" not in text
    whole = run("-v", "-A", "broken", "call", "it", code=1).stderr
    assert "importlib" in whole
    assert "locate.py" in whole


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import no_such_package_at_all", "ModuleNotFoundError: No module named 'no_such_package_at_all'"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit('no settings')", "SystemExit: no settings"),
    ],
)
def test_other_ways_to_fail(project: Write, source: str, text: str) -> None:
    project(broken=source)
    assert text in run("-A", "broken", "call", "it", code=1).stderr.splitlines()[0]


def test_a_broker_option_needs_no_app(project: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWHEEL_APP", "broken")
    run("-b", "memory://b", "status")
    assert "there is no module 'broken'" in run("status", code=2).stderr


def test_the_app_s_own_broker_is_asked_when_none_is_named(project: Write) -> None:
    project(one=APP.replace("memory://app-option", "sqlite:///jobs.db"))
    assert "there is no database jobs.db" in run("-A", "one", "status", code=3).stderr


def test_a_real_process_finds_an_app_in_its_working_directory(project: Write) -> None:
    folder = project(one=APP)
    assert len(tidewheel("-A", "one", "call", "it", cwd=folder).stdout) == 37
