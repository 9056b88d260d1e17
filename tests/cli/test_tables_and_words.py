from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import pytest

from tidewheel.cli.tables import Column, cut, pad, render, width
from tidewheel.cli.words import age, clock, duration, duration_or_moment, iso, json_list, json_object, memory, moment, shown, size


@pytest.mark.parametrize(
    ("text", "columns"), [("abc", 3), ("海上明月", 8), ("e\u0301", 1), ("🚀", 2), ("a\u200db", 2), ("", 0), ("\uff46\uff55", 4)]
)
def test_width_is_what_a_terminal_needs(text: str, columns: int) -> None:
    assert width(text) == columns


def test_cut_never_takes_more_than_it_may() -> None:
    assert cut("abcdef", 4) == "abc…"
    assert cut("海上明月", 5) == "海上…"
    assert cut("海上明月", 4) == "海…"
    assert cut("abc", 3) == "abc"
    assert cut("abc", 0) == ""


def test_pad() -> None:
    assert pad("海", 4) == "海  "
    assert pad("7", 3, right=True) == "  7"


def key(name: str) -> Any:
    return lambda item: str(item[name])


COLUMNS = [Column("ID", key("id")), Column("NAME", key("name"), shrink=True), Column("N", key("n"), right=True)]
ITEMS: list[Mapping[str, Any]] = [{"id": "a" * 10, "name": "海上明月" * 5, "n": 7}, {"id": "b", "name": "x\x1b[2J", "n": 12345}]


def test_a_table_is_aligned_by_display_width() -> None:
    head, *rows = click.unstyle(render(COLUMNS, ITEMS, None)).splitlines()
    assert head == "ID          NAME" + " " * 42 + "N"
    assert {width(r) for r in (head, *rows)} == {width(head)}
    assert "x\\x1b[2J" in rows[1]


@pytest.mark.parametrize("terminal", [80, 50, 40, 30])
def test_a_table_fits_the_terminal_and_ids_stay_whole(terminal: int) -> None:
    lines = click.unstyle(render(COLUMNS, ITEMS, terminal)).splitlines()
    assert all(width(line) <= terminal for line in lines)
    assert "a" * 10 in lines[1]


def test_a_terminal_that_is_too_narrow_gets_lines_that_are_too_long() -> None:
    assert "a" * 10 in render(COLUMNS, ITEMS, 5)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""), (0, "0.0s"), (0.26, "0.3s"), (9.97, "10s"), (42.4, "42s"), (90, "1m30s"), (700, "11m"), (3600, "1h"), (12000, "3h20m"),
        (86400 * 2 + 3600 * 4, "2d4h"), (-5, "-5.0s"),
    ],
)  # fmt: skip
def test_age(seconds: float | None, text: str) -> None:
    assert age(seconds) == text


def test_moments() -> None:
    assert iso(0.0) == "1970-01-01T00:00:00.000Z"
    assert iso(None) is None
    assert clock(None) == ""
    assert len(clock(0.0)) == 19


def test_size() -> None:
    assert [size(n) for n in (0, 999, 1000, 4_200_000, 1.5e9, 2e12)] == ["0 B", "999 B", "1.0 kB", "4.2 MB", "1.5 GB", "2.0 TB"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("1.5m", 90.0), ("250ms", 0.25), ("2h", 7200.0), (" 1 D ", 86400.0), ("0.5", 0.5)]
)
def test_duration(text: str, seconds: float) -> None:
    assert duration(text) == duration_or_moment(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1", "1y", "1 2", "nan", "inf"])
def test_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        duration(text)


@pytest.mark.parametrize(
    ("text", "bytes_"), [("200", 200 * 1024), ("200M", 200 * 1024**2), ("1.5g", 1536 * 1024**2), ("64 KiB", 65536), ("1mb", 1024**2)]
)
def test_memory_is_in_kib_as_celery_has_it_unless_it_says_more(text: str, bytes_: int) -> None:
    assert memory(text) == bytes_


@pytest.mark.parametrize("text", ["", "0", "many", "-1", "1T"])
def test_no_memory(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no size"):
        memory(text)


def test_moment_wants_a_time_zone() -> None:
    assert moment("2027-03-01T12:00:00Z").timestamp() == 1803902400.0
    assert moment("2027-03-01 12:00+02:00").timestamp() == 1803895200.0
    with pytest.raises(click.BadParameter, match="add an offset"):
        moment("2027-03-01T12:00:00")
    with pytest.raises(click.BadParameter, match="no time"):
        moment("tomorrow")


def test_json() -> None:
    assert json_list('[1, "two"]') == [1, "two"]
    assert json_object("{}") == {}
    for bad in ("", "{}", "1", "[1,"):
        with pytest.raises(click.BadParameter):
            json_list(bad)


def test_shown_says_everything_somehow() -> None:
    assert shown({"a": [1, None]}) == '{"a":[1,null]}'
    assert shown({1, 2}) in ("[1,2]", "[2,1]")
    assert "object at" in shown(object())
    assert shown(2**80)
