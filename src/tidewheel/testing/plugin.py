"""The pytest plugin, loaded by its entry point wherever Tidewheel is installed: it must stay cheap to import.

It makes the assertions of the shipped conformance suite as readable as those of the user's own tests.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tidewheel.testing.conformance")
