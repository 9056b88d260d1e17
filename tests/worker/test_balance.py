"""How work is shared, on SQLite."""

from __future__ import annotations

from balance import *  # noqa: F403
