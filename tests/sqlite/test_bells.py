"""Doorbells: they reach who waits, cost little when nobody does, and never hurt."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from ground import Child, Ground, Say, job, settle, until, worker

from tidewheel.backends.sqlite import bells
from tidewheel.backends.sqlite import consumer as consumer_module
from tidewheel.backends.sqlite import results as results_module
from tidewheel.backends.sqlite.bells import Alarm, Bell, Bells, WorkerBells
from tidewheel.contract import Settlement
from tidewheel.core.job import Delivery
from tidewheel.core.outcome import Again, Dead, Succeeded
from tidewheel.testing.conformance.harness import Aside


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


class TestBell:
    def test_somebody_reads(self, tmp_path: Path) -> None:
        bell = Bell(f"{tmp_path}/a/b/bell")
        assert not bells.ring(bell.path), "nobody has opened it"
        bell.open()
        assert bells.ring(bell.path)
        assert bells.wait([bell.fd], 5) == {bell.fd}
        assert bells.wait([bell.fd], 0) == set(), "one ring is heard once"
        bell.shut()
        assert not bells.ring(bell.path)

    def test_a_full_one_is_as_good(self, tmp_path: Path) -> None:
        bell = Bell(f"{tmp_path}/bell")
        bell.open()
        os.write(bell.fd, b"x" * 65_536)
        assert bells.ring(bell.path)
        assert bells.wait([bell.fd], 5) == {bell.fd}
        assert bells.wait([bell.fd], 0) == set()
        bell.shut()

    def test_nothing_but_a_fifo_is_written_to(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "link").symlink_to(tmp_path / "file")
        assert not bells.ring(f"{tmp_path}/file")
        assert not bells.ring(f"{tmp_path}/link")
        assert not bells.ring(f"{tmp_path}/missing")
        assert (tmp_path / "file").read_text() == ""

    def test_an_alarm_is_remembered(self) -> None:
        alarm = Alarm()
        alarm.ring()
        assert bells.wait([alarm.fd], 5) == {alarm.fd}
        assert bells.wait([alarm.fd], 0) == set()
        for _ in range(100_000):
            alarm.ring()
        alarm.shut()
        alarm.ring()


class TestIdle:
    def test_only_the_idle_are_rung_and_only_for_their_queues(self, tmp_path: Path) -> None:
        ringer = Bells(str(tmp_path))
        idle, busy = WorkerBells(str(tmp_path), "idle"), WorkerBells(str(tmp_path), "busy")
        with busy.idle(["a"]):
            pass
        with idle.idle(["a", "b"]):
            ringer.ring_idle(["c"])
            assert idle.listen(0) == set()
            ringer.ring_idle(["b"])
            assert idle.listen(5) == {"work"}
            ringer.ring_idle(["a"])
            assert idle.listen(5) == {"work"}
            ringer.ring_news("idle")
            assert idle.listen(5) == {"news"}
            idle.alarm.ring()
            assert idle.listen(5) == {"wake"}
        idle.close()
        busy.close()
        assert [p for p in tmp_path.rglob("*") if not p.is_dir()] == []

    def test_as_many_as_wanted(self, tmp_path: Path) -> None:
        ringer = Bells(str(tmp_path))
        workers = [WorkerBells(str(tmp_path), f"w{n}") for n in range(5)]
        waiting = [w.idle(["q"]) for w in workers]
        for w in waiting:
            w.__enter__()
        ringer.ring_idle(["q"], 2)
        assert sum(w.listen(0) == {"work"} for w in workers) == 2
        for w in waiting:
            w.__exit__(None, None, None)

    def test_a_listing_is_not_trusted_while_it_is_fresh(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two changes within one tick of the file system's clock have the same time stamp."""
        monkeypatch.setattr(bells, "FRESH", 60.0)
        ringer = Bells(str(tmp_path))
        tick = time.time_ns()
        for n in range(5):
            waiter = WorkerBells(str(tmp_path), f"w{n}")
            with waiter.idle(["q"]):
                os.utime(tmp_path / "idle/q-q", ns=(tick, tick))
                ringer.ring_idle(["q"])
                assert waiter.listen(0) == {"work"}, n
            waiter.close()

    def test_a_listing_that_has_settled_is_used_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ringer, waiter = Bells(str(tmp_path)), WorkerBells(str(tmp_path), "w")
        with waiter.idle(["q"]):
            os.utime(tmp_path / "idle/q-q", (1e9, 1e9))
            ringer.ring_idle(["q"])
            monkeypatch.setattr(os, "listdir", lambda path: pytest.fail("read again"))
            ringer.ring_idle(["q"])
            assert waiter.listen(0) == {"work"}

    def test_where_fifos_cannot_be_made_the_poll_does_it(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_fifo(*args: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "mkfifo", no_fifo)
        backend = ground.backend()
        consumer = worker(backend)
        timer = threading.Timer(0.05, lambda: backend.broker.publish([job()]))
        timer.start()
        assert len(consumer.claim(["default"], 1, 10)) == 1
        timer.join()
        consumer.close()


class TestWaiters:
    def test_a_waiter_that_is_gone_is_removed_by_the_first_who_rings(self, ground: Ground) -> None:
        backend = ground.backend()
        assert backend.control is not None

        def wait(say: Say) -> None:
            results = ground.backend().results
            assert results is not None
            results.wait(["x"], 0)
            os._exit(0)

        Child(wait).wait()
        folder = Path(f"{ground.path}.run/waiters")
        assert len(names(folder)) == 1
        envelope = job()
        backend.broker.publish([envelope])
        backend.control.cancel([envelope.id])
        assert names(folder) == []

    def test_a_waiter_that_closes_leaves_nothing(self, ground: Ground) -> None:
        backend = ground.backend()
        assert backend.results is not None
        backend.results.wait(["x"], 0)
        assert len(names(Path(f"{ground.path}.run/waiters"))) == 1
        backend.broker.close()
        assert names(Path(f"{ground.path}.run/waiters")) == []

    def test_the_busy_ear_rests(self, ground: Ground) -> None:
        """Who waits for many jobs looks less often than every ring: a look costs."""
        backend, other = ground.backend(), ground.backend()
        results = backend.results
        assert results is not None
        ids = [job().id for _ in range(20_000)]
        stop = threading.Event()

        def ring() -> None:
            while not stop.is_set():
                other.broker._store.bells.ring_waiters()  # type: ignore[attr-defined]

        thread = threading.Thread(target=ring)
        thread.start()
        looks = 0
        store = backend.broker._store  # type: ignore[attr-defined]
        read = store.read

        def counted() -> object:
            nonlocal looks
            looks += 1
            return read()

        store.read = counted
        began = time.monotonic()
        assert results.wait(ids, 0.5) == {}
        spent = time.monotonic() - began
        stop.set()
        thread.join()
        assert spent < 2
        assert looks < 60


class TestHints:
    """With no poll below them at all: then it is the hints that do the work, everywhere where there should be one."""

    @pytest.fixture(autouse=True)
    def _no_polling(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (consumer_module, results_module):
            monkeypatch.setattr(module, "FIRST_LOOK", 60.0)
            monkeypatch.setattr(module, "LAST_LOOK", 60.0)

    def _idle(self, ground: Ground, count: int = 1, queue: str = "default") -> list[Aside]:
        """Workers of their own clients that wait for one job each."""
        workers = [worker(ground.backend()) for _ in range(count)]
        waiting = [Aside(w.claim, [queue], 1, 30) for w in workers]
        folder = Path(f"{ground.path}.run/idle/q-{queue}")
        until(lambda: len(names(folder)) == count and all(_has_reader(folder / name) for name in names(folder)))
        return waiting

    def test_a_publication(self, ground: Ground) -> None:
        (waiting,) = self._idle(ground)
        ground.backend().broker.publish([job()])
        assert len(waiting.answer(within=5)) == 1

    def test_a_batch_reaches_everybody_who_is_idle(self, ground: Ground) -> None:
        waiting = self._idle(ground, 4)
        ground.backend().broker.publish([job() for _ in range(4)])
        assert [len(w.answer(within=5)) for w in waiting] == [1] * 4

    def test_a_publication_for_later(self, ground: Ground) -> None:
        (waiting,) = self._idle(ground)
        ground.backend().broker.publish([job(delay=0.2)])
        assert len(waiting.answer(within=5)) == 1

    def test_many_that_become_due_at_once(self, ground: Ground) -> None:
        ground.backend().broker.publish([job(delay=0.3) for _ in range(3)])
        waiting = self._idle(ground, 3)
        assert [len(w.answer(within=5)) for w in waiting] == [1] * 3

    def test_what_becomes_due_in_a_queue_of_others(self, ground: Ground) -> None:
        (other,) = self._idle(ground, queue="other")
        ground.backend().broker.publish([job(queue="other", delay=0.3)])
        (mine,) = self._idle(ground)
        assert len(other.answer(within=5)) == 1
        ground.backend().broker.publish([job()])
        mine.answer(within=5)

    def test_a_job_that_comes_back(self, ground: Ground) -> None:
        backend = ground.backend()
        for how in ("again", "goodbye", "death", "revival", "follow-up"):
            envelope = job()
            backend.broker.publish([envelope])
            first = worker(backend)
            (delivery,) = first.claim(["default"], 1, 0)
            (waiting,) = self._idle(ground)
            if how == "again":
                settle(first, [delivery], Again("returned"))
            elif how == "goodbye":
                first.close()
            elif how == "death":
                assert isinstance(first, consumer_module.Consumer)
                first.abandon()
                backend.broker.sweep()
            elif how == "revival":
                settle(first, [delivery], Dead("failed"))
                assert backend.control is not None
                backend.control.revive([envelope.id])
            else:
                first.settle([Settlement(delivery.id, delivery.token, Succeeded(), (job(),))])
            assert len(waiting.answer(within=5)) == 1, how
            first.close()
            backend.broker.purge("default")
            for name in names(Path(f"{ground.path}.run/idle/q-default")):
                os.unlink(f"{ground.path}.run/idle/q-default/{name}")

    def test_a_ring_that_reaches_a_worker_who_is_leaving_is_passed_on(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        leaving = worker(ground.backend())
        assert isinstance(leaving, consumer_module.Consumer)
        (waiting,) = self._idle(ground)
        with monkeypatch.context() as patch:
            patch.setattr(bells, "ring", lambda path: True)
            ground.backend().broker.publish([job()])

        def leave(queues: object, limit: object, deadline: object) -> tuple[list[Delivery], set[str]]:
            assert leaving._bells.work is not None
            assert bells.ring(leaving._bells.work.path)
            return [], set()

        monkeypatch.setattr(leaving, "_take", lambda queues, limit: ([], set(), None))
        monkeypatch.setattr(leaving, "_wait", leave)
        leaving.claim(["default"], 1, 5)
        assert len(waiting.answer(within=5)) == 1
        leaving.close()

    def test_results(self, ground: Ground) -> None:
        backend, other = ground.backend(), ground.backend()
        consumer = worker(other)
        assert backend.results is not None
        assert other.control is not None
        for how in ("success", "death", "cancellation", "expiry", "expiry at a claim"):
            envelope = job(lifetime=0.3 if "expiry" in how else None)
            backend.broker.publish([envelope])
            deliveries = consumer.claim(["default"], 1, 0) if how in ("success", "death") else []
            waiting = Aside(backend.results.wait, [envelope.id], 30)
            folder = Path(f"{ground.path}.run/waiters")
            until(partial(_anybody, folder))
            if how == "cancellation":
                other.control.cancel([envelope.id])
            elif how == "expiry":
                until(lambda: other.broker.sweep().expired)
            elif how == "expiry at a claim":
                while other.broker.counts(["default"])["default"].ready:
                    consumer.claim(["nothing"], 1, 0)
            else:
                settle(consumer, deliveries, Succeeded() if how == "success" else Dead("failed"))
            assert list(waiting.answer(within=5)) == [envelope.id], how
        consumer.close()

    def test_a_cancellation(self, ground: Ground) -> None:
        backend = ground.backend()
        consumer = worker(backend)
        envelope = job()
        backend.broker.publish([envelope])
        consumer.claim(["default"], 1, 0)
        control = ground.backend().control
        assert control is not None
        waiting = Aside(consumer.claim, ["default"], 1, 30)
        control.cancel([envelope.id])
        assert list(waiting.answer(within=5)) == []
        assert consumer.news
        consumer.close()


class TestLatency:
    def test_an_idle_worker_starts_a_job_within_milliseconds(self, ground: Ground) -> None:
        """The median of 20; the poll below would take half a second by then."""

        def work(say: Say) -> None:
            consumer = worker(ground.backend())
            say("ready")
            for _ in range(20):
                (delivery,) = consumer.claim(["default"], 1, 30)
                say(repr(time.time() - delivery.published))

        backend = ground.backend()
        child = Child(work)
        child.hear()
        delays = []
        for _ in range(20):
            idle = Path(f"{ground.path}.run/idle/q-default")
            until(partial(_anybody, idle))
            backend.broker.publish([job()])
            delays.append(float(child.hear()))
        child.wait()
        assert sorted(delays)[10] < 0.05


def _anybody(folder: Path) -> bool:
    return any(_has_reader(folder / name) for name in names(folder))


def _has_reader(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
