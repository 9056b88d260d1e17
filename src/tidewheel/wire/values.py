"""Values <-> bytes: MessagePack through msgspec, and back by the types that annotations name.

What goes in: None, bool, int (64 bits), float, str, bytes, datetime/date/time/timedelta, UUID, Decimal, enums, lists, tuples, sets,
dicts, dataclasses, msgspec Structs, attrs classes, and pydantic models where pydantic is installed. What comes out without an
annotation is the plain form (a dataclass comes back as a dict, a UUID as text). No pickle, no class is ever named by the bytes.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterable
from typing import Any

import msgspec

__all__ = ["NotEncodable", "convert", "decode", "encode"]


class NotEncodable(TypeError):
    """A value that cannot be stored; `path` says where it is, as `[1]['when']`."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


def _pydantic_base() -> type | None:
    # Only somebody who has imported pydantic can hand us a model: looking it up costs nothing, importing it 100 ms.
    module = sys.modules.get("pydantic")
    return getattr(module, "BaseModel", None) if module else None


def _encode_other(value: Any) -> Any:
    base = _pydantic_base()
    if base is not None and isinstance(value, base):
        return value.model_dump(mode="json", by_alias=True, round_trip=True)  # type: ignore[attr-defined]
    raise NotImplementedError(f"objects of type {type(value).__module__}.{type(value).__qualname__} cannot be stored")


def _decode_other(kind: type, value: Any) -> Any:
    plain = typing.get_origin(kind) or kind
    if isinstance(plain, type) and isinstance(value, plain):
        return value  # what msgspec does not know, such as Iterable[int], is let through where it fits
    base = _pydantic_base()
    if base is not None and isinstance(kind, type) and issubclass(kind, base):
        # As JSON, because that is how it was dumped: a strict model takes a datetime's text from JSON only.
        return kind.model_validate_json(msgspec.json.encode(value))  # type: ignore[attr-defined]
    raise NotImplementedError(f"values cannot be turned into {kind!r}; annotate with a type that can be stored")


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_other)
_decoder = msgspec.msgpack.Decoder()


def encode(value: Any) -> bytes:
    """Bytes for a value. Raises `NotEncodable` with the path of what cannot be stored."""
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, NotImplementedError) as error:
        raise _explain(value, error) from None


def decode(data: bytes) -> Any:
    """The plain form of what was encoded. Raises `ValueError` for bytes that are not one whole MessagePack value."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"not decodable: {error}") from None


_PLAIN = (str, int, float, bool, bytes)


def convert(value: Any, kind: Any) -> Any:
    """The plain form, as the annotated type `kind`. Raises `ValueError` with the path of what does not fit."""
    if kind is Any or (kind in _PLAIN and type(value) is kind):
        return value
    try:
        return msgspec.convert(value, kind, dec_hook=_decode_other)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except (TypeError, NotImplementedError, RecursionError) as error:
        raise ValueError(f"{error}") from None


def _explain(value: Any, error: BaseException, path: str = "", depth: int = 0) -> NotEncodable:
    """Find the innermost part that cannot be encoded; only ever called after a failure."""
    parts: list[tuple[str, Any]] = []
    if depth < 50:
        if isinstance(value, dict):
            parts = [(f"[{k!r}]", v) for k, v in value.items()]
        elif isinstance(value, (list, tuple)):
            parts = [(f"[{i}]", v) for i, v in enumerate(value)]
        else:
            parts = [(f".{name}", getattr(value, name, None)) for name in _field_names(type(value))]
    for step, part in parts:
        try:
            _encoder.encode(part)
        except Exception as inner:  # whatever it is, it is reported
            return _explain(part, inner, path + step, depth + 1)
    if isinstance(error, RecursionError):
        return NotEncodable("nested too deeply (or refers to itself)", path)
    if isinstance(error, OverflowError):
        return NotEncodable("an integer of more than 64 bits cannot be stored; pass it as text", path)
    return NotEncodable(str(error)[:500], path)


def _field_names(kind: type) -> Iterable[str]:
    """The fields of a dataclass, a msgspec Struct or an attrs class; of anything else none."""
    attrs = [a.name for a in getattr(kind, "__attrs_attrs__", ())]
    return getattr(kind, "__dataclass_fields__", None) or getattr(kind, "__struct_fields__", None) or attrs
