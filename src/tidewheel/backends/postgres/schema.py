"""The tables, and how a database gets from an older version of them to ours.

`migrations/` holds numbered steps. Steps only add, so that an older release works on with a newer schema (a rolling deploy); where one
must take away, it raises `compatible_from`, the oldest number of which a release must know to go on. The table `migration` remembers both.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from tidewheel.backends.scripts import listing, script

PACKAGE = "tidewheel.backends.postgres"
NOW = "date_part('epoch', statement_timestamp())"
"""Only the server's clock counts; of a user's long transaction the present moment, not its beginning."""

LEDGER = """CREATE TABLE IF NOT EXISTS {schema}.migration (
  number integer PRIMARY KEY, name text NOT NULL, applied double precision NOT NULL, compatible_from integer NOT NULL
)"""
"""What was applied when."""


class Step(msgspec.Struct, frozen=True):
    """One file of `migrations/`."""

    number: int
    name: str
    compatible_from: int
    text: str


@cache
def steps() -> tuple[Step, ...]:
    """All that this release knows, oldest first."""
    found = []
    for name in listing(PACKAGE, "migrations"):
        if not name.endswith(".sql"):
            continue
        text = script(PACKAGE, f"migrations/{name}")
        needs = re.search(r"^-- compatible from (\d+)$", text, re.MULTILINE)
        found.append(Step(int(name[:3]), name[4:-4].replace("_", " "), int(needs[1]) if needs else 1, text))
    return tuple(found)


def newest() -> int:
    """The number of the last step that this release knows."""
    return steps()[-1].number


@cache
def statement(name: str, schema: str, now: str) -> bytes:
    """The statement `sql/<name>.sql`, without its comment."""
    text = script(PACKAGE, f"sql/{name}.sql")
    lines = [line.strip() for line in text.splitlines() if not line.startswith("--")]
    return fill(re.sub(r"\s*--.*", "", "\n".join(lines)).replace("\n", " "), schema, now).encode()


def fill(text: str, schema: str, now: str = NOW) -> str:
    """With the namespace and the clock in their places."""
    return text.replace("{schema}", f'"{schema}"').replace("{now}", now)


def applied(rows: list[Any]) -> dict[int, float]:
    """Number -> when, of rows of the table `migration`."""
    return {number: when for number, _, when, _ in rows}
