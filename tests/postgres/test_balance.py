"""How work is shared, on PostgreSQL."""

from __future__ import annotations

from balance import *  # noqa: F403
