"""A worker of a Django project: Django is set up before the app is imported, and connections, logs and time are as Django has them."""

from __future__ import annotations

import json
from typing import Any

import pytest

POOLS = ["processes", "threads", "asyncio", "gevent", "eventlet", "inline"]


def test_the_project_s_module_may_name_the_settings_itself(project: Any) -> None:
    project.start("-c", "1")
    assert [project.run("order", "tea"), project.run("order", "salt")] == [1, 2]


def test_a_module_that_needs_django_at_its_import(project: Any) -> None:
    project.start("-c", "1", where="early", DJANGO_SETTINGS_MODULE="shop.settings")
    assert project.run("order", "tea") == 1


@pytest.mark.parametrize("pool", POOLS)
def test_both_kinds_of_tasks_use_the_database(project: Any, pool: str) -> None:
    project.start("-P", pool)
    assert sorted([project.run("order", "tea"), project.run("aorder", "salt"), project.run("order", "rice")]) == [1, 2, 3]


def test_the_commands_find_the_tasks(project: Any) -> None:
    called = project.python("-m", "tidewheel", "-A", "shop", "call", "store.tasks.order", "--args", '["tea"]')
    assert project.app.record(called.stdout.strip()).state == "ready"
    refused = project.python("-m", "tidewheel", "-A", "shop", "call", "store.tasks.order", "--args", "[]", check=False)
    assert "missing a required argument: 'name'" in refused.stderr


def test_no_connection_is_inherited(project: Any) -> None:
    project.start("-c", "1", where="early", DJANGO_SETTINGS_MODULE="shop.settings")
    assert project.run("has_connection") is False


@pytest.mark.parametrize(
    ("pool", "task"),  # `def` tasks of the pool asyncio run on any of its threads
    [("processes", "mark"), ("processes", "amark"), ("threads", "mark"), ("threads", "amark"), ("inline", "mark"), ("asyncio", "amark")],
)
def test_a_connection_is_kept_until_it_is_too_old(project: Any, pool: str, task: str) -> None:
    project.start("-P", pool, "-c", "1")
    assert [project.run(task), project.run(task), project.run(task, True), project.run(task)] == [False, True, True, False]


@pytest.mark.parametrize("pool", ["gevent", "eventlet"])
def test_a_greenlet_s_connection_ends_with_its_job(project: Any, pool: str) -> None:
    project.start("-P", pool)
    assert [project.run("mark"), project.run("mark"), project.run("amark"), project.run("amark", True)] == [False, False, False, True]
    assert project.run("amark") is False


def test_both_kinds_beside_each_other_leave_each_other_s_connections_alone(project: Any) -> None:
    project.start("-P", "processes", "-c", "1")
    tasks = ["mark", "amark"] * 2
    assert [project.run(task) for task in tasks] == [False, False, True, True]
    assert [project.run(task, True) for task in tasks] == [True, True, False, False]


def test_time_is_django_s(project: Any) -> None:
    project.start("-c", "1")
    assert project.run("zone") == ["Asia/Kathmandu", "+0545"]


def test_logs_that_the_project_configured_stay_and_ours_are_there_too(project: Any) -> None:
    project.start("-c", "1", "--log-format", "json")
    project.run("order", "tea")
    project.worker.terminate()
    assert project.worker.wait(30) == 0
    lines = project.log.read_text().splitlines()
    assert [line for line in lines if "ordering tea" in line] == ["OWN store.tasks ordering tea"]
    events = [json.loads(line)["event"] for line in lines if line.startswith("{")]
    assert "job.succeeded" in events
    assert events.count("worker.started") == 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("nowhere.settings", "DJANGO_SETTINGS_MODULE=nowhere.settings: there is no module 'nowhere' here; run the command from the folder"),
        ("shop.nothing", "there is no module 'shop.nothing' here"),
        ("shop.improper", "DJANGO_SETTINGS_MODULE=shop.improper: Application labels aren't unique, duplicates: store"),
        ("shop.broken", "RuntimeError: no database today ("),
    ],
)
@pytest.mark.parametrize("command", [["worker"], ["worker", "-P", "inline"], ["call", "store.tasks.order"]])
def test_wrong_settings_are_one_sentence(project: Any, settings: str, says: str, command: list[str]) -> None:
    ran = project.python("-m", "tidewheel", "-A", "early", *command, check=False, DJANGO_SETTINGS_MODULE=settings)
    assert ran.returncode == 2, ran.stderr
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
    if settings == "shop.broken":
        assert "broken.py, line 3)" in ran.stderr


def test_the_variable_means_nothing_without_django(project: Any) -> None:
    code = """
import sys
sys.modules["django"] = None
from tidewheel.locate import locate
sys.path.insert(0, sys.argv[1])
print(locate("plain").name)
"""
    folder = project.log.parent
    (folder / "plain.py").write_text("from tidewheel import Tidewheel\napp = Tidewheel(name='plain')\n")
    assert project.python("-c", code, str(folder), DJANGO_SETTINGS_MODULE="shop.settings").stdout == "plain\n"
