"""What survives what, read from the server's settings. Where it does not let us ask, that is said, and the worse is assumed."""

from __future__ import annotations

from typing import Literal

from tidewheel.backends.keeping import delivery
from tidewheel.backends.redis.store import Store
from tidewheel.contract import Description
from tidewheel.errors import BrokerError

Level = Literal["volatile", "process", "power loss"]

_SENTENCES: dict[Level, str] = {
    "volatile": "A restart of Redis loses everything since its last snapshot.",
    "process": "What was accepted survives a stop of Redis; killed while it syncs it loses a second or two, as in a crash of its machine.",
    "power loss": "What was accepted survives the end of any process and a power cut of the server (each write is synced).",
}
_MEND = "redis-cli CONFIG SET appendonly yes (and appendonly yes in redis.conf)"


def describe(store: Store) -> Description:
    """What the server guarantees at its present settings. Raises `BrokerError`s."""
    info = store.info()
    notes: list[str] = []
    sync = _setting(store, "appendfsync")
    level: Level = "volatile"
    if info.get("aof_enabled") == "1":
        level = "power loss" if sync == "always" else "process" if sync in ("everysec", None) else "volatile"
        if sync == "no":
            notes.append("appendfsync no: it is the operating system that decides when jobs reach the disk; set everysec or always")
        if sync is None:
            notes.append("the server does not let us read appendfsync (CONFIG is forbidden): durability unknown, everysec is assumed")
        if info.get("aof_last_write_status", "ok") != "ok":
            notes.append("the last write to the append-only file failed: see the log of Redis, and free some space on its disk")
    elif "aof_enabled" in info:
        notes.append(f"appendonly no: a restart of Redis loses jobs; keep them with {_MEND}")
    else:
        notes.append(f"the server does not tell whether it keeps jobs on disk: durability unknown, the worst is assumed; see {_MEND}")
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        notes.append("the last snapshot failed: Redis may refuse to write (MISCONF); see its log, and free some space on its disk")
    if info.get("maxmemory", "0") == "0":
        notes.append("maxmemory is not set: a queue that grows without end takes the memory of the whole machine; set maxmemory")
    if info.get("role") == "slave":
        notes.append("this is a replica, which takes no jobs: put the address of its primary into the URL")
    elif int(info.get("connected_slaves", "0") or 0) > 0:
        notes.append("replicas follow asynchronously: a failover may lose the last jobs, or bring ended ones back")
    sentence = _SENTENCES[level]
    if level == "volatile" and info.get("aof_enabled") == "0" and _setting(store, "save") == "":
        sentence = "A restart of Redis loses everything: it neither logs nor takes snapshots."
    return Description(
        engine="redis", version=info.get("valkey_version") or info.get("redis_version", ""), url=store.address.url,
        durability=sentence, level=level, notes=tuple(notes), delivery=delivery(store.address.lease, store.address.beat),
    )  # fmt: skip


def _setting(store: Store, name: str) -> str | None:
    """A setting of the server; None where it may not be asked for."""
    try:
        answer: list[bytes] = store.command("CONFIG", "GET", name)
    except BrokerError:
        return None
    return answer[1].decode(errors="replace") if len(answer) == 2 else None
