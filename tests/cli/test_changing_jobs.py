"""cancel, retry, dead, purge"""

from __future__ import annotations

import pytest
from cli_rig import Rig
from click.testing import Result

from tidewheel.ids import job_id


def test_cancel(rig: Rig) -> None:
    ready, running = rig.publish(queue="other"), rig.running()
    assert rig.json("cancel", ready, running) == [{"id": ready, "answer": "cancelled"}, {"id": running, "answer": "requested"}]
    assert rig.app.record(ready).state == "cancelled"
    assert "requested" in rig("cancel", running).stdout


def test_cancel_what_has_ended_or_never_was(rig: Rig) -> None:
    ended, unknown = rig.succeeded(), job_id()
    assert rig.json("cancel", ended, code=1) == [{"id": ended, "answer": "ended"}]
    assert rig.json("cancel", ended, unknown, code=3)[1] == {"id": unknown, "answer": "unknown"}
    rig("cancel", code=2)


# -- dead letters -----------------------------------------------------------------------------------------------------


def test_dead_lists_why_and_of_what(rig: Rig) -> None:
    rig.publish(queue="other")
    id_ = rig.dead(reason="poison")
    head, row = rig("dead").stdout.splitlines()
    assert head.split() == ["ID", "TASK", "QUEUE", "REASON", "DIED", "ERROR"]
    assert row.split()[:4] == [id_, "mail.send", "default", "poison"]
    assert "shop.Boom: no such user\\x1b[2J" in row
    assert [j["id"] for j in rig.json("dead")] == [id_]
    assert rig("dead", "-q").stdout == f"{id_}\n"


def test_dead_filters_and_show(rig: Rig) -> None:
    one, two = rig.dead("a", "the secret"), rig.dead("b")
    assert [j["id"] for j in rig.json("dead", "--task", "a")] == [one]
    assert [j["id"] for j in rig.json("dead", "list", "--limit", "1")] == [two]
    assert [j["id"] for j in rig.json("dead", "--before", two)] == [one]
    assert rig.json("dead", "-Q", "other") == []
    assert "the secret" in rig("dead", "show", one).stdout
    assert "the secret" not in rig("dead", "show", one, "--no-args").stdout


def test_retry_some(rig: Rig) -> None:
    one, two = rig.dead(), rig.dead()
    assert rig.json("retry", one) == [{"id": one, "revived": True}]
    assert rig.app.record(one).state == "ready"
    assert rig.app.record(two).state == "dead"
    assert "no such dead job" in rig("retry", one, two, code=3).stdout
    assert rig.app.record(two).state == "ready"


def test_retry_all_or_all_of_a_task_or_queue(rig: Rig) -> None:
    ids = [rig.dead("a"), rig.dead("b"), rig.dead("a")]
    assert {i["id"] for i in rig.json("retry", "--all", "--task", "a")} == {ids[0], ids[2]}
    assert rig.json("retry", "--all", "--queue", "nowhere") == []
    assert [i["id"] for i in rig.json("retry", "--all")] == [ids[1]]
    assert "no dead jobs" in rig("retry", "--all").stderr


def test_retry_all_goes_through_every_page(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidewheel.cli.job.PAGE", 2)
    ids = {rig.dead() for _ in range(5)}
    assert set(rig("retry", "--all", "-q").stdout.split()) == ids


@pytest.mark.parametrize("args", ["retry", "retry x --all", "retry x --task t", "dead delete", "dead delete x --all"])
def test_ids_or_all_but_not_both_and_not_neither(rig: Rig, args: str) -> None:
    assert "name the ids of dead jobs, or say --all" in rig(*args.split(), code=2).stderr


def test_delete(rig: Rig) -> None:
    one, two, three = rig.dead("a"), rig.dead("b"), rig.dead("b")
    assert rig.json("dead", "delete", one, "-y") == [{"id": one, "deleted": True}]
    assert "no such dead job" in rig("dead", "delete", one, "-y", code=3).stdout
    assert {i["id"] for i in rig.json("dead", "delete", "--all", "--task", "b", "-y")} == {two, three}
    assert rig.json("dead", "delete", "--all", "-y") == []


# -- destruction asks -------------------------------------------------------------------------------------------------


def answered(rig: Rig, answer: str, *args: str, code: int, monkeypatch: pytest.MonkeyPatch) -> Result:
    """A person at a terminal who answers."""
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True, raising=False)
    return rig(*args, code=code, input=answer)


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 2), ("\n", 1, 2)])
def test_purge_asks_at_a_terminal(rig: Rig, answer: str, code: int, left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.publish()
    rig.publish(delay=60.0)
    done = answered(rig, answer, "purge", "default", code=code, monkeypatch=monkeypatch)
    assert "This deletes 2 jobs of default for good. Go on?" in done.stderr
    counts = rig.app.counts("default")["default"]
    assert counts.ready + counts.scheduled == left


def test_without_a_terminal_only_y_destroys(rig: Rig) -> None:
    rig.publish(queue="q")
    id_ = rig.dead()
    assert "There is no terminal to ask on: say -y" in rig("purge", "q", code=2).stderr
    assert "say -y" in rig("dead", "delete", id_, code=2).stderr
    assert rig.app.counts("q")["q"].ready == 1
    assert rig.app.record(id_).state == "dead"


def test_purge(rig: Rig) -> None:
    rig.publish(queue="a")
    rig.publish(queue="a", delay=60.0)
    running = rig.running(queue="b")
    dead = rig.dead(queue="b")
    rig.publish(queue="b")
    assert rig.json("purge", "a", "b", "-y") == [{"queue": "a", "deleted": 2}, {"queue": "b", "deleted": 1}]
    assert rig.app.record(running).state == "running"
    assert rig.app.record(dead).state == "dead"
    rig("purge", code=2)


def test_purge_of_an_unknown_queue_names_those_that_there_are(rig: Rig) -> None:
    rig.publish(queue="mail")
    assert "no queue 'mial'; there are: mail" in rig("purge", "mial", "-y", code=3).stderr
