"""How much is asked of which queue: a table, and what follows when jobs turn out to be short."""

from __future__ import annotations

import time

import pytest
from mill import job, settle, worker
from rabbit_field import opened

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


def test_who_asks_for_more_and_more_is_not_handed_one_at_a_time(url: str) -> None:
    """A worker asks for one at first, for it does not know how long it takes; its tap must not stay as narrow."""
    backend = opened(url)
    backend.broker.publish([job() for _ in range(600)])
    consumer = worker(backend)
    sizes: list[int] = []
    deadline = time.monotonic() + 20
    while sum(sizes) < 600 and time.monotonic() < deadline:
        claimed = consumer.claim(["default"], 500 if sizes else 1, 1)
        settle(consumer, claimed)
        sizes.append(len(claimed))
    assert sum(sizes) == 600
    assert len(sizes) < 100, sizes
    consumer.close()
    backend.broker.close()
