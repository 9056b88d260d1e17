"""Exceptions as data: made of anything, read from anything, and no class is ever looked up by what the bytes say."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewheel.errors import ErrorRecord
from tidewheel.wire.failures import LIMIT, decode_error, dotted, encode_error, rebuild, record

SECRET = "hunter" + str(2)


class OwnError(Exception):
    pass


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class NoArgs(Exception):
    @property
    def args(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no")


class Picky(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__("picky")


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_what_is_kept() -> None:
    found = decode_error(encode_error(raised(OwnError("boom", 3))))
    assert found is not None
    assert found.type == f"{__name__}.OwnError"
    assert found.args == ("boom", 3)
    assert "raise error\n" in found.traceback
    assert str(found) == f"{__name__}.OwnError: ('boom', 3)"


def test_builtins_have_no_prefix() -> None:
    assert dotted(ValueError) == "ValueError"
    assert str(record(ValueError())) == "ValueError"


def test_locals_do_not_travel() -> None:
    def login(password: str) -> None:
        raise ValueError("bad login")

    with pytest.raises(ValueError) as caught:
        login(SECRET)
    assert SECRET.encode() not in encode_error(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        NoText("x"),
        NoArgs("x"),
        Exception("\ud800"),
        Exception(object()),
        Exception(2**100),
        Exception(b"\xff"),
        ExceptionGroup("g", [ValueError(1)]),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        SystemExit(3),
        KeyboardInterrupt(),
        RecursionError(),
        Exception("x" * 100_000),
        Exception(*range(100)),
        Exception({"a": [1]}),
        StopIteration(3),
        OSError(2, "no", "file"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_never_raises(error: BaseException) -> None:
    found = decode_error(encode_error(raised(error)))
    assert found is not None
    assert len(found.message) <= LIMIT
    assert len(found.traceback) <= LIMIT


def test_long_texts_keep_the_end_of_the_traceback_and_the_beginning_of_the_message() -> None:
    found = record(raised(Exception("begin" + "x" * 50_000 + "end")))
    assert found.message.startswith("begin")
    assert found.traceback.endswith("end\n")


def test_a_traceback_that_cannot_be_formatted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> list[str]:
        raise ZeroDivisionError

    monkeypatch.setattr(traceback, "format_exception", broken)
    assert "could not be formatted: ZeroDivisionError" in record(ValueError("x")).traceback


@given(st.binary(max_size=100))
def test_any_bytes_read_as_a_record(data: bytes) -> None:
    found = decode_error(data)
    assert (found is None) == (not data)
    assert decode_error(None) is None


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("k"), OSError(2, "no such file", "f"), TimeoutError(), ZeroDivisionError("a", 1, None, 2.5)]
)
def test_builtins_are_rebuilt(error: Exception) -> None:
    back = rebuild(record(error), {})
    assert type(back) is type(error)
    assert back is not None
    assert back.args == error.args


def test_own_classes_only_when_registered() -> None:
    found = record(OwnError("x", 1))
    assert rebuild(found, {}) is None
    back = rebuild(found, {found.type: OwnError})
    assert type(back) is OwnError
    assert back.args == ("x", 1)


def test_a_class_that_takes_other_arguments_is_not_forced() -> None:
    found = record(Picky(1, 2))
    assert rebuild(found, {found.type: Picky}) is None


@pytest.mark.parametrize(
    "name", ["eval", "exec", "print", "SystemExit", "KeyboardInterrupt", "BaseException", "int", "open", "", "__import__", "os.system"]
)
def test_a_name_in_the_bytes_calls_nothing(name: str) -> None:
    assert rebuild(ErrorRecord(type=name, message="print('pwned')", args=("x",)), {}) is None


def test_a_name_in_the_bytes_imports_nothing() -> None:
    before = set(sys.modules)
    assert rebuild(ErrorRecord(type="antigravity.Error", args=()), {}) is None
    assert set(sys.modules) == before
