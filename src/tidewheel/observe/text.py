"""Text from outside (names, keys, messages of exceptions), made fit for a terminal or a log line."""

from __future__ import annotations

import importlib
import os
import re

import tidewheel

__all__ = ["cap", "escape", "escape_json", "indent", "user_frames"]

_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What could forge a line, drive the terminal, or show text in another order than it has: control characters (C0 and C1), line and
paragraph separators, bidirectional overrides; and lone surrogates, which UTF-8 cannot hold."""

_NOT_THEIRS = (os.path.dirname(tidewheel.__file__) + os.sep, os.path.dirname(importlib.__file__) + os.sep, "<frozen importlib")
_NAMES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape(text: str, *, keep: str = "") -> str:
    """The text with everything that is not harmless written as an escape; characters in `keep` stay as they are."""
    if text.isprintable():
        return text
    return _UNFIT.sub(lambda found: found[0] if found[0] in keep else _name(found[0]), text)


def _name(char: str) -> str:
    code = ord(char)
    return _NAMES.get(char) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def escape_json(text: str) -> str:
    """The same for JSON, which stays valid: such characters only occur in its strings (and its own escapes cover most of C0)."""
    return text if text.isprintable() else _UNFIT.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def cap(text: str, limit: int, *, end: bool = False) -> str:
    """At most about `limit` characters: the beginning, or the `end` (of a traceback, where the news is at the end)."""
    if len(text) <= limit:
        return text
    more = f"… ({len(text) - limit} characters more)"
    return f"{more}\n{text[-limit:]}" if end else text[:limit] + more


def user_frames(trace: str) -> str:
    """A traceback, as text, without the frames of Tidewheel and of the import system: what is left is the user's.

    One that would have no frame left stays whole: then the mistake is ours.
    """
    kept, foreign, frames = [], False, 0
    for line in trace.split("\n"):
        frame = re.match(r'  File "(.*)", line \d+', line)
        if frame is not None:
            foreign = frame[1].startswith(_NOT_THEIRS)
            frames += not foreign
        elif not line.startswith("    "):
            foreign = False
        if not foreign:
            kept.append(line)
    return "\n".join(kept) if frames else trace


def indent(text: str, margin: str = "  ") -> str:
    """Several lines, each with a margin, so that none of them can pass for a line of its own."""
    return "\n".join(margin + escape(line, keep="\t") for line in text.rstrip().split("\n"))
