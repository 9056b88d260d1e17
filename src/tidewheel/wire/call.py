"""The body of an envelope: the arguments of one call, version 1. Format: docs/reference/wire.md."""

from __future__ import annotations

from typing import Any

from tidewheel.wire.values import NotEncodable, decode, encode

VERSION = 1


def encode_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """MessagePack `[version, args, kwargs]`. Raises `NotEncodable` whose path begins with `args` or `kwargs`."""
    try:
        return encode((VERSION, args, kwargs))
    except NotEncodable as error:
        where = error.path
        for index, name in ((1, "args"), (2, "kwargs")):
            where = where.replace(f"[{index}]", name, 1) if where.startswith(f"[{index}]") else where
        raise NotEncodable(str(error), where) from None


def decode_call(body: bytes) -> tuple[list[Any], dict[str, Any]]:
    """The plain arguments. Raises `ValueError` for bytes that are not a call, `NotImplementedError` for a newer version of one."""
    call = decode(body)
    if not isinstance(call, list) or len(call) < 3 or type(call[0]) is not int or call[0] < 1:
        raise ValueError("not a call: expected [version, args, kwargs]")
    if call[0] > VERSION:
        raise NotImplementedError(f"a call of version {call[0]}; this Tidewheel reads up to version {VERSION}")
    _, args, kwargs = call[:3]
    if not isinstance(args, list) or not isinstance(kwargs, dict) or not all(isinstance(k, str) for k in kwargs):
        raise ValueError("not a call: args must be a list and kwargs a map from names")
    return args, kwargs
