"""Text from outside (names, keys, messages of exceptions), made fit for a terminal or a log line."""

from __future__ import annotations

import re

__all__ = ["cap", "escape", "indent"]

_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What could forge a line, drive the terminal, or show text in another order than it has: control characters (C0 and C1), line and
paragraph separators, bidirectional overrides; and lone surrogates, which UTF-8 cannot hold."""

_NAMES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape(text: str, *, keep: str = "") -> str:
    """The text with everything that is not harmless written as an escape; characters in `keep` stay as they are."""
    if text.isprintable():
        return text
    return _UNFIT.sub(lambda found: found[0] if found[0] in keep else _name(found[0]), text)


def _name(char: str) -> str:
    code = ord(char)
    return _NAMES.get(char) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def cap(text: str, limit: int, *, end: bool = False) -> str:
    """At most about `limit` characters: the beginning, or the `end` (of a traceback, where the news is at the end)."""
    if len(text) <= limit:
        return text
    more = f"… ({len(text) - limit} characters more)"
    return f"{more}\n{text[-limit:]}" if end else text[:limit] + more


def indent(text: str, margin: str = "  ") -> str:
    """Several lines, each with a margin, so that none of them can pass for a line of its own."""
    return "\n".join(margin + escape(line, keep="\t") for line in text.rstrip().split("\n"))
