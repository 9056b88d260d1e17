from __future__ import annotations

import json

import pytest
from cli_rig import Rig, run

from tidewheel.ids import job_id

FIELDS = {
    "id", "state", "task", "queue", "priority", "published", "due", "started", "finished", "expires", "key", "worker", "deliveries",
    "attempts", "strikes", "losses", "cancel_requested", "reason", "error",
}  # fmt: skip


def test_a_table_newest_first_with_whole_ids(rig: Rig) -> None:
    first, second = rig.publish("mail.send"), rig.publish("mail.send", delay=3600.0)
    head, *rows = rig("jobs").stdout.splitlines()
    assert head.split() == ["ID", "STATE", "TASK", "QUEUE", "FAILED", "AGE", "TIMING"]
    assert [r.split()[0] for r in rows] == [second, first]
    assert rows[0].split()[1] == "scheduled"
    assert "due in 1h" in rows[0] or "due in 59m" in rows[0]


def test_json_and_jsonl_say_the_same(rig: Rig) -> None:
    rig.dead()
    rig.publish()
    items = rig.json("jobs")
    lines = [json.loads(line) for line in rig("jobs", "-o", "jsonl").stdout.splitlines()]
    assert items == lines
    assert all(set(i) == FIELDS for i in items)
    assert items[1]["error"] == {"type": "shop.Boom", "message": "no such user\x1b[2J"}
    assert items[1]["published"].endswith("Z")


def test_no_arguments_in_a_list(rig: Rig) -> None:
    rig.publish("mail.send", "the secret")
    for output in ("table", "json", "jsonl"):
        assert "the secret" not in rig("jobs", "-o", output).output


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--state", "dead"], ["dead"]),
        (["--queue", "mail"], ["mail"]),
        (["-Q", "mail", "--task", "mail.send"], ["mail"]),
        (["--task", "list"], ["task"]),
        (["--limit", "1"], ["task"]),
        (["--state", "expired"], []),
    ],
)
def test_filters(rig: Rig, options: list[str], expected: list[str]) -> None:
    ids = {"dead": rig.dead(), "mail": rig.publish("mail.send", queue="mail"), "task": rig.publish("list")}
    assert [j["id"] for j in rig.json("jobs", *options)] == [ids[e] for e in expected]
    assert [j["id"] for j in rig.json("jobs", "list", *options)] == [ids[e] for e in expected]


def test_pages(rig: Rig) -> None:
    ids = [rig.publish() for _ in range(5)][::-1]
    page = rig("jobs", "--limit", "2")
    assert f"older ones: --before {ids[1]}" in page.stderr
    assert [j["id"] for j in rig.json("jobs", "--limit", "2", "--before", ids[1])] == ids[2:4]
    assert rig("jobs", "--limit", "9", "-q").stdout.split() == ids


def test_nothing_found_is_no_error_and_says_so_beside_the_list(rig: Rig) -> None:
    found = rig("jobs")
    assert (found.stdout, found.stderr) == ("", "no such jobs\n")
    assert rig.json("jobs") == []
    assert rig("jobs", "-o", "jsonl").stdout == ""


@pytest.mark.parametrize("options", [["--state", "sleeping"], ["--limit", "0"], ["--nonsense"], ["list", "surplus"]])
def test_usage_errors(rig: Rig, options: list[str]) -> None:
    rig("jobs", *options, code=2)


# -- one job ----------------------------------------------------------------------------------------------------------


def test_show_a_dead_job(rig: Rig) -> None:
    id_ = rig.dead("mail.send", "me@example.com", 7, kwargs={"html": True})
    text = rig("jobs", "show", id_).stdout
    assert f"job       {id_}" in text
    assert "state     dead (failed)" in text
    assert '"me@example.com"' in text
    assert "html = true" in text
    assert "published" in text
    assert "  Traceback (most recent call last):" in text
    assert "shop.Boom: no such user\\x1b[2J" in text
    assert "\x1b" not in text


def test_show_as_json(rig: Rig) -> None:
    id_ = rig.dead("mail.send", "me@example.com", kwargs={"html": True}, headers={"trace": "1"})
    found = rig.json("jobs", "show", id_)
    assert set(found) == FIELDS | {"args", "kwargs", "value", "headers", "progress", "history"}
    assert (found["args"], found["kwargs"], found["value"]) == (["me@example.com"], {"html": True}, None)
    assert found["headers"] == {"trace": "1"}
    assert found["error"]["traceback"].startswith("Traceback")
    assert [h["event"] for h in found["history"]] == ["dead"]
    assert found["history"][0]["error"]["type"] == "shop.Boom"


def test_no_args_hides_arguments_and_value(rig: Rig) -> None:
    id_ = rig.publish("mail.send", "the secret", kwargs={"key": "the secret"})
    done = rig.succeeded("the value", queue="other")
    for output in ("table", "json"):
        assert "the secret" in rig("jobs", "show", id_, "-o", output).stdout
        assert "the secret" not in rig("jobs", "show", id_, "--no-args", "-o", output).stdout
        assert "the value" in rig("jobs", "show", done, "-o", output).stdout
        assert "the value" not in rig("jobs", "show", done, "--no-args", "-o", output).stdout


def test_a_retried_job_tells_its_story(rig: Rig) -> None:
    id_ = rig.retried()
    lines = rig("jobs", "show", id_).stdout.splitlines()
    story = lines[lines.index("timeline") + 1 :]
    events = [line.split()[3] for line in story]
    assert events[0] == "published"
    assert "retry" in events
    assert any("shop.Boom: no such user" in line for line in story)
    assert any(line.split()[2:5] == ["in", "1m", "due"] or "due" in line for line in story)


def test_values_that_json_cannot_say_are_still_shown(rig: Rig) -> None:
    id_ = rig.publish("t", b"\xff\x00", float("nan"), {1: "one"})
    assert rig("jobs", "show", id_).stdout
    assert len(rig.json("jobs", "show", id_)["args"]) == 3


def test_arguments_that_cannot_be_decoded(rig: Rig) -> None:
    from tidewheel.core.job import Envelope

    id_ = job_id()
    rig.app.backend.broker.publish([Envelope(id=id_, task="t", body=b"\xc1 not a call")])
    assert "the arguments cannot be decoded" in rig("jobs", "show", id_).stdout
    assert rig.json("jobs", "show", id_)["args"] is None


def test_an_ended_job_has_no_arguments_any_more(rig: Rig) -> None:
    id_ = rig.succeeded()
    assert "arguments are forgotten when a job ends" in rig("jobs", "show", id_).stdout


@pytest.mark.parametrize(
    ("id_", "text"),
    [
        ("a new one", "no job"),
        ("nonsense", "'nonsense' is not a job id"),
        ("01800000-0000-7000-8000-000000000000", "its result's time to live is over"),
    ],
)
def test_an_unknown_id(rig: Rig, id_: str, text: str) -> None:
    assert text in rig("jobs", "show", id_ if id_ != "a new one" else job_id(), code=3).stderr


def test_help_of_the_group() -> None:
    text = run("jobs", "--help").stdout
    assert "list  List jobs" in text
    assert "Without a name it is list" in text
