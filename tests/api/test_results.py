"""Results: values and errors as their callers see them, and the one listener behind them."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import date
from typing import Any

import pytest
from hands import Hand

from tidewheel import JobFailed, Result, Tidewheel
from tidewheel.contract import Record
from tidewheel.core.outcome import Again, Cancelled, Dead, Expired, Succeeded
from tidewheel.errors import BrokerError, JobCancelled, JobExpired, ResultExpired, ResultTimeout, UnknownJob
from tidewheel.ids import job_id
from tidewheel.listener import Listener
from tidewheel.wire.values import encode


class PaymentRefused(Exception):
    pass


@pytest.fixture
def result(app: Tidewheel) -> Result[dict[str, date]]:
    @app.task
    def f() -> dict[str, date]:
        return {}

    return f.delay()


def test_a_value_comes_back_as_annotated(result: Result[Any], hand: Hand) -> None:
    assert (result.state, result.done) == ("ready", False)
    hand.succeed({"a": date(2026, 1, 2)})
    assert result.get(1) == {"a": date(2026, 1, 2)}
    assert (result.state, result.done, result.error) == ("succeeded", True, None)


def test_a_result_of_elsewhere_is_plain(app: Tidewheel, result: Result[Any], hand: Hand) -> None:
    hand.succeed({"a": date(2026, 1, 2)})
    assert app.result(result.id).get(1) == {"a": "2026-01-02"}


def test_nothing_is_none(result: Result[Any], hand: Hand) -> None:
    hand.settle(hand.claim(), Succeeded(None))
    assert result.get(1) is None


def test_get_waits_for_the_end(result: Result[Any], hand: Hand) -> None:
    timer = threading.Timer(0.1, hand.succeed, ({"a": "2026-01-02"},))
    timer.start()
    assert result.get(10) == {"a": date(2026, 1, 2)}
    timer.join()


def test_get_has_a_time_limit(result: Result[Any], hand: Hand) -> None:
    begun = time.monotonic()
    with pytest.raises(ResultTimeout, match=r"has not ended within 0.05 s; it goes on") as caught:
        result.get(0.05)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.job_id == result.id
    assert time.monotonic() - begun < 5
    hand.succeed({})
    assert result.get(5) == {}


def test_builtin_errors_are_raised_as_themselves(result: Result[Any], hand: Hand) -> None:
    hand.fail(KeyError("colour"))
    with pytest.raises(KeyError, match="colour") as caught:
        result.get(1)
    assert isinstance(caught.value.__cause__, JobFailed)
    assert result.error is not None
    assert result.error.type == "KeyError"


def test_a_task_that_raised_a_timeout_is_not_our_timeout(result: Result[Any], hand: Hand) -> None:
    hand.fail(TimeoutError("the mail server"))
    with pytest.raises(TimeoutError, match="the mail server") as caught:
        result.get(1)
    assert not isinstance(caught.value, ResultTimeout)


def test_own_errors_need_to_be_registered(app: Tidewheel, result: Result[Any], hand: Hand) -> None:
    try:
        raise PaymentRefused("no money", 7)
    except PaymentRefused as error:
        hand.fail(error)
    with pytest.raises(JobFailed, match=rf"job {result.id} is dead \(failed\): .*PaymentRefused: \('no money', 7\)") as caught:
        result.get(1)
    assert (caught.value.job_id, caught.value.reason) == (result.id, "failed")
    assert any("The task's own traceback" in note and "raise PaymentRefused" in note for note in caught.value.__notes__)
    assert app.register_error(PaymentRefused) is PaymentRefused
    with pytest.raises(PaymentRefused, match="no money") as mine:
        app.result(result.id).get(1)
    assert mine.value.args == ("no money", 7)


@pytest.mark.parametrize("reason", ["poison", "time limit", "bad arguments", "undecodable", "unknown task"])
def test_what_was_not_raised_by_the_task_is_a_job_failed(result: Result[Any], hand: Hand, reason: str) -> None:
    hand.fail(ValueError("x"), reason)
    with pytest.raises(JobFailed, match=rf"is dead \({reason}\)"):
        result.get(1)


def test_dead_without_an_error(result: Result[Any], hand: Hand) -> None:
    hand.settle(hand.claim(), Dead("poison", b"", "strikes"))
    with pytest.raises(JobFailed, match="no error was recorded"):
        result.get(1)


def test_cancelled_and_expired(app: Tidewheel, hand: Hand, result: Result[Any]) -> None:
    hand.settle(hand.claim(), Cancelled())
    with pytest.raises(JobCancelled, match="was cancelled"):
        result.get(1)
    other = app.task(name="g")(lambda: None).delay()
    hand.settle(hand.claim(), Expired())
    with pytest.raises(JobExpired, match="was not started before it expired"):
        other.get(1)


def test_cancel_before_the_start(result: Result[Any]) -> None:
    assert result.cancel() == "cancelled"
    assert result.state == "cancelled"
    assert result.cancel() == "ended"


def test_cancel_while_it_runs(result: Result[Any], hand: Hand) -> None:
    delivery = hand.claim()
    assert result.cancel() == "requested"
    assert hand.consumer.beat().cancels == (result.id,)
    hand.settle(delivery, Succeeded(encode({})))
    assert result.get(1) == {}, "what was reported first wins"


def test_a_retry_is_not_an_end(result: Result[Any], hand: Hand) -> None:
    hand.settle(hand.claim(), Again("retry", 0.0, "attempts"))
    assert not result.done
    hand.succeed({})
    assert result.get(1) == {}


def test_unknown_and_expired_are_told_apart(app: Tidewheel) -> None:
    with pytest.raises(UnknownJob, match="is not a job id"):
        _ = app.result("nonsense").state
    fresh = app.result(job_id())
    with pytest.raises(UnknownJob, match=r"no job .* is known to memory://"):
        fresh.get(1)
    old = "0190a0a0-0000-7000-8000-000000000000"  # of June 2024
    with pytest.raises(ResultExpired, match=r"made 2024-.* UTC\): its result's time to live is over"):
        app.result(old).get(1)
    with pytest.raises(LookupError):
        _ = app.result(old).done


def test_forget(result: Result[Any], hand: Hand, app: Tidewheel) -> None:
    hand.succeed({})
    assert app.result(result.id).forget()
    with pytest.raises(UnknownJob):
        app.result(result.id).get(1)


def test_ended_results_ask_only_once(result: Result[Any], hand: Hand, app: Tidewheel) -> None:
    hand.succeed({})
    assert result.done
    app.forget(result.id)
    assert result.get(1) == {}


def test_results_are_their_ids(app: Tidewheel) -> None:
    id_ = job_id()
    assert app.result(id_) == app.result(id_)
    assert len({app.result(id_), app.result(id_)}) == 1
    assert repr(app.result(id_)) == f"<Result {id_}>"


def test_keys_answer_with_the_job_that_is_there(app: Tidewheel) -> None:
    task = app.task(name="k")(lambda: None).using(key="order-7")
    first, second = task.delay(), task.delay()
    assert (first.id, first.created, second.created) == (second.id, True, False)


def test_progress_is_read_back(app: Tidewheel, result: Result[Any], hand: Hand) -> None:
    from tidewheel.contract import Progress

    assert result.progress is None
    delivery = hand.claim()
    hand.consumer.beat([Progress(result.id, delivery.token, encode({"done": 4, "of": 9}))])
    assert result.progress == {"done": 4, "of": 9}


# -- async ------------------------------------------------------------------------------------------------------------


def test_await(app: Tidewheel, hand: Hand) -> None:
    @app.task
    def f(x: int) -> int:
        return x

    async def main() -> list[int]:
        results = await asyncio.gather(*(f.adelay(n) for n in range(20)))
        for n in range(20):
            await asyncio.to_thread(hand.succeed, n)
        async with asyncio.timeout(10):
            return [await r for r in results]

    assert sorted(asyncio.run(main())) == list(range(20))


def test_await_with_a_timeout_leaves_nothing_behind(app: Tidewheel, result: Result[Any]) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await result

    asyncio.run(main())
    assert app._listener is not None
    assert app._listener._watched == {}


def test_await_raises_the_tasks_error(result: Result[Any], hand: Hand) -> None:
    hand.fail(ValueError("x"))

    async def main() -> None:
        with pytest.raises(ValueError, match="x"):
            await result

    asyncio.run(main())


def test_many_who_wait_share_one_thread(app: Tidewheel, hand: Hand) -> None:
    task = app.task(name="many")(lambda: None)
    results = task.starmap([()] * 50)

    async def main() -> int:
        waiting = [asyncio.ensure_future(r.aget()) for r in results]
        while app._listener is None or len(app._listener._watched) < 50:  # noqa: ASYNC110 there is nothing to wait on but this
            await asyncio.sleep(0.005)
        threads = {t.name for t in threading.enumerate() if t.name.startswith("tidewheel")}
        for _ in results:
            hand.succeed()
        await asyncio.gather(*waiting)
        return len(threads)

    assert asyncio.run(main()) == 1


# -- the listener alone -----------------------------------------------------------------------------------------------


class Store:
    """A result store whose answers the test decides."""

    def __init__(self) -> None:
        self.woken = threading.Event()
        self.asked: list[list[str]] = []
        self.answers: list[dict[str, Record] | Exception] = []

    def records(self, ids: Any) -> dict[str, Record]:
        return {}

    def wait(self, ids: Any, timeout: float) -> dict[str, Record]:
        self.asked.append(list(ids))
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        self.woken.wait(timeout)
        self.woken.clear()
        return {}

    def wake_waiters(self) -> None:
        self.woken.set()

    def forget(self, ids: Any) -> int:
        return 0


def ended(id_: str) -> Record:
    return Record(id=id_, state="succeeded")


def test_an_engine_that_is_away_is_asked_again() -> None:
    store = Store()
    store.answers = [BrokerError("away"), BrokerError("away"), {"a": ended("a")}]
    listener = Listener(store)
    assert listener.watch("a").result(10).id == "a"
    assert len(store.asked) == 3
    listener.close()


def test_a_bug_reaches_those_who_wait() -> None:
    store = Store()
    store.answers = [ZeroDivisionError("a bug")]
    listener = Listener(store)
    with pytest.raises(ZeroDivisionError):
        listener.watch("a").result(10)
    listener.close()


def test_closing_reaches_those_who_wait() -> None:
    listener = Listener(Store())
    future = listener.watch("a")
    listener.close()
    with pytest.raises(BrokerError, match="closed while a result was awaited"):
        future.result(10)


def test_two_who_wait_for_one_job() -> None:
    store = Store()
    listener = Listener(store)
    first, second = listener.watch("a"), listener.watch("a")
    listener.unwatch("a", first)
    store.answers = [{"a": ended("a")}]
    store.wake_waiters()
    assert second.result(10).id == "a"
    assert not first.done()
    listener.close()


def test_the_thread_ends_when_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Listener, "LINGER", 0.05)
    store = Store()
    store.answers = [{"a": ended("a")}]
    listener = Listener(store)
    listener.watch("a").result(10)
    thread = listener._thread
    if thread is not None:
        thread.join(10)
    assert listener._thread is None
    store.answers = [{"b": ended("b")}]
    assert listener.watch("b").result(10).id == "b", "and comes back"
    listener.close()


@pytest.mark.parametrize("runs", [True, False], ids=["after it runs", "before it runs"])
def test_ctrl_c_while_the_thread_is_started(runs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    listener = Listener(store)
    start = threading.Thread.start
    strays: list[threading.Thread] = []

    def interrupted(thread: threading.Thread) -> None:
        if runs:
            strays.append(thread)
            start(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            listener.watch("a")
    for stray in strays:
        stray.join(10)
        assert not stray.is_alive(), "nobody would end it"
    assert store.asked == []
    store.answers = [{"a": ended("a")}]
    assert listener.watch("a").result(10).id == "a", "the next who waits is served"
    listener.close()


def test_ctrl_c_while_the_thread_is_started_and_then_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    listener = Listener(Store())
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            listener.watch("a")
    listener.close()
