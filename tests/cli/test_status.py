from __future__ import annotations

import pytest
from cli_rig import Rig

from tidewheel.backends import memory
from tidewheel.contract import Backend


def test_queues_workers_and_the_broker(rig: Rig) -> None:
    rig.worker("web-1")
    rig.dead()
    rig.running()
    rig.publish()
    rig.publish(delay=3600.0)
    text = rig("status").output
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert rows["durability"][1] == "volatile:"
    assert rows["QUEUE"] == ["QUEUE", "READY", "SCHEDULED", "RUNNING", "DEAD", "OLDEST", "WORKERS"]
    assert rows["default"][:5] == ["default", "1", "1", "1", "1"]
    assert rows["default"][-1] == "1"
    assert rows["web-1"][:2] == ["web-1", "host"]
    assert rows["web-1"][3:] == ["processes", "x", "4", "default", "1", "1m30s"]


def test_json(rig: Rig) -> None:
    rig.worker("web-1", ["default", "mail"])
    rig.publish()
    found = rig.json("status")
    assert list(found) == ["broker", "queues", "workers", "problems"]
    assert found["broker"] == {
        "engine": "memory", "version": "", "url": rig.url, "level": "volatile",
        "durability": "Jobs live in this process only and end with it.",
        "delivery": "At least once, and one outcome is accepted.", "cannot": [],
        "notes": ["Other processes do not see these jobs: use sqlite:///tidewheel.db to keep them."], "results": None,
    }  # fmt: skip
    oldest = found["queues"][0].pop("oldest_seconds")
    assert 0 <= oldest < 60
    assert found["queues"] == [
        {"queue": "default", "ready": 1, "scheduled": 0, "running": 0, "dead": 0, "workers": 1},
        {"queue": "mail", "ready": 0, "scheduled": 0, "running": 0, "dead": 0, "oldest_seconds": None, "workers": 1},
    ]
    (worker,) = found["workers"]
    assert (worker["name"], worker["queues"], worker["pool"], worker["running"]) == ("web-1", ["default", "mail"], "processes", 0)
    assert set(worker) == {
        "name", "id", "host", "pid", "queues", "pool", "concurrency", "running", "started", "seen", "version",
    }  # fmt: skip
    assert found["problems"] == []


def test_what_a_broker_cannot_do_alone_is_said_with_its_mend(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = rig.app.backend
    monkeypatch.setattr(memory, "connect", lambda url: Backend(backend.broker, browse=backend.browse))
    text = rig("status").output
    assert "cannot      keep results, cancel jobs: give it a store for that" in text
    assert rig.json("status")["broker"]["cannot"] == ["keep results", "cancel jobs"]
    (finding,) = [f for f in rig.json("doctor")["findings"] if f["check"] == "roles"]
    assert finding["level"] == "warning"
    assert "results=" in finding["fix"]


def test_jobs_that_nobody_will_run_are_pointed_out(rig: Rig) -> None:
    rig.worker("web-1", ["default"])
    rig.publish(queue="default")
    rig.publish(queue="mail")
    rig.publish(queue="mail")
    sentence = "queue mail has 2 jobs and no worker: start one with tidewheel -A … worker -Q mail"
    assert rig.json("status")["problems"] == [sentence]
    assert sentence in rig("status").stderr


def test_an_empty_broker(rig: Rig) -> None:
    text = rig("status").stdout
    assert "no queues yet" in text
    assert "no workers" in text


def test_quiet_is_the_names_of_the_queues(rig: Rig) -> None:
    rig.publish(queue="b")
    rig.publish(queue="a")
    assert rig("status", "-q").stdout == "a\nb\n"
