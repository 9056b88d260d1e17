from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_rig import BOOM, Rig

from tidewheel.contract import JobFilter, Settlement
from tidewheel.core.job import JobView
from tidewheel.core.outcome import Cancelled, Dead, Expired, Succeeded
from tidewheel.ids import job_id
from tidewheel.wire.call import decode_call
from tidewheel.wire.failures import encode_error
from tidewheel.wire.values import encode

Write = Callable[..., Path]

SHOP = """
from datetime import date
from tidewheel import Tidewheel
print("hello from the module")
app = Tidewheel("memory://not-this-one")

@app.task(queue="mail", priority=3)
def send(to: str, copies: int = 1, *, when: date | None = None): ...

@app.task(context=True)
def with_context(job, number: int): ...
"""


@pytest.fixture
def shop(rig: Rig, project: Write) -> Rig:
    project(shop_app=SHOP)
    return rig


def published(rig: Rig) -> JobView:
    (view,) = rig.app.browse().jobs(JobFilter())
    found = rig.app.browse().job(view.id)
    assert found is not None
    return found


# -- call -------------------------------------------------------------------------------------------------------------


def test_call_prints_the_id_and_nothing_else(shop: Rig) -> None:
    done = shop("-A", "shop_app", "call", "shop_app.send", "--args", '["me@example.com", 2]', "--kwargs", '{"when": "2027-03-01"}')
    job = published(shop)
    assert done.stdout == f"{job.id}\n"
    assert done.stderr == "hello from the module\n"  # what the user's module prints is not our output
    assert (job.task, job.queue, job.priority, job.state) == ("shop_app.send", "mail", 3, "ready")
    assert decode_call(job.body) == (["me@example.com", 2], {"when": "2027-03-01"})


def test_options_of_the_call(shop: Rig) -> None:
    shop(
        "-A", "shop_app", "call", "shop_app.send", "-a", '["x"]', "--countdown", "10m", "--expires", "1h", "--priority", "-5",
        "--queue", "slow", "--key", "once",
    )  # fmt: skip
    job = published(shop)
    assert (job.queue, job.priority, job.key, job.state) == ("slow", -5, "once", "scheduled")
    assert job.due is not None
    assert job.expires is not None
    assert 599 < job.due - job.published < 601
    assert 3599 < job.expires - job.published < 3601


def test_eta_and_expires_as_moments(shop: Rig) -> None:
    moment = "2099-03-01T12:00:00+01:00"
    shop("-A", "shop_app", "call", "shop_app.send", "-a", '["x"]', "--eta", moment, "--expires", "2099-03-01T12:00:00Z")
    job = published(shop)
    assert (job.due, job.expires) == (4076046000.0, 4076049600.0)


def test_a_taken_key_is_said(shop: Rig) -> None:
    args = ("-A", "shop_app", "call", "shop_app.send", "-a", '["x"]', "--key", "once")
    first = shop(*args).stdout
    again = shop(*args)
    assert again.stdout == first
    assert "nothing was published: job" in again.stderr
    assert shop.json(*args) == {"id": first.strip(), "task": "shop_app.send", "created": False}


def test_the_context_is_no_argument_of_the_call(shop: Rig) -> None:
    shop("-A", "shop_app", "call", "shop_app.with_context", "-a", "[7]")
    shop("-A", "shop_app", "call", "shop_app.with_context", "-a", "[7, 8]", code=2)


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["call", "shop_app.send", "-a", "[]"], 2, "missing a required argument: 'to'"),
        (["call", "shop_app.send", "-a", "[7]"], 2, "to: Expected `str`, got `int`"),
        (["call", "shop_app.send", "-a", '["x"]', "-k", '{"when": "soon"}'], 2, "when: Invalid"),
        (["call", "shop_app.send", "-a", "['x']"], 2, "not JSON"),
        (["call", "shop_app.send", "-a", '{"to": "x"}'], 2, "expected a list"),
        (["call", "shop_app.send", "-k", "[]"], 2, "expected an object"),
        (["call", "shop_app.send", "-a", '["x"]', "--eta", "2099-03-01T12:00"], 2, "add an offset"),
        (["call", "shop_app.send", "-a", '["x"]', "--countdown", "soon"], 2, "no duration"),
        (["call", "shop_app.send", "-a", '["x"]', "--priority", "101"], 2, "-100<=x<=100"),
        (["call", "shop_app.send", "-a", '["x"]', "--queue", "a b"], 2, "not a valid name"),
        (["call", "shop_app.sned"], 3, "no task 'shop_app.sned' in the app; did you mean shop_app.send or"),
        (["call", "send"], 3, "did you mean shop_app.send?"),
        (["call", "xyzzy"], 3, "there are: shop_app.send, shop_app.with_context"),
        (["call"], 2, "Missing argument 'TASK'"),
    ],
)
def test_mistakes_end_before_anything_is_sent(shop: Rig, args: list[str], code: int, text: str) -> None:
    assert text in shop("-A", "shop_app", *args, code=code).stderr
    assert not shop.app.counts()


def test_call_needs_an_app(rig: Rig) -> None:
    assert "which app? Name its module with -A" in rig("call", "x", code=2).stderr


def test_wait_prints_the_value(shop: Rig) -> None:
    def work() -> None:
        (delivery,) = worker.claim(["mail"], 1, 30.0)
        worker.settle([Settlement(delivery.id, delivery.token, Succeeded(encode({"sent": True})))])

    worker = shop.worker(queues=["mail"])
    thread = threading.Thread(target=work)
    thread.start()
    done = shop("-A", "shop_app", "call", "shop_app.send", "-a", '["x"]', "--wait", "30")
    thread.join()
    assert done.stdout == '{"sent":true}\n'
    assert "job 0" in done.stderr


def test_wait_is_over(shop: Rig) -> None:
    done = shop("-A", "shop_app", "call", "shop_app.send", "-a", '["x"]', "--wait", "10ms", code=5)
    assert "is ready and has not ended within 0.01 s; it goes on" in done.stderr


# -- result -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 42, "text", [1, {"a": 2.5}], True])
def test_a_value_is_printed_as_json(rig: Rig, value: object) -> None:
    assert json.loads(rig("result", rig.succeeded(value)).stdout) == value


def test_result_as_json(rig: Rig) -> None:
    id_ = rig.succeeded(42)
    found = rig.json("result", id_)
    assert found.pop("finished").endswith("Z")
    assert found == {"id": id_, "state": "succeeded", "value": 42, "reason": None, "attempts": 0, "error": None}


def test_a_value_cannot_drive_the_terminal(rig: Rig) -> None:
    nasty = "\x1b[2J\x9b2J\u202e\x7f"
    id_ = rig.succeeded(nasty)
    for args in (["result", id_], ["result", id_, "-o", "json"], ["result", id_, "-o", "jsonl"], ["jobs", "show", id_]):
        text = rig(*args).stdout
        assert not set(nasty) & set(text) - set("[2J")
    assert json.loads(rig("result", id_).stdout) == rig.json("result", id_)["value"] == nasty


def test_a_dead_job(rig: Rig) -> None:
    id_ = rig.publish()
    rig.run_one(Dead("poison", encode_error(BOOM)))
    done = rig("result", id_, code=1)
    assert done.stdout == ""
    assert f"job {id_} is dead (poison): shop.Boom: no such user" in done.stderr
    assert "\x1b" not in done.stderr
    assert "Traceback" not in done.stderr
    assert 'File "shop.py", line 3' in rig("-v", "result", id_, code=1).stderr
    assert rig.json("result", id_, code=1)["error"]["type"] == "shop.Boom"


@pytest.mark.parametrize(("outcome", "text"), [(Cancelled(), "was cancelled"), (Expired(), "expired before it was started")])
def test_other_ends(rig: Rig, outcome: Cancelled | Expired, text: str) -> None:
    id_ = rig.publish()
    rig.run_one(outcome)
    assert text in rig("result", id_, code=1).stderr


def test_not_ended_yet(rig: Rig) -> None:
    id_ = rig.publish()
    assert "is ready and has not ended; --wait 60 waits" in rig("result", id_, code=5).stderr
    assert "within 0.01 s; it goes on" in rig("result", id_, "--wait", "0.01", code=5).stderr


def test_an_unknown_job(rig: Rig) -> None:
    assert "no job" in rig("result", job_id(), code=3).stderr
    assert "is not a job id" in rig("result", "42", code=3).stderr
