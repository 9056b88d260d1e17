"""The scripts in `lua/`: one file a verb, put together with what it uses of `lua/shared/`.

Each says in its comments what it uses, and what is to happen when the server's memory is full. `goes on`: whatever settles, gives back or
takes back must, or a full server would never get emptier. `only reads`: goes on, also on a replica. `is refused`: as a whole, before it
has written anything. Redis 7 is told with flags. An older one decides by the first command that writes: `DEL` is always allowed, and once
a script has written it is no longer stopped.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache

import msgspec

from tidewheel.backends.scripts import script

_PACKAGE = "tidewheel.backends.redis"
_FLAGS = {"goes on": "#!lua flags=allow-oom\n", "only reads": "#!lua flags=no-writes\n", "is refused": "#!lua\n"}


class Verb(msgspec.Struct, frozen=True):
    """A script, as the server gets it."""

    name: str
    text: str
    sha: str


@cache
def verb(name: str, *, flags: bool = True, clock: str = "") -> Verb:
    """The script of a verb. `flags`: the server is Redis 7 or newer. `clock` replaces shared/clock.lua, for tests."""
    body = script(_PACKAGE, f"lua/{name}.lua")
    head = re.search(r"^-- uses ([a-z ]+); (goes on|is refused|only reads)", body, re.MULTILINE)
    assert head is not None, name
    parts = [clock if part == "clock" and clock else script(_PACKAGE, f"lua/shared/{part}.lua") for part in head[1].split()]
    if flags:
        parts.insert(0, _FLAGS[head[2]])
    elif head[2] == "goes on":
        parts.append("call('DEL', K .. ':none')\n")
    text = "".join((*parts, body))
    return Verb(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
