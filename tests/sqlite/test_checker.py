"""The protocol itself, by trying everything: two models small enough to search completely.

The first has one job, three workers, and lets a sweeper take any live worker for dead at any moment. The second has a broker that may
forget what it did not sync, and answers that get lost. Each must find the mistakes that we were tempted to make.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

import pytest

# -- the fence ---------------------------------------------------------------------------------------------------------

WORKERS, CLAIMS, ATTEMPTS, LOSSES = (0, 1, 2), 6, 3, 3
ENDED = {"succeeded", "dead", "cancelled"}
Guard = Literal["fence", "worker", "state", "none"]


class Job(NamedTuple):
    """`held`: the claims that each worker still believes in. `accepted`: (the claim that reported, the claim that was current)."""

    state: str = "absent"
    owner: int | None = None
    claim: int = 0
    attempts: int = 0
    losses: int = 0
    cancel: bool = False
    accepted: tuple[tuple[int, int], ...] = ()
    acknowledged: bool = False
    held: tuple[frozenset[int], ...] = (frozenset(),) * len(WORKERS)


def steps(job: Job, guard: Guard) -> Iterator[tuple[str, Job]]:
    """Everything that can happen next (T1 to T13)."""

    def held(worker: int, claims: frozenset[int]) -> tuple[frozenset[int], ...]:
        return tuple(claims if w == worker else h for w, h in enumerate(job.held))

    if job.state == "absent":
        yield "publish", job._replace(state="ready", acknowledged=True)
    else:
        yield "publish again", job
    if job.state == "scheduled":
        yield "promote", job._replace(state="ready")
    for w in WORKERS:
        mine = job.held[w]
        if job.state == "ready" and job.claim < CLAIMS:
            n = job.claim + 1
            yield f"claim {n} by w{w}", job._replace(state="running", owner=w, claim=n, held=held(w, mine | {n}))
        if mine:
            yield f"crash of w{w}", job._replace(held=held(w, frozenset()))
        for n in mine:
            after = job._replace(held=held(w, mine - {n}))
            running = job.state == "running"
            good = {
                "fence": running and (job.owner, job.claim) == (w, n),
                "worker": running and job.owner == w,
                "state": running,
                "none": job.state != "absent",
            }[guard]
            if not good:
                yield f"report of w{w} for claim {n}, refused", after
                continue
            after = after._replace(owner=None, accepted=(*job.accepted, (n, job.claim)))
            yield f"success of w{w} for claim {n}", after._replace(state="succeeded")
            if job.cancel:
                yield f"cancellation by w{w} for claim {n}", after._replace(state="cancelled")
            else:
                again = "scheduled" if job.attempts + 1 < ATTEMPTS else "dead"
                yield f"failure of w{w} for claim {n}", after._replace(state=again, attempts=min(job.attempts + 1, ATTEMPTS))
    if job.state == "running":
        state = "cancelled" if job.cancel else "ready" if job.losses + 1 < LOSSES else "dead"
        yield "recovery", job._replace(state=state, owner=None, losses=job.losses + 1)
        if not job.cancel:
            yield "request to cancel", job._replace(cancel=True)
    if job.state in ("ready", "scheduled"):
        yield "cancel", job._replace(state="cancelled")


def violation(before: Job, after: Job) -> str | None:
    if after.acknowledged and after.state == "absent":
        return "lost"
    if before.state in ENDED and (after.state, after.accepted) != (before.state, before.accepted):
        return "an end changed"
    if after.accepted and after.accepted[-1][0] != after.accepted[-1][1]:
        return "a stale report was accepted"
    return None


def search(guard: Guard) -> tuple[str, list[str]] | int:
    """The first violation and the way to it, or the number of states without one."""
    start = Job()
    seen: dict[Job, tuple[Job, str] | None] = {start: None}
    todo = deque([start])
    while todo:
        job = todo.popleft()
        for name, after in steps(job, guard):
            if after in seen:
                continue
            seen[after] = (job, name)
            if (bad := violation(job, after)) is not None:
                path, at = list[str](), after
                while (came := seen[at]) is not None:
                    path.append(came[1])
                    at = came[0]
                return bad, path[::-1]
            todo.append(after)
    return len(seen)


def test_the_fence_holds_whatever_happens() -> None:
    found = search("fence")
    assert isinstance(found, int), found
    assert found > 4000


@pytest.mark.parametrize("guard", ["worker", "state", "none"])
def test_a_weaker_guard_is_found_out(guard: Guard) -> None:
    found = search(guard)
    assert not isinstance(found, int)
    assert len(found[1]) <= 6


# -- forgetting and lost answers ------------------------------------------------------------------------------------------

TWO, MOST = (0, 1), 3


class Row(NamedTuple):
    state: str = "absent"
    owner: int | None = None
    token: int | None = None
    deliveries: int = 0
    losses: int = 0
    outcomes: int = 0


class World(NamedTuple):
    """`now`: what the broker knows. `disk`: what it still knows after a power cut. `counters`: each worker's own, of its claims."""

    now: Row = Row()
    disk: Row = Row()
    counters: tuple[int, ...] = (0, 0)
    held: tuple[frozenset[int], ...] = (frozenset(), frozenset())
    gone: tuple[bool, ...] = (False, False)


def put(values: tuple, at: int, value: object) -> tuple:  # type: ignore[type-arg]
    return (*values[:at], value, *values[at + 1 :])


def moves(world: World, tokens: Literal["own", "row"], reconcile: bool) -> Iterator[tuple[str, World | None]]:
    """Everything that can happen next; None is a token that was issued twice."""
    row, disk, counters, held, gone = world
    if row.state == "absent":
        new = row._replace(state="ready")
        yield "publish (synced)", world._replace(now=new, disk=new)
    if row != disk:
        yield "sync", world._replace(disk=row)
        yield "forget", world._replace(now=disk)
    for w in TWO:
        if row.state == "ready" and counters[w] < MOST and row.deliveries <= MOST and not gone[w]:
            token = counters[w] + 1 if tokens == "own" else row.deliveries + 1
            taken = Row("running", w, token, row.deliveries + 1, row.losses, row.outcomes)
            after = world._replace(now=taken, counters=put(counters, w, counters[w] + 1))
            if token in held[w]:
                yield f"claim by w{w}: token {token} again", None
            yield f"claim by w{w}", after._replace(held=put(held, w, held[w] | {token}))
            yield f"claim by w{w}, answer lost", after
        for token in held[w]:
            fewer = put(held, w, held[w] - {token})
            if row[:3] == ("running", w, token):
                ended = row._replace(state="succeeded", owner=None, token=None, outcomes=row.outcomes + 1)
                yield f"success of w{w} (synced)", world._replace(now=ended, disk=ended, held=fewer)
                yield f"hand-back by w{w}", world._replace(now=row._replace(state="ready", owner=None, token=None), held=fewer)
            else:
                yield f"stale report of w{w}", world._replace(held=fewer)
        if reconcile and row.state == "running" and row.owner == w and row.token not in held[w]:
            yield f"reconciliation by w{w}", world._replace(now=row._replace(state="ready", owner=None, token=None))
        if held[w]:
            yield f"crash of w{w}", world._replace(held=put(held, w, frozenset()), gone=put(gone, w, True))
    if row.state == "running" and row.owner is not None and gone[row.owner]:
        back = row._replace(state="ready" if row.losses < 1 else "dead", owner=None, token=None, losses=row.losses + 1)
        yield "recovery", world._replace(now=back, disk=back)


def explore(tokens: Literal["own", "row"], reconcile: bool) -> tuple[list[str] | None, list[str] | None]:
    """The shortest way to a token that is issued twice, and the shortest to a state from which the job cannot end."""
    start = World()
    seen: dict[World, tuple[World, str] | None] = {start: None}
    todo, back = deque([start]), defaultdict[World, list[World]](list)
    twice: list[str] | None = None

    def path(world: World) -> list[str]:
        way = []
        while (came := seen[world]) is not None:
            way.append(came[1])
            world = came[0]
        return way[::-1]

    while todo:
        world = todo.popleft()
        for name, after in moves(world, tokens, reconcile):
            if after is None:
                twice = twice or [*path(world), name]
                continue
            assert after.now.outcomes <= 1
            if not name.startswith("crash"):  # a crash must not be needed to get on
                back[after].append(world)
            if after not in seen:
                seen[after] = (world, name)
                todo.append(after)

    def is_over(world: World) -> bool:
        """It has ended, or the model ran out of claims."""
        row = world.now
        exhausted = row.deliveries > MOST or all(g or n >= MOST for g, n in zip(world.gone, world.counters, strict=True))
        return (row.state in ENDED and world.disk.state in ENDED) or (row.state == "ready" and exhausted)

    good = {world for world in seen if is_over(world)}
    stack = list(good)
    while stack:
        for before in back[stack.pop()]:
            if before not in good:
                good.add(before)
                stack.append(before)
    stuck = [path(world) for world in seen if world not in good and world.now.state != "absent"]
    return twice, min(stuck, key=len, default=None)


def test_the_workers_own_counter_and_reconciliation_are_enough() -> None:
    assert explore("own", reconcile=True) == (None, None)


def test_without_reconciliation_a_lost_answer_is_a_stuck_job() -> None:
    twice, stuck = explore("own", reconcile=False)
    assert twice is None
    assert stuck == ["publish (synced)", "claim by w0, answer lost", "sync"]


def test_a_counter_in_the_row_is_issued_twice_by_a_broker_that_forgets() -> None:
    twice, _ = explore("row", reconcile=True)
    assert twice == ["publish (synced)", "claim by w0", "forget", "claim by w0: token 1 again"]
