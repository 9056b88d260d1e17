"""docs/reference/celery.md names what the code has, and nothing else."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest

from tidewheel.celery import signals
from tidewheel.celery.app.control import INSTEAD
from tidewheel.celery.app.setting_names import NO_EFFECT, WORKS
from tidewheel.celery.app.task import EXECUTION
from tidewheel.celery.app.wiring import OTHER_STORES

PAGE = (Path(__file__).parents[2] / "docs/reference/celery.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the tables below a heading, up to the next one."""
    part = re.split(r"^#+ ", PAGE.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return [[c.strip() for c in line.strip("|").split(" | ")] for line in part.splitlines() if line.startswith("| `")]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_setting_is_there_with_its_old_name_or_its_reason() -> None:
    told = {
        (names(r[0])[0], names(r[1])[0]) for r in rows("Settings") if len(names(r[0])) == 1 and names(r[1])[:1] and r[1].startswith("`")
    }
    assert {(new, old) for new, old, _ in WORKS} <= told
    reasons = {tuple(names(r[0])): r[1].rstrip(" |") for r in rows("Settings")}
    for reason, settings in NO_EFFECT.items():
        assert reasons[tuple(n for n, _, _ in settings)] == reason


def test_every_signal_is_there_as_sent_or_not() -> None:
    told = {name: "never sent" not in row[1] for row in rows("Signals") for name in names(row[0])}
    assert told == {name: getattr(signals, name).sent for name in signals.__all__ if name != "Signal"}


def test_the_modules_have_what_is_said() -> None:
    for row in rows("Import lines"):
        module = importlib.import_module(names(row[0])[0])
        assert [n for n in names(row[1]) if not hasattr(module, n)] == [], row


def test_what_control_refuses() -> None:
    (refused,) = [names(r[0]) for r in rows("Control") if "not there" in r[1]]
    assert {n.removeprefix("inspect().") for n in refused} <= set(INSTEAD) | {"election"}


def test_options_of_a_call_that_a_task_declares() -> None:
    works = names(rows("Tasks")[0][0])
    assert set(EXECUTION) <= set(works)


def test_every_other_store_is_covered() -> None:
    assert {"django-db", "django-cache", "cache", "db", "file", "amqp", "mongodb"} <= set(OTHER_STORES)
    assert "Celery's other ones" in PAGE


def test_sub_modules_are_attributes() -> None:
    from tidewheel import celery

    assert celery.result.AsyncResult.__name__ == "AsyncResult"
    assert celery.schedules.crontab(minute=1).minute == {1}
    with pytest.raises(AttributeError, match=r"docs/reference/celery\.md"):
        _ = celery.bootsteps


def test_the_sed_of_the_how_to(tmp_path: Path) -> None:
    """What the page tells people to run, run."""
    page = (Path(__file__).parents[2] / "docs/howto/from-celery.md").read_text()
    command = re.search(r"^\$ (grep .*?)\n```", page, re.MULTILINE | re.DOTALL)
    assert command is not None
    before = (
        "import celery\nimport celery.result\nimport celery_tasks\nfrom celery import Celery\nfrom celery.schedules import crontab\n"
        "from celery_tasks.celery import app\nif True:\n    from celery import shared_task\n# from celery to celery\ncelery.Celery\n"
    )
    after = (
        "from tidewheel import celery\nfrom tidewheel import celery\nimport celery_tasks\nfrom tidewheel.celery import Celery\n"
        "from tidewheel.celery.schedules import crontab\nfrom celery_tasks.celery import app\nif True:\n"
        "    from tidewheel.celery import shared_task\n# from celery to celery\ncelery.Celery\n"
    )
    (tmp_path / "a.py").write_text(before)
    subprocess.run(["bash", "-c", command[1]], cwd=tmp_path, check=True)
    assert (tmp_path / "a.py").read_text() == after
