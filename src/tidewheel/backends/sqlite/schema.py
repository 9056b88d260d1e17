"""The tables, and how a database gets from an older version of them to ours.

`application_id` says that a file is ours; `user_version` is the number of the last migration. The hundreds of that number are the
generation: within one, migrations only add, so that older code goes on working with a newer file (a rolling deploy); a newer
generation is refused.
"""

from __future__ import annotations

import sqlite3

from tidewheel.backends.scripts import listing, script
from tidewheel.errors import BrokerCorrupt

PACKAGE = "tidewheel.backends.sqlite"
APPLICATION_ID = 0x54696465
""""Tide"."""
TABLES = frozenset({"job", "payload", "history", "worker", "archive"})


def statement(name: str) -> str:
    """The statement `sql/<name>.sql`."""
    return script(PACKAGE, f"sql/{name}.sql")


def migrations() -> dict[int, str]:
    """Number -> script, in order."""
    return {
        int(name.split("_")[0]): script(PACKAGE, f"migrations/{name}") for name in listing(PACKAGE, "migrations") if name.endswith(".sql")
    }


def check(db: sqlite3.Connection, path: str, *, shared: bool = False) -> int:
    """The version of the tables in a file, 0 for a new one. Raises `BrokerCorrupt` for one that is not ours or too new.

    `shared`: tables of another program may be in it, as long as it uses neither our names nor the two numbers in the file's header.
    """
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (objects,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and shared and not application and not version:
        taken = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')") if name.lower() in TABLES]
        if taken:
            raise BrokerCorrupt(f"{path}: the table {taken[0]!r} is another program's, and Tidewheel needs that name; give it its own file")
        return 0
    if application != APPLICATION_ID and (application or version or objects):
        raise BrokerCorrupt(
            f"{path} is a SQLite database of another program; give Tidewheel a file of its own, or say ?shared=yes to use one for both"
        )
    newest = max(migrations())
    if version // 100 > newest // 100:
        raise BrokerCorrupt(
            f"{path} was written by a newer version of Tidewheel (schema {version}; this one knows {newest}): upgrade Tidewheel here"
        )
    return int(version)


def migrate(db: sqlite3.Connection, path: str, *, shared: bool = False) -> None:
    """Bring the tables up to date, each step all or nothing. The caller holds the writer mutex."""
    version = check(db, path, shared=shared)
    for number, text in migrations().items():
        if number > version:
            # executescript commits whatever is open before it starts, so the transaction is part of the script.
            db.executescript(
                f"BEGIN IMMEDIATE;\n{text}\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number};\nCOMMIT;"
            )
