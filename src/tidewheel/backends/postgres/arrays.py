"""Ids, and arrays in PostgreSQL's binary form, made in one go: psycopg's own way through each element costs more than storing the job."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format

_HEAD = struct.Struct(">iiIii")
_LENGTH = struct.Struct(">i")
_NULL = _LENGTH.pack(-1)
_16, _8, _2 = (_LENGTH.pack(n) for n in (16, 8, 2))
_DOUBLE, _LONG, _SHORT = struct.Struct(">d"), struct.Struct(">q"), struct.Struct(">h")


class Array(bytes):
    """An encoded array; the class says of what."""


class Uuid(Array):
    """No array, but one id of 16 bytes."""


class Uuids(Array):
    pass


class Byteas(Array):
    pass


class Texts(Array):
    pass


class Doubles(Array):
    pass


class Longs(Array):
    pass


class Shorts(Array):
    pass


ELEMENTS: dict[type[Array], tuple[int, int]] = {
    Uuid: (0, 2950), Uuids: (2950, 2951), Byteas: (17, 1001), Texts: (25, 1009), Doubles: (701, 1022), Longs: (20, 1016),
    Shorts: (21, 1005),
}  # fmt: skip
"""Numbers of the types of element and whole: fixed in PostgreSQL's catalog (pg_type.dat)."""


def uuids(raw: Sequence[bytes]) -> Uuids:
    """From ids of 16 bytes."""
    return Uuids(_head(Uuids, len(raw)) + b"".join([_16 + id_ for id_ in raw]))


def byteas(values: Sequence[bytes | None]) -> Byteas:
    pack = _LENGTH.pack
    return Byteas(_head(Byteas, len(values)) + b"".join([_NULL if v is None else pack(len(v)) + v for v in values]))


def texts(values: Sequence[str | None]) -> Texts:
    encoded = [None if v is None else v.encode() for v in values]
    pack = _LENGTH.pack
    return Texts(_head(Texts, len(values)) + b"".join([_NULL if v is None else pack(len(v)) + v for v in encoded]))


def doubles(values: Sequence[float | None]) -> Doubles:
    pack = _DOUBLE.pack
    return Doubles(_head(Doubles, len(values)) + b"".join([_NULL if v is None else _8 + pack(v) for v in values]))


def longs(values: Sequence[int]) -> Longs:
    pack = _LONG.pack
    return Longs(_head(Longs, len(values)) + b"".join([_8 + pack(v) for v in values]))


def shorts(values: Sequence[int]) -> Shorts:
    pack = _SHORT.pack
    return Shorts(_head(Shorts, len(values)) + b"".join([_2 + pack(v) for v in values]))


def _head(kind: type[Array], length: int) -> bytes:
    # One dimension, which may hold nulls, with the index of the first; none for an empty array.
    return _HEAD.pack(1, 1, ELEMENTS[kind][0], length, 1) if length else struct.pack(">iiI", 0, 0, ELEMENTS[kind][0])


class _Dumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer | None:
        return bytes(obj)


_DUMPERS = {kind: type(f"{kind.__name__}Dumper", (_Dumper,), {"oid": oid}) for kind, (_, oid) in ELEMENTS.items()}


def teach(adapters: AdaptersMap) -> None:
    """Let a connection send such arrays."""
    for kind, dumper in _DUMPERS.items():
        adapters.register_dumper(kind, dumper)
