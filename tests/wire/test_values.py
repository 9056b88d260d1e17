"""What goes in comes out, by its annotation; what cannot go in is named by its place; bytes never do anything but decode."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewheel.wire.values import NotEncodable, convert, decode, encode


class Colour(enum.Enum):
    RED = "red"
    SEA = "sea"


class Size(enum.IntEnum):
    S = 1
    L = 3


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Address:
    street: str
    floor: int | None = None


@dataclass
class Person:
    name: str
    born: date
    at: list[Address] = field(default_factory=list)


class Point(msgspec.Struct):
    x: float
    y: float = 0.0


@attrs.define
class Box:
    width: int
    tag: str = "box"


class Pair(NamedTuple):
    left: int
    right: str


class Movie(TypedDict):
    title: str
    year: int


class Order(pydantic.BaseModel):
    id: UUID
    when: datetime
    total: Decimal
    colour: Colour = Colour.RED
    blob: bytes = b""
    lines: set[int] = set()


class StrictOrder(Order):
    model_config = pydantic.ConfigDict(strict=True)


class Aliased(pydantic.BaseModel):
    user_id: int = pydantic.Field(alias="userId")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
floats = st.floats(allow_nan=False)
integers = st.integers(-(2**63), 2**64 - 1)
zones = st.sampled_from([timezone.utc, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
naive = st.datetimes()
aware = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31), timezones=zones)
dates = st.dates()
people = st.builds(Person, texts, dates, st.lists(st.builds(Address, texts, st.none() | st.integers(-9, 99)), max_size=3))
orders = {
    "id": st.uuids(), "when": aware, "total": st.decimals(allow_nan=False, allow_infinity=False, places=2),
    "colour": st.sampled_from(Colour), "blob": texts.map(str.encode), "lines": st.sets(st.integers(0, 9)),
}  # fmt: skip

CASES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (None, st.none()),
    (bool, st.booleans()),
    (int, integers),
    (float, floats),
    (str, texts),
    (bytes, st.binary(max_size=50)),
    (datetime, naive),
    (datetime, aware),
    (date, dates),
    (time, st.times()),
    (timedelta, st.timedeltas()),
    (UUID, st.uuids()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (Colour, st.sampled_from(Colour)),
    (Size, st.sampled_from(Size)),
    (Rights, st.sampled_from([Rights.READ, Rights.READ | Rights.WRITE])),
    (list[int], st.lists(integers, max_size=5)),
    (tuple[int, str], st.tuples(integers, texts)),
    (tuple[int, ...], st.lists(integers, max_size=5).map(tuple)),
    (set[str], st.sets(texts, max_size=5)),
    (frozenset[int], st.frozensets(integers, max_size=5)),
    (dict[str, float], st.dictionaries(texts, floats, max_size=5)),
    (dict[int, str], st.dictionaries(integers, texts, max_size=5)),
    (dict[date, UUID], st.dictionaries(dates, st.uuids(), max_size=3)),
    (Person, people),
    (list[Person], st.lists(people, max_size=3)),
    (Point, st.builds(Point, floats, floats)),
    (Box, st.builds(Box, integers, texts)),
    (Pair, st.builds(Pair, integers, texts)),
    (Movie, st.fixed_dictionaries({"title": texts, "year": integers})),
    (Order, st.builds(Order, **orders)),
    (StrictOrder, st.builds(StrictOrder, **orders)),
    (dict[str, Order], st.dictionaries(texts, st.builds(Order, **orders), max_size=2)),
    (Aliased, st.builds(Aliased, userId=integers)),
    (int | None, st.none() | integers),
    (Person | int, people | integers),
    (Literal["a", "b"], st.sampled_from(["a", "b"])),
    (Annotated[int, msgspec.Meta(ge=1)], st.integers(1, 9)),
]


@pytest.mark.parametrize(("kind", "values"), CASES, ids=[str(getattr(c[0], "__name__", c[0])) for c in CASES])
@given(data=st.data())
def test_round_trip(kind: Any, values: st.SearchStrategy[Any], data: st.DataObject) -> None:
    value = data.draw(values)
    back = convert(decode(encode(value)), kind)
    assert back == value
    if not isinstance(kind, type) or kind is not float:
        assert type(back) is type(value)


def test_zones_come_back_as_the_same_moment() -> None:
    there = datetime(2026, 3, 29, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    back = convert(decode(encode(there)), datetime)
    assert back == there
    assert back.utcoffset() == timedelta(0), "stored as a MessagePack timestamp: the moment, not the zone"


def test_without_annotation_the_plain_form() -> None:
    assert decode(encode(Person("Ann", date(1990, 1, 2)))) == {"name": "Ann", "born": "1990-01-02", "at": []}
    assert decode(encode(UUID(int=1))) == "00000000-0000-0000-0000-000000000001"
    assert decode(encode((1, {2}))) == [1, [2]]
    assert convert([1, 2], Any) == [1, 2]


@pytest.mark.parametrize("kind", [Iterable[int], Sequence[int], Mapping[str, int], list, object, Iterable])
def test_abstract_annotations_take_what_fits(kind: Any) -> None:
    value = {"a": 1} if kind == Mapping[str, int] else [1, 2]
    assert convert(value, kind) == value


def test_dict_subclasses_come_back_as_dicts() -> None:
    assert decode(encode(OrderedDict(a=1))) == {"a": 1}


def test_nan_and_infinity_are_floats() -> None:
    assert math.isnan(decode(encode(math.nan)))
    assert decode(encode(-math.inf)) == -math.inf


class Opaque:
    pass


loop: list[Any] = []
loop.append(loop)


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        (Opaque(), "", f"objects of type {__name__}.Opaque cannot be stored"),
        ({"a": [1, {"when": Opaque()}]}, "['a'][1]['when']", "cannot be stored"),
        ([Address("x", Opaque())], "[0].floor", "cannot be stored"),  # type: ignore[arg-type]
        (Point(Opaque()), ".x", "cannot be stored"),  # type: ignore[arg-type]
        ((1, Box(Opaque())), "[1].width", "cannot be stored"),  # type: ignore[arg-type]
        ({"n": 2**64}, "['n']", "more than 64 bits cannot be stored; pass it as text"),
        ([-(2**63) - 1], "[0]", "more than 64 bits"),
        (["\ud800"], "[0]", "surrogates not allowed"),
        ({Opaque(): 1}, "", "cannot be stored"),
        ({"s": {Opaque()}}, "['s']", "cannot be stored"),
        (Path("/x"), "", "PosixPath cannot be stored"),
        (range(3), "", "builtins.range"),
        (lambda: 1, "", "builtins.function"),
        (1j, "", "builtins.complex"),
        (Exception("x"), "", "builtins.Exception"),
    ],
)
def test_what_cannot_be_stored_is_named_by_its_place(value: Any, path: str, message: str) -> None:
    with pytest.raises(NotEncodable, match=message.replace("(", r"\(")) as caught:
        encode(value)
    assert caught.value.path == path


def test_what_refers_to_itself() -> None:
    with pytest.raises(NotEncodable, match="nested too deeply"):
        encode({"a": loop})


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("x", int, "Expected `int`, got `str`"),
        ("7", int, "Expected `int`, got `str`"),
        (1, bool, "Expected `bool`"),
        (1.5, int, "Expected `int`"),
        ([1, "a"], list[int], r"at `\$\[1\]`"),
        ({"name": "Ann", "born": "nonsense"}, Person, r"at `\$\.born`"),
        ({"name": "Ann"}, Person, "missing required field `born`"),
        ("green", Colour, "Invalid enum value 'green'"),
        ({"id": "x", "when": 0, "total": 1}, Order, "validation error"),
        (5, Order, "validation error"),
        (0, Annotated[int, msgspec.Meta(ge=1)], "Expected `int` >= 1"),
        (1, Opaque, "annotate with a type that can be stored"),
        (1, Iterable[int], "annotate with a type that can be stored"),
    ],
)
def test_what_does_not_fit_says_where(value: Any, kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(value, kind)


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_a_value_error(data: bytes) -> None:
    try:
        decode(data)
    except ValueError:
        pass


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x01\x01", b"\xa1\xff",
     b"\x81\x80\x01", b"\xd6\xff\xff\xff\xff\xff", b"\xc7\x0c\xff" + b"\xff" * 12, b"\x81\xc7\x01\x05x\x01"],
)  # fmt: skip
def test_hostile_bytes(data: bytes) -> None:
    """Nesting bombs, lengths without content, trailing bytes, broken texts, unhashable keys, impossible timestamps, unknown extensions."""
    try:
        decode(data)
    except ValueError:
        pass
