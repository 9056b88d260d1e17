"""How work is shared, on PostgreSQL."""

from __future__ import annotations

import pytest
from balance import *  # noqa: F403

pytestmark = pytest.mark.kill
