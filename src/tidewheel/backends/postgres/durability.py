"""What survives what, read from the server's settings; and what keeps it from staying fast."""

from __future__ import annotations

from typing import Any, Literal

from tidewheel.backends.keeping import delivery
from tidewheel.backends.postgres.store import Store
from tidewheel.contract import Description

Level = Literal["volatile", "process", "power loss", "replicated"]
OLD = 600.0
"""Seconds. A snapshot older than this keeps dead rows from being cleaned away."""

_SENTENCES: dict[Level, str] = {
    "volatile": "What was accepted survives the end of clients and workers; a crash of the server's machine may leave a damaged database.",
    "process": "What was accepted survives the end of any process but PostgreSQL's own: a crash of the server loses its last moments.",
    "power loss": "What was accepted survives the end of any process and a power cut (each publication and each outcome is synced).",
    "replicated": "What was accepted survives the end of any process, a power cut and the loss of the server: a standby has it, too.",
}


def describe(store: Store) -> Description:
    """What the server guarantees at its present settings. Raises `BrokerError`s."""
    row = store.run("describe")[0]
    version, fsync, commit, pages, standbys, standby, isolation, snapshots, slots, prepared, xids, dead = row
    notes: list[str] = []
    level: Level = "power loss"
    if fsync != "on":
        level = "volatile"
        notes.append("fsync is off: a crash of the machine may destroy the whole database; set fsync = on in postgresql.conf")
    elif commit == "off":
        level = "process"
        notes.append(
            "synchronous_commit is off: a crash of PostgreSQL loses what was accepted in its last moments; set it to on for the user"
            " of the jobs: ALTER ROLE … SET synchronous_commit = on"
        )
    elif standbys and commit in ("on", "remote_write", "remote_apply"):
        level = "replicated"
    if pages != "on":
        notes.append("full_page_writes is off: a power cut may damage pages; set it to on, unless the file system writes whole pages")
    if standby:
        notes.append("this is a standby, which takes no jobs: put the address of its primary into the URL")
    if isolation not in ("read committed", "read uncommitted") and store.pooled:
        notes.append(f"default_transaction_isolation is {isolation}: publications will fail now and then; set it to read committed")
    for what, age, mend in (
        ("a transaction", snapshots, "end it (pg_stat_activity tells whose it is: SELECT pg_terminate_backend(pid))"),
        ("a replication slot", slots, "drop it if nobody needs it (pg_replication_slots, pg_drop_replication_slot)"),
        ("a prepared transaction", prepared, "finish it (pg_prepared_xacts, ROLLBACK PREPARED)"),
    ):
        if age is not None:
            for_how_long = f" for {age / 60:,.0f} min" if age > 0 else ""
            notes.append(f"{what} has kept dead rows from being cleaned away{for_how_long} ({dead:,} in the jobs' table): {mend}")
    if xids > 1_500_000_000:
        notes.append(f"{xids:,} transaction ids since the last freeze, of 2 billion: let autovacuum finish, or run VACUUM FREEZE")
    if store.pooled:
        how = (
            ""
            if store.address.listen not in ("auto", "off")
            else "; idle workers ask now and then, ?listen=host:port of the server itself wakes them"
        )
        notes.append(f"a pooler stands before the server{how}")
    return Description(
        engine="postgresql", version=_version(version), url=store.address.url, durability=_SENTENCES[level], level=level,
        notes=tuple(notes),
        delivery=delivery(store.address.lease, store.address.beat),
    )  # fmt: skip


def _version(number: Any) -> str:
    return f"{int(number) // 10000}.{int(number) % 10000}"
