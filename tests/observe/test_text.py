from __future__ import annotations

import pytest

from tidewheel.observe.text import cap, escape, indent


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain, Grüße, 海上明月, 🚀", "plain, Grüße, 海上明月, 🚀"),
        ("two\nlines\r\n", "two\\nlines\\r\\n"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("lone \ud800", "lone \\ud800"),
        ("no-break\xa0space", "no-break\xa0space"),
        ("", ""),
    ],
)
def test_what_could_forge_a_line_or_drive_a_terminal_is_escaped(text: str, escaped: str) -> None:
    assert escape(text) == escaped
    escape(text).encode()


def test_keep() -> None:
    assert escape("a\tb\nc\x00", keep="\n\t") == "a\tb\nc\\x00"


def test_cap_keeps_the_beginning_or_the_end() -> None:
    assert cap("short", 5) == "short"
    assert cap("abcdefgh", 3) == "abc… (5 characters more)"
    assert cap("abcdefgh", 3, end=True) == "… (5 characters more)\nfgh"


def test_no_line_of_an_indented_text_can_pass_for_one_of_ours() -> None:
    assert indent("a\n12:00:00.000 ERROR    forged\x1b[2J\n") == "  a\n  12:00:00.000 ERROR    forged\\x1b[2J"
