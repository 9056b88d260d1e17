"""What the server or the way to it answers instead of an answer, in our words: what is wrong, where, and what mends it."""

from __future__ import annotations

import re

from redis import exceptions

from tidewheel.backends.redis.address import PASSWORD, Address
from tidewheel.errors import BrokerCorrupt, BrokerError, BrokerFull, BrokerUnavailable


def code(error: BaseException) -> str:
    """The server's own word for an error (`OOM`, `MISCONF` …); '' when it is none of the server's."""
    if isinstance(error, exceptions.NoScriptError):
        return "NOSCRIPT"
    if isinstance(error, exceptions.OutOfMemoryError):
        return "OOM"
    if isinstance(error, exceptions.BusyLoadingError):
        return "LOADING"
    if isinstance(error, exceptions.ReadOnlyError):
        return "READONLY"
    if isinstance(error, exceptions.NoPermissionError):
        return "NOPERM"
    if isinstance(error, exceptions.AuthenticationError):
        return "NOAUTH"
    found = re.match(r"([A-Z]{3,})\b", str(error)) if isinstance(error, exceptions.ResponseError) else None
    return found[1] if found else ""


def cut(error: BaseException) -> bool:
    """Whether it is the connection that failed: it is not known whether the server has done what it was asked for."""
    return isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError, OSError)) and not code(error)


def translate(error: BaseException, address: Address) -> BrokerError:
    """The `BrokerError` for an error of redis-py."""
    where, said = f"Redis at {address.where}", _plain(error)
    match code(error):
        case "OOM":
            return BrokerFull(f"{where} has reached its maxmemory; raise it, or let the workers drain the queues. Nothing was stored")
        case "LOADING":
            return BrokerUnavailable(f"{where} is still loading its data; it answers when that is done")
        case "READONLY":
            return BrokerUnavailable(f"{where} is a read-only replica; put the address of its primary into the URL")
        case "NOAUTH" | "WRONGPASS":
            return BrokerUnavailable(f"{where} wants another user or password ({said}); put it into the URL or into {PASSWORD}")
        case "NOPERM":
            return BrokerUnavailable(
                f"{where} does not allow its user what Tidewheel needs ({said}); allow it:"
                f" ACL SETUSER … ~{{{address.prefix}}}* &{{{address.prefix}}}* +@all -@dangerous +info"
            )
        case "MISCONF":
            return BrokerUnavailable(f"{where} refuses to write because it cannot save to its disk; see its log. It says: {said}")
        case "BUSY":
            return BrokerUnavailable(f"{where} is busy with somebody's long script; SCRIPT KILL ends it")
        case "NOREPLICAS":
            return BrokerUnavailable(f"{where} refuses to write because too few replicas follow it (min-replicas-to-write)")
        case "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT":
            return BrokerUnavailable(f"{where} is part of a cluster, and another node has the keys ({said}); name that node in the URL")
        case "WRONGTYPE":
            return BrokerCorrupt(f"{where}: keys that begin with {{{address.prefix}}} are not Tidewheel's; choose another ?prefix=")
        case "":
            pass
        case _:
            return BrokerUnavailable(f"{where} refuses: {said}")
    if isinstance(error, exceptions.ResponseError):
        return BrokerCorrupt(f"{where} could not run a script of Tidewheel's ({said}); were keys of {{{address.prefix}}} changed by hand?")
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return BrokerUnavailable(f"{where} does not answer in time; is it overloaded, or the network down?")
    return BrokerUnavailable(f"{where} cannot be reached ({said}); is it running?")


def _plain(error: BaseException) -> str:
    """What it says, on one line and without a script's number."""
    return re.sub(r"\s*script: [0-9a-f]{40}.*", "", " ".join(str(error).split())).rstrip(". ")
