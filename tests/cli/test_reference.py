"""docs/reference/cli.md says everything that there is, and nothing that there is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tidewheel.cli.root import COMMANDS, Command, Nested, root

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
OPTION = r"(?<![\w-])--?[a-zA-Z][a-z-]*"


def section(title: str) -> str:
    """The text below a heading, up to the next of its own or a higher level."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |^### |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no section {title!r}"
    return found[2]


def commands() -> Iterator[tuple[str, click.Command]]:
    for name in COMMANDS:
        command = root.get_command(click.Context(root), name)
        assert command is not None
        yield name, command
        if isinstance(command, Nested):
            for sub, nested in command.commands.items():
                yield f"{name} {sub}", nested


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda x: x if isinstance(x, str) else "")
def test_every_option_of_every_command(name: str, command: click.Command) -> None:
    text = section(name)
    shared = command.shared if isinstance(command, (Command, Nested)) else []
    for option in command.params:
        if isinstance(option, click.Option) and option not in shared:
            for spelling in option.opts:
                assert f"`{spelling}" in text, f"{spelling} is not in the section {name!r}"


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda x: x if isinstance(x, str) else "")
def test_no_option_that_there_is_not(name: str, command: click.Command) -> None:
    there = {o for p in command.params for o in p.opts}
    rows = [line.split("|")[1] for line in section(name).splitlines() if line.startswith("| `-")]
    assert {o for row in rows for o in re.findall(OPTION, row)} <= there


def test_the_options_of_all_commands() -> None:
    text = section("Options of all commands")
    for option in root.params:
        for spelling in option.opts:
            assert f"`{spelling}" in text
