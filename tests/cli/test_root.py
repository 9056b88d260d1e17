from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from cli_rig import Rig, run, tidewheel

import tidewheel as package
from tidewheel import errors
from tidewheel.cli import commands
from tidewheel.cli.root import COMMANDS, root
from tidewheel.cli.session import Session


def test_every_file_is_a_command_and_every_command_a_file() -> None:
    folder = Path(commands.__file__).parent
    assert {p.stem for p in folder.glob("*.py")} - {"__init__"} == set(COMMANDS)
    text = run("--help").stdout
    for name, line in COMMANDS.items():
        command = root.get_command(click.Context(root), name)
        assert command is not None
        assert command.name == name
        assert f"  {name}  " in text
        assert line in text


def test_help_of_every_command() -> None:
    for name in COMMANDS:
        text = run(name, "--help").stdout
        assert "Options of all commands" in text
    for name in ("jobs list", "jobs show", "dead list", "dead show", "dead delete"):
        assert "Options of all commands" in run(*name.split(), "--help").stdout


def test_help_and_version_import_no_command_and_no_asyncio() -> None:
    code = (
        "import sys\n"
        "from tidewheel.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(*sorted(m for m in sys.modules if m.startswith('tidewheel.cli.commands') or m in ('asyncio', 'sqlite3')), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


def test_version() -> None:
    assert run("--version").stdout == f"tidewheel {package.__version__}\n"


def test_no_command_is_a_question_for_help() -> None:
    assert "Commands:" in run(code=2).output


def test_a_misspelt_command_names_the_right_one() -> None:
    assert "no command 'statsu'; did you mean status?" in run("statsu", code=2).stderr
    assert "no command 'inspect': tidewheel status shows" in run("inspect", "active", code=2).stderr
    assert "there are: worker, status" in run("xyzzy", code=2).stderr


def test_shared_options_stand_before_or_after_the_command(rig: Rig) -> None:
    id_ = rig.publish()
    for args in (
        ("-o", "json", "-b", rig.url, "jobs"), ("jobs", "-o", "json", "-b", rig.url), ("-b", rig.url, "jobs", "list", "-o", "json"),
        ("jobs", "-b", rig.url, "--output=json"), ("jobs", "-o", "json", "-b", rig.url, "list"),
    ):  # fmt: skip
        assert [j["id"] for j in json.loads(run(*args).stdout)] == [id_]
    assert json.loads(run("jobs", "-o", "json", "-b", rig.url, "show", id_).stdout)["id"] == id_


def test_what_stands_after_the_command_wins(rig: Rig) -> None:
    rig.publish()
    assert run("-o", "json", "-b", "memory://other", "jobs", "-o", "jsonl", "-b", rig.url).stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError("x"), 2),
        (errors.InvalidArguments("x"), 2),
        (errors.MissingRole("x"), 1),
        (errors.UnknownJob("x"), 3),
        (errors.ResultExpired("x"), 3),
        (errors.ResultTimeout("x"), 5),
        (errors.BrokerUnavailable("x"), 1),
        (errors.BrokerCorrupt("x"), 1),
        (errors.JobCancelled("x"), 1),
        (PermissionError(13, "not allowed", "file"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_one_sentence_and_an_exit_code(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Session) -> None:
        raise error

    monkeypatch.setattr(Session, "connect", fail)
    text = run("status", code=code).stderr
    assert text.count("\n") == (0 if isinstance(error, KeyboardInterrupt) else 1)
    assert "Traceback" not in text


@pytest.mark.parametrize(("error", "code"), [(errors.BrokerUnavailable("x"), 1), (KeyboardInterrupt(), 130)])
def test_an_error_at_the_very_end_is_one_sentence_too(error: BaseException, code: int, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Session) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Session, "close", fail)
        text = rig("status", code=code).stderr
    assert "Traceback" not in text
    assert ("Error: x" in text) == (code == 1)


def test_a_bug_says_that_it_is_one_and_v_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Session) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(Session, "connect", fail)
    assert "unexpected ZeroDivisionError: oops; this is a bug in Tidewheel" in run("status", code=1).stderr
    assert "in fail\n" in run("-v", "status", code=1).stderr


def test_an_unknown_engine_is_a_usage_error_without_the_password() -> None:
    text = run("-b", "kafka://me:secret@host/0", "status", code=2).stderr
    assert "unknown engine" in text
    assert "secret" not in text


@pytest.mark.parametrize("command", ["status", "jobs", "dead", "result x", "cancel x", "retry x", "purge q -y"])
def test_asking_makes_no_database(command: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("empty")
    monkeypatch.chdir(folder)
    text = run(*command.split(), code=3).stderr
    assert "there is no database tidewheel.db: the first job or the first worker makes it" in text
    assert list(folder.iterdir()) == []


def test_tidewheel_url_is_the_default_broker(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = rig.publish()
    monkeypatch.setenv("TIDEWHEEL_URL", rig.url)
    assert run("jobs", "-q").stdout == f"{id_}\n"


def test_colors_only_where_they_are_wanted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.dead()
    assert "\x1b[" in rig("dead", color=True).stdout
    assert "\x1b[" not in rig("dead").stdout
    assert "\x1b[" not in rig("-C", "dead", color=True).stdout
    assert "\x1b[" not in rig("dead", "-C", color=True).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in rig("dead", color=True).stdout


def test_the_console_script_and_the_module_are_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("empty")
    assert tidewheel("--version", cwd=folder).stdout == f"tidewheel {package.__version__}\n"
    assert tidewheel("status", cwd=folder, code=3).stdout == ""
