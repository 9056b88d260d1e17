from __future__ import annotations

import io
import json

import msgspec
import pytest

from tidewheel.contract import Description
from tidewheel.observe import logs
from tidewheel.observe.banner import Banner, announce, banner

INFO = Banner(
    version="1.2.3", worker="web-1", app="shop.tasks", pool="processes", concurrency=8, queues=("default", "mail"),
    tasks=("mail.send", "orders.bill"),
    broker=Description(
        engine="SQLite", version="3.45.1", url="sqlite:////srv/shop.db", level="power loss", durability="A job survives a power cut.",
        notes=("something to know",),
    ),
)  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_banner_says_what_runs_where_and_how_safe_it_is() -> None:
    assert banner(INFO).splitlines() == [
        "",
        "tidewheel 1.2.3  web-1",
        "",
        "  app        shop.tasks",
        "  broker     sqlite:////srv/shop.db (SQLite 3.45.1)",
        "  durability power loss: A job survives a power cut.",
        "  pool       processes x 8",
        "  queues     default, mail",
        "  tasks      mail.send",
        "             orders.bill",
        "  note       something to know",
    ]


def test_long_sentences_are_wrapped() -> None:
    wordy = msgspec.structs.replace(INFO, broker=msgspec.structs.replace(INFO.broker, notes=("word " * 30,)))
    lines = [line for line in banner(wordy, width=50).splitlines() if "word" in line]
    assert len(lines) > 3
    assert all(len(line) <= 50 for line in lines)


def test_color_is_asked_for() -> None:
    assert "\x1b[" not in banner(INFO)
    assert "\x1b[" in banner(INFO, color=True)


def test_many_tasks_are_counted_and_none_is_pointed_out() -> None:
    many = msgspec.structs.replace(INFO, tasks=tuple(f"t{n:03}" for n in range(50)))
    assert "... and 30 more" in banner(many)
    assert "t020" not in banner(many)
    assert "none: does the module that -A names import" in banner(msgspec.structs.replace(INFO, tasks=()))


def test_elsewhere_than_on_a_terminal_it_is_one_line_of_json() -> None:
    stream = io.StringIO()
    logs.setup("info", stream=stream)
    announce(INFO, stream=stream)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["worker"], line["pool"], line["concurrency"]) == ("worker.settings", "web-1", "processes", 8)
    assert line["queues"] == ["default", "mail"]
    assert line["durability"] == "power loss"


@pytest.mark.parametrize("level", ["info", "error"])
def test_on_a_terminal_it_is_the_banner_whatever_the_level(level: str) -> None:
    stream = Terminal()
    logs.setup(level, stream=stream)
    announce(INFO, stream=stream, color=False)
    assert stream.getvalue() == banner(INFO) + "\n"
