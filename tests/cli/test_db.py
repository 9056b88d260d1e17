"""`tidewheel db` where nobody looks after the tables. (Where somebody does: tests/postgres.)"""

from __future__ import annotations

import pytest
from cli_rig import Rig


@pytest.mark.parametrize("command", ["status", "migrate", "sql", None])
def test_an_engine_that_looks_after_itself(rig: Rig, command: str | None) -> None:
    rig.publish()
    done = rig("db", *filter(None, [command]))
    assert "need no migrations" in done.stderr
    assert rig.json("db", *filter(None, [command])) == []
