"""Leases and cancellations, on Redis."""

from __future__ import annotations

import pytest
from leased import *  # noqa: F403

pytestmark = pytest.mark.kill
