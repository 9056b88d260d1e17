"""`decide`, first as a table (one line a row of the table in core/outcome.py), then as properties over everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewheel.core.limits import LOSS_LIMIT, STRIKE_LIMIT, UNKNOWN_TASK_DELAY, UNKNOWN_TASK_PATIENCE, is_suspect, recovery_delay
from tidewheel.core.options import Retry
from tidewheel.core.outcome import (
    Again,
    AnyEnding,
    AnyOutcome,
    AskedAbort,
    AskedRetry,
    AskedSnooze,
    BadArguments,
    Cancelled,
    Counters,
    Crashed,
    Dead,
    Expired,
    Interrupted,
    Lost,
    OverTime,
    Raised,
    Returned,
    Stopped,
    Succeeded,
    TooLate,
    Undecodable,
    UnknownTask,
    Unstarted,
    decide,
)

VALUE_ERROR = ("ValueError", "Exception", "BaseException")
KEYBOARD = ("KeyboardInterrupt", "BaseException")
E = b"error"
FIXED = Retry(3, delay=10, jitter=False)
"""Three runs; waits of 10 and 20 seconds."""

TABLE: list[tuple[str, AnyEnding, Counters, AnyOutcome]] = [
    ("returned", Returned(b"v"), Counters(), Succeeded(b"v")),
    ("returned nothing", Returned(), Counters(2, 2, 9), Succeeded()),
    ("raised, attempts left", Raised(E, VALUE_ERROR), Counters(), Again("retry", 10, "attempts", E)),
    ("raised again, waits longer", Raised(E, VALUE_ERROR), Counters(1), Again("retry", 20, "attempts", E)),
    ("raised, last attempt", Raised(E, VALUE_ERROR), Counters(2), Dead("failed", E, "attempts")),
    ("raised, attempts exceeded already", Raised(E, VALUE_ERROR), Counters(7), Dead("failed", E, "attempts")),
    ("raised, not retriable", Raised(E, KEYBOARD), Counters(), Dead("failed", E, "attempts")),
    ("over time, attempts left", OverTime(E), Counters(), Again("retry", 10, "attempts", E)),
    ("over time, last attempt", OverTime(E), Counters(2), Dead("time limit", E, "attempts")),
    ("RetryIn, attempts left", AskedRetry(77, E), Counters(1), Again("retry", 77, "attempts", E)),
    ("RetryIn, last attempt", AskedRetry(77, E), Counters(2), Dead("failed", E, "attempts")),
    ("Snooze counts nothing", AskedSnooze(5), Counters(2), Again("snooze", 5)),
    ("Abort", AskedAbort(E), Counters(), Dead("aborted", E, "attempts")),
    ("interrupted counts nothing", Interrupted(), Counters(2, 2, 9), Again("interrupted")),
    ("handed back counts nothing", Unstarted(), Counters(2, 2, 9), Again("returned")),
    ("crashed once", Crashed(E), Counters(), Again("crashed", 1, "strikes", E)),
    ("crashed twice", Crashed(E), Counters(strikes=1), Again("crashed", 2, "strikes", E)),
    ("crashed at the limit", Crashed(E), Counters(strikes=STRIKE_LIMIT - 1), Dead("poison", E, "strikes")),
    ("losses do not count as strikes", Crashed(E), Counters(2, 0, 9), Again("crashed", 1, "strikes", E)),
    ("lost once: again at once", Lost(E), Counters(), Again("lost", 0, "losses", E)),
    ("lost twice", Lost(E), Counters(losses=1), Again("lost", 1, "losses", E)),
    ("lost at the limit", Lost(E), Counters(losses=LOSS_LIMIT - 1), Dead("poison", E, "losses")),
    ("unknown task, young", UnknownTask(UNKNOWN_TASK_PATIENCE - 1, E), Counters(), Again("unknown task", UNKNOWN_TASK_DELAY, error=E)),
    ("unknown task, old", UnknownTask(UNKNOWN_TASK_PATIENCE, E), Counters(), Dead("unknown task", E)),
    ("undecodable", Undecodable(E), Counters(), Dead("undecodable", E)),
    ("bad arguments", BadArguments(E), Counters(), Dead("bad arguments", E)),
    ("too late", TooLate(), Counters(), Expired()),
    ("stopped by request", Stopped(), Counters(), Cancelled()),
]


@pytest.mark.parametrize(("ending", "counters", "outcome"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_table(ending: AnyEnding, counters: Counters, outcome: AnyOutcome) -> None:
    assert decide(ending, counters, FIXED) == outcome


def test_table_names_every_ending() -> None:
    assert {type(row[1]) for row in TABLE} == set(AnyEnding.__args__)


@pytest.mark.parametrize(("ending", "counters"), [row[1:3] for row in TABLE], ids=[row[0] for row in TABLE])
def test_cancellation_turns_what_would_run_again_or_fail_into_cancelled(ending: AnyEnding, counters: Counters) -> None:
    calm, asked = decide(ending, counters, FIXED), decide(ending, counters, FIXED, cancelled=True)
    if isinstance(ending, (Returned, Undecodable, BadArguments, TooLate)):
        assert asked == calm, "what was reported first wins"
    else:
        assert asked == Cancelled()


def test_ttl_goes_into_every_end() -> None:
    for name, ending, counters, outcome in TABLE:
        if not isinstance(outcome, Again):
            assert decide(ending, counters, FIXED, ttl=7.0).ttl == 7.0, name  # type: ignore[union-attr]


def test_not_an_ending() -> None:
    with pytest.raises(TypeError, match="not an ending"):
        decide("oops", Counters(), FIXED)  # type: ignore[arg-type]


# -- properties -------------------------------------------------------------------------------------------------------

names = st.sampled_from([VALUE_ERROR, KEYBOARD, ("smtplib.SMTPException", "OSError", "Exception", "BaseException"), ()])
errors = st.binary(max_size=8)
durations = st.floats(0, 1e6)
faulty = st.one_of(
    st.builds(Raised, errors, names), st.builds(OverTime, errors), st.builds(AskedRetry, durations, errors), st.builds(Crashed, errors),
    st.builds(Lost, errors),
)  # fmt: skip
endings = st.one_of(
    faulty, st.builds(Returned, st.none() | errors), st.builds(AskedSnooze, durations), st.builds(AskedAbort, errors),
    st.builds(UnknownTask, durations, errors), st.builds(Undecodable, errors), st.builds(BadArguments, errors), st.just(Interrupted()),
    st.just(Unstarted()), st.just(TooLate()), st.just(Stopped()),
)  # fmt: skip
counters = st.builds(Counters, st.integers(0, 50), st.integers(0, 5), st.integers(0, 12))
retries = st.builds(
    Retry, st.integers(1, 40), st.sampled_from([("Exception",), (), ("OSError",)]), st.sampled_from([(), ("ValueError",)]),
    st.floats(0, 1e4), st.floats(1, 100), st.floats(0, 1e5), st.booleans(),
)  # fmt: skip
dice = st.floats(0, 1, exclude_max=True)


@given(endings, counters, retries, st.booleans(), dice)
def test_every_ending_comes_to_one_outcome(ending: AnyEnding, at: Counters, retry: Retry, cancelled: bool, chance: float) -> None:
    outcome = decide(ending, at, retry, cancelled=cancelled, dice=chance)
    assert isinstance(outcome, AnyOutcome)
    assert outcome == decide(ending, at, retry, cancelled=cancelled, dice=chance)
    if isinstance(outcome, Again):
        assert outcome.delay >= 0
        assert not cancelled


@given(faulty, counters, retries, dice)
def test_whatever_fails_counts(ending: AnyEnding, at: Counters, retry: Retry, chance: float) -> None:
    """So no fault can repeat without end: law 7."""
    outcome = decide(ending, at, retry, dice=chance)
    assert isinstance(outcome, (Again, Dead))
    assert outcome.counted == {Crashed: "strikes", Lost: "losses"}.get(type(ending), "attempts")


@given(st.lists(faulty, min_size=60, max_size=60), retries.filter(lambda r: r.attempts <= 20), dice)
def test_counters_bounded_means_it_ends(faults: list[AnyEnding], retry: Retry, chance: float) -> None:
    counts = {"attempts": 0, "strikes": 0, "losses": 0}
    for runs, ending in enumerate(faults, 1):
        outcome = decide(ending, Counters(**counts), retry, dice=chance)
        if isinstance(outcome, Dead):
            assert runs <= (retry.attempts - 1) + (STRIKE_LIMIT - 1) + (LOSS_LIMIT - 1) + 1
            return
        assert isinstance(outcome, Again)
        counts[outcome.counted] += 1
    pytest.fail("it never ended")


@given(retries, st.integers(1, 10_000), dice)
def test_waits_stay_within_their_bounds(retry: Retry, attempts: int, chance: float) -> None:
    bound = Retry(retry.attempts, delay=retry.delay, factor=retry.factor, max_delay=retry.max_delay, jitter=False).wait(attempts, 0.5)
    assert 0 <= retry.wait(attempts, chance) <= bound <= retry.max_delay
    if attempts < 50:
        assert bound == pytest.approx(min(retry.delay * retry.factor ** (attempts - 1), retry.max_delay))


def test_full_jitter_reaches_from_nothing_to_the_bound() -> None:
    retry = Retry(9, delay=4, factor=3, max_delay=1000)
    assert [retry.wait(n, 0.0) for n in (1, 2, 3)] == [0, 0, 0]
    assert [Retry(9, delay=4, factor=3, max_delay=30, jitter=False).wait(n, 0.9) for n in (1, 2, 3, 4)] == [4, 12, 30, 30]
    assert retry.wait(3, 0.5) == 18


def test_recovery_delay_doubles_up_to_a_minute() -> None:
    assert [recovery_delay(n) for n in (0, 1, 2, 3, 7, 500)] == [1, 1, 2, 4, 60, 60]
    assert [is_suspect(n) for n in (0, 1, 2, 9)] == [False, False, True, True]
