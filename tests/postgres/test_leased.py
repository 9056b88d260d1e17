"""Leases and cancellations, on PostgreSQL."""

from __future__ import annotations

import pytest
from leased import *  # noqa: F403

pytestmark = pytest.mark.kill
