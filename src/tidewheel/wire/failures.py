"""Exceptions <-> `ErrorRecord` bytes. Tracebacks are text without local variables; classes are never imported by name."""

from __future__ import annotations

import builtins
import traceback as tb
from collections.abc import Mapping
from typing import Any

import msgspec

from tidewheel.errors import ErrorRecord

LIMIT = 16_384
"""Characters of traceback and of message that are kept: the end of the one, the beginning of the other."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ErrorRecord)


def dotted(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def record(error: BaseException, *, with_traceback: bool = True) -> ErrorRecord:
    """An exception as data. Never raises, whatever the exception's own `__str__` does."""
    try:
        message = str(error)[:LIMIT]
    except Exception as broken:
        message = f"<its __str__ raised {type(broken).__name__}>"
    trace = ""
    if with_traceback:
        try:
            trace = "".join(tb.format_exception(error))[-LIMIT:]
        except Exception as broken:
            trace = f"<its traceback could not be formatted: {type(broken).__name__}>"
    try:
        args = _plain(error.args)
    except Exception:  # a class may make a property of it
        args = None
    return ErrorRecord(type=_clean(dotted(type(error))), message=_clean(message), traceback=_clean(trace), args=args)


def encode_error(error: BaseException | ErrorRecord) -> bytes:
    return _encoder.encode(error if isinstance(error, ErrorRecord) else record(error))


def decode_error(data: bytes | None) -> ErrorRecord | None:
    """None when there is none; a record that says so when the bytes are not one."""
    if not data:
        return None
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorRecord(type="tidewheel.errors.ErrorRecord", message="the stored error could not be decoded")


def rebuild(error: ErrorRecord, known: Mapping[str, type[BaseException]]) -> BaseException | None:
    """The exception itself where its class is registered by the caller or is a builtin, and takes its arguments; else None."""
    cls = known.get(error.type)
    if cls is None and "." not in error.type:
        found = getattr(builtins, error.type, None)
        cls = found if isinstance(found, type) and issubclass(found, Exception) else None
    if cls is None:
        return None
    try:
        return cls(*error.args) if error.args is not None else cls(error.message)
    except Exception:  # a class with an unusual constructor: the caller falls back to JobFailed, which carries everything
        return None


def _plain(args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The arguments if all of them are small plain values, else None."""
    if len(args) >= 16 or not all(map(_is_plain, args)):
        return None
    return tuple(_clean(a) if type(a) is str else a for a in args)


def _is_plain(value: Any) -> bool:
    if type(value) is int:
        return -(2**63) <= value < 2**64
    return value is None or type(value) in (bool, float) or (type(value) is str and len(value) < 1024)


def _clean(text: str) -> str:
    """Without lone surrogates, which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()
