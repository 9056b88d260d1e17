"""The body of an envelope."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewheel.wire.call import VERSION, decode_call, encode_call
from tidewheel.wire.values import NotEncodable

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.lists(plain, max_size=4), st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), plain, max_size=4))
def test_round_trip(args: list[Any], kwargs: dict[str, Any]) -> None:
    assert decode_call(encode_call(tuple(args), kwargs)) == (args, kwargs)


def test_the_bytes_themselves() -> None:
    """Pinned: jobs wait in brokers while programs are upgraded. Format: docs/reference/wire.md."""
    assert encode_call((7, "a"), {"k": None}) == bytes.fromhex("93 01 92 07 a1 61 81 a1 6b c0")


@pytest.mark.parametrize(
    ("args", "kwargs", "path"),
    [
        ((1, {"when": object()}), {}, "args[1]['when']"),
        ((object(),), {}, "args[0]"),
        ((), {"to": [object()]}, "kwargs['to'][0]"),
        ((1, [2, {3: object()}]), {"x": 1}, "args[1][1][3]"),
    ],
)
def test_where_it_cannot_be_stored(args: tuple[Any, ...], kwargs: dict[str, Any], path: str) -> None:
    with pytest.raises(NotEncodable) as caught:
        encode_call(args, kwargs)
    assert caught.value.path == path


def test_a_newer_version_is_not_garbage() -> None:
    with pytest.raises(NotImplementedError, match="version 2; this Tidewheel reads up to version 1"):
        decode_call(msgspec.msgpack.encode([VERSION + 1, [], {}]))


def test_more_fields_than_known_are_ignored() -> None:
    assert decode_call(msgspec.msgpack.encode([VERSION, [1], {}, "new"])) == ([1], {})


@pytest.mark.parametrize("call", [None, 1, "x", [], [1], [1, []], [1, {}, {}], [1, [], []], ["1", [], {}], [True, [], {}], [0, [], {}],
                                  [-1, [], {}], [1, [], {1: 2}], [1.0, [], {}], {"v": 1}])  # fmt: skip
def test_what_is_not_a_call(call: Any) -> None:
    with pytest.raises(ValueError, match="not a call"):
        decode_call(msgspec.msgpack.encode(call))


@given(st.binary(max_size=300) | st.binary(max_size=50).map(lambda tail: b"\x93\x01" + tail))
def test_fuzz(data: bytes) -> None:
    try:
        args, kwargs = decode_call(data)
    except (ValueError, NotImplementedError):
        return
    assert isinstance(args, list)
    assert all(isinstance(k, str) for k in kwargs)
