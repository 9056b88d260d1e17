"""Docs that cannot lie: every snippet runs, every link leads somewhere, every table names what the code has."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import pytest
from pages import PAGES, ROOT, Page, blocks, commands, compare

from tidewheel import errors, events
from tidewheel.core import options
from tidewheel.core.job import State
from tidewheel.core.outcome import AnyEnding

ALL_PAGES = sorted({*PAGES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})
RUN = [page for page in PAGES if any(b.language in ("python", "console") and b.why_not is None for b in blocks(page.read_text()))]


REASONS = {"failed", "aborted", "time limit", "poison", "bad arguments", "undecodable", "unknown task"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", RUN, ids=name)
@pytest.mark.timeout(300)
def test_snippets_run(page: Path, tmp_path: Path) -> None:
    Page(page, tmp_path).run()


@pytest.mark.parametrize("page", ALL_PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            dead.append(link)
    assert dead == []


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def test_what_is_not_run_says_why() -> None:
    left_out = [(name(page), b.line, b.why_not) for page in PAGES for b in blocks(page.read_text()) if b.why_not is not None]
    assert all(why and len(why) > 10 for _, _, why in left_out)
    assert len(left_out) < 15, f"too much of the documentation is only shown: {left_out}"


def page_text(path: str) -> str:
    return (ROOT / path).read_text()


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("docs/reference/options.md", options.Options.__struct_fields__ + options.Retry.__struct_fields__),
        ("docs/reference/errors.md", errors.__all__),
        ("docs/reference/events.md", [e.__name__ for e in events.ALL_EVENTS]),
        ("docs/reference/events.md", sorted({f for e in events.ALL_EVENTS for f in e.__struct_fields__})),
        ("docs/reference/contract.md", typing.get_args(State)),
        ("docs/reference/contract.md", [e.__name__ for e in AnyEnding.__args__]),
    ],
    ids=["options", "errors", "events", "fields of events", "states", "endings"],
)
def test_reference_names_everything(path: str, names: typing.Iterable[str]) -> None:
    text = page_text(path)
    assert [n for n in names if f"`{n}`" not in text] == []


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("docs/reference/options.md", {*options.Options.__struct_fields__, *options.Retry.__struct_fields__}),
        ("docs/reference/errors.md", {*errors.__all__, *REASONS}),
        ("docs/reference/events.md", {e.__name__ for e in events.ALL_EVENTS}),
    ],
)
def test_reference_names_nothing_else(path: str, known: set[str]) -> None:
    cells = re.findall(r"^\| ([^|]*`[^|]*) \|", page_text(path), re.MULTILINE)
    first_column = {n for cell in cells for n in re.findall(r"`([^`]+)`", cell)}
    assert first_column - known == set()


def test_reasons_are_those_of_the_code() -> None:
    source = (ROOT / "src/tidewheel/core/outcome.py").read_text()
    assert set(re.findall(r'(?:Dead|_failed)\("([a-z ]+)"', source)) == REASONS


def test_reference_names_the_defaults() -> None:
    text = page_text("docs/reference/options.md")
    for struct in (options.Options, options.Retry):
        for field, default in zip(struct.__struct_fields__, struct.__struct_defaults__, strict=True):
            row = re.search(rf"^\| `{field}` \|.*$", text, re.MULTILINE)
            assert row, f"no row for {field}"
            if isinstance(default, (int, float)) and not isinstance(default, bool):
                assert f"| {default:g} |" in row[0], f"{row[0]}: the default is {default:g}"


# -- the convention itself --------------------------------------------------------------------------------------------


def test_blocks_and_commands() -> None:
    page = (
        "a\n\n```python\nx = 1\n```\n\n```text\n1\n```\n\nb\n\n"
        "<!-- not run: no network here -->\n```console\n$ ls \\\n  -l\nout …\n$ pwd\n```\n"
    )
    first, second, third = blocks(page)
    assert (first.language, first.text, first.line, first.why_not) == ("python", "x = 1\n", 4 - 1, None)
    assert second.follows is first
    assert (third.follows, third.why_not) == (None, "no network here")
    assert list(commands(third.text)) == [("ls \\\n  -l", "out …"), ("pwd", "")]


def test_compare_notices_a_difference() -> None:
    compare("a … c\n", "a b  c", "here")
    with pytest.raises(AssertionError, match="the page shows"):
        compare("a c", "a b c", "here")


@pytest.mark.parametrize(
    "block",
    ["```python\n1 / 0\n```", "```console\n$ false\n```", "```console\n$ echo a\nb\n```", "```python\nprint(1)\n```\n```text\n2\n```"],
)
def test_a_page_that_lies_fails(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.ROOT", tmp_path)
    (tmp_path / "lie.md").write_text(block + "\n")
    with pytest.raises(AssertionError):
        Page(tmp_path / "lie.md", tmp_path).run()
