"""How much is asked of which queue: a table."""

from __future__ import annotations

import pytest

from tidewheel.backends.rabbitmq.taps import Source, wanted

Q, R = "q", "r"


@pytest.mark.parametrize(
    ("ready", "queues", "limit", "said"),
    [
        ({}, [Q], 4, {(Q, "high"): 4, (Q, "normal"): 4, (Q, "low"): 4}),  # idle: whatever comes first
        ({(Q, "normal"): 9}, [Q], 4, {(Q, "high"): 4, (Q, "normal"): 4}),  # enough here: nothing from below
        ({(Q, "normal"): 3, (Q, "low"): 9}, [Q], 4, {(Q, "high"): 4, (Q, "normal"): 3, (Q, "low"): 1}),
        ({(Q, "high"): 9, (Q, "normal"): 9}, [Q], 4, {(Q, "high"): 4}),
        ({(Q, "normal"): 9, (R, "normal"): 9}, [Q, R], 4, {(Q, "normal"): 2, (R, "normal"): 2, (Q, "high"): 4, (R, "high"): 4}),
        ({(Q, "normal"): 1, (R, "normal"): 9}, [Q, R], 4, {(Q, "normal"): 1, (R, "normal"): 3, (Q, "high"): 4, (R, "high"): 4}),
        ({(Q, "normal"): 9, (R, "normal"): 9}, [R, Q], 1, {(R, "normal"): 1, (Q, "high"): 1, (R, "high"): 1}),  # whose turn it is
    ],
)
def test_wanted(ready: dict[Source, int], queues: list[str], limit: int, said: dict[Source, int]) -> None:
    assert wanted(ready, queues, limit) == said
