"""What the server or the way to it answers instead of an answer, in our words: what is wrong, where, and what mends it."""

from __future__ import annotations

import re

import psycopg

from tidewheel.backends.postgres.address import Address
from tidewheel.errors import BrokerCorrupt, BrokerError, BrokerFull, BrokerUnavailable

REPEAT = frozenset({"40001", "40P01"})
"""A conflict with somebody else's transaction: nothing was done, and a second time may succeed at once."""
NO_PARTITION = "23514"
"""check_violation: where a row of `ended` should go there is no partition yet."""
_GONE = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})
"""The server, or this session, is going down, or coming up."""


def code(error: BaseException) -> str:
    """The server's own code of an error (SQLSTATE); '' when it is none of the server's."""
    return (error.sqlstate or "") if isinstance(error, psycopg.Error) else ""


def cut(error: BaseException) -> bool:
    """Whether it is the connection that failed: it is not known whether the server has done what it was asked for."""
    state = code(error)
    if isinstance(error, (OSError, psycopg.InterfaceError)):
        return True
    return isinstance(error, psycopg.OperationalError) and (not state or state[:2] == "08" or state in _GONE)


def translate(error: BaseException, address: Address) -> BrokerError:
    """The `BrokerError` for an error of psycopg."""
    where, said = f"PostgreSQL at {address.where}", _plain(error)
    state = code(error)
    match state:
        case "53100":
            return BrokerFull(f"{where} has no room left on its disk; free some, or let the workers drain the queues. Nothing was stored")
        case "53200":
            return BrokerFull(f"{where} is out of memory ({said}). Nothing was stored")
        case "53300":
            return BrokerUnavailable(
                f"{where} has no connection to spare ({said}); raise max_connections, lower ?pool=, or put PgBouncer in front of it"
            )
        case "57P03":
            return BrokerUnavailable(f"{where} is starting up or shutting down ({said})")
        case "57P01" | "57P02" | "57P05":
            return BrokerUnavailable(f"{where} ended the connection ({said})")
        case "25006":
            return BrokerUnavailable(
                f"{where} is a read-only standby (or default_transaction_read_only is on); put the address of its primary into the URL,"
                " or several hosts with target_session_attrs=read-write"
            )
        case "28P01" | "28000":
            return BrokerUnavailable(f"{where} wants another user or password ({said}); put it into the URL, PGPASSWORD or ~/.pgpass")
        case "3D000":
            return BrokerUnavailable(f"{where}: there is no such database ({said}); make it with createdb, or name another in the URL")
        case "42501":
            return BrokerUnavailable(
                f"{where} does not allow its user what Tidewheel needs in schema {address.schema} ({said}); see"
                " docs/howto/postgres.md#permissions"
            )
        case "40001" | "40P01":
            return BrokerUnavailable(f"{where}: it got into the way of another transaction ({said}); nothing was done, try again")
        case "55P03":
            return BrokerUnavailable(f"{where}: somebody holds a lock on tables of Tidewheel's ({said}); try again when that is over")
        case "57014":
            return BrokerUnavailable(f"{where} was told to stop this ({said}); is statement_timeout of its user too short?")
        case "3F000" | "42P01" | "42883" | "42703":
            return BrokerCorrupt(
                f"{where}: schema {address.schema} is not what this release of Tidewheel expects ({said}); run tidewheel db migrate"
            )
        case "XX001" | "XX002":
            return BrokerCorrupt(f"{where}: its data is damaged ({said}); see its log")
        case _:
            pass
    if isinstance(error, psycopg.OperationalError) and re.search(r"does not exist$", said) and "database" in said:
        return translate(_with_code("3D000", error), address)
    if re.search(r"password|authentication|no pg_hba", said, re.IGNORECASE) and not state:
        return BrokerUnavailable(f"{where} wants another user or password ({said}); put it into the URL, PGPASSWORD or ~/.pgpass")
    if re.search(r"too many (clients|connections)|remaining connection slots|no more connections", said) and not state:
        return BrokerUnavailable(
            f"{where} has no connection to spare ({said}); raise max_connections, lower ?pool=, or put PgBouncer in front of it"
        )
    if re.search(r"starting up|shutting down|not accepting", said) and not state:
        return BrokerUnavailable(f"{where} is starting up or shutting down ({said})")
    if isinstance(error, (TimeoutError, psycopg.errors.ConnectionTimeout)) or "timeout" in said.lower():
        return BrokerUnavailable(f"{where} does not answer in time; is it overloaded, or the network down?")
    if cut(error):
        return BrokerUnavailable(f"{where} cannot be reached ({said}); is it running?")
    return BrokerUnavailable(f"{where} refuses: {said}{f' ({state})' if state else ''}")


class _Coded(psycopg.OperationalError):
    """One whose code libpq did not hand on."""


def _with_code(state: str, error: BaseException) -> BaseException:
    coded = _Coded(str(error))
    coded.sqlstate = state
    return coded


def _plain(error: BaseException) -> str:
    """What it says first, on one line, without passwords."""
    text = str(error)
    diag = getattr(error, "diag", None)
    if diag is not None and diag.message_primary:
        text = diag.message_primary
    text = re.sub(r"(?i)(password\s*=\s*)('[^']*'|\S+)", r"\1***", text)
    text = " ".join(text.split())
    found = re.search(r"(?:FATAL|ERROR|PANIC):\s*(.*?)(?:\s*(?:Multiple connection|connection to server).*)?$", text)
    return (found[1] if found else text)[:300].rstrip(". ")
