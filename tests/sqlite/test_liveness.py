"""Lifelines: who is alive, and who may say so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ground import Child, Ground, Say, in_child, job, settle, until, worker

from tidewheel import lifeline
from tidewheel.backends.sqlite import liveness
from tidewheel.backends.sqlite.consumer import Consumer
from tidewheel.backends.sqlite.place import Place
from tidewheel.contract import Consumer as AnyConsumer


class TestLifeline:
    def test_held_until_released(self, tmp_path: Path) -> None:
        fd = lifeline.hold(f"{tmp_path}/w")
        path = f"{tmp_path}/w.{os.getpid()}"
        assert lifeline.held(fd)
        assert lifeline.seize(path) is None, "another descriptor of the same process must not get it"
        assert in_child(lambda: lifeline.seize(path)) is None
        lifeline.release(fd)
        assert not os.path.exists(path)
        assert lifeline.seize(path) == -1

    def test_the_kernel_lets_go_of_a_dead_process(self, tmp_path: Path) -> None:
        def live(say: Say) -> None:
            lifeline.hold(f"{tmp_path}/w")
            say("holding")
            signal.pause()

        child = Child(live)
        assert child.hear() == "holding"
        path = f"{tmp_path}/w.{child.pid}"
        assert lifeline.seize(path) is None
        os.kill(child.pid, signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        assert lifeline.seize(path) is None, "who is stopped is not dead"
        child.kill()
        fd = lifeline.seize(path)
        assert fd is not None
        assert fd >= 0
        os.close(fd)

    def test_a_forked_child_does_not_keep_its_parent_alive(self, tmp_path: Path) -> None:
        """A user's task may leave a daemon behind."""
        read, write = os.pipe()

        def parent(say: Say) -> None:
            lifeline.hold(f"{tmp_path}/w")
            if os.fork() == 0:
                os.write(write, b"%d\n" % os.getpid())
                signal.pause()
            say(str(os.getpid()))
            signal.pause()

        child = Child(parent)
        assert child.hear() == str(child.pid)
        grandchild = int(os.read(read, 20))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        fd = lifeline.seize(f"{tmp_path}/w.{child.pid}")
        os.kill(grandchild, signal.SIGKILL)
        assert fd is not None

    def test_an_execed_child_does_not_either(self, tmp_path: Path) -> None:
        fd = lifeline.hold(f"{tmp_path}/w")
        with subprocess.Popen(["sleep", "60"], close_fds=False) as process:
            lifeline.forget(fd)
            seized = lifeline.seize(f"{tmp_path}/w.{os.getpid()}")
            process.kill()
        assert seized is not None

    def test_a_file_that_a_sweeper_took_away_meanwhile_is_not_trusted(self, tmp_path: Path) -> None:
        path = f"{tmp_path}/w.{os.getpid()}"
        Path(path).touch()
        sweeper = lifeline.seize(path)  # found it before it was locked …
        assert sweeper is not None

        def hold() -> bool:
            fd = lifeline.hold(f"{tmp_path}/w")
            return lifeline.held(fd)

        import threading

        answers: list[bool] = []
        thread = threading.Thread(target=lambda: answers.append(hold()))
        thread.start()
        os.unlink(path)  # … and deletes it
        os.close(sweeper)
        thread.join(10)
        assert answers == [True]

    def test_a_link_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / f"w.{os.getpid()}").symlink_to(tmp_path / "victim")
        with pytest.raises(OSError, match="symbolic"):
            lifeline.hold(f"{tmp_path}/w")
        assert not (tmp_path / "victim").exists()

    def test_it_needs_nothing_of_ours(self) -> None:
        """An executor holds it first thing; nothing of SQLite may come into that process by it."""
        code = "import sys, importlib.util as u; s = u.spec_from_file_location('l', sys.argv[1]); m = u.module_from_spec(s)\n"
        code += "s.loader.exec_module(m); m.hold(sys.argv[2]); print([n for n in sys.modules if 'tidewheel' in n or 'sqlite' in n])"
        out = subprocess.run([sys.executable, "-c", code, lifeline.__file__, "/tmp/tidewheel-test-l"], capture_output=True, check=True)
        for left in Path("/tmp").glob("tidewheel-test-l.*"):
            left.unlink()
        assert out.stdout.strip() == b"[]"


class TestSweeping:
    def test_a_worker_lives_as_long_as_one_of_its_processes(self, ground: Ground) -> None:
        """Its executor may still be running the job."""
        backend, observer = ground.backend(), ground.backend()
        consumer = worker(backend)
        assert isinstance(consumer, Consumer)
        backend.broker.publish([job()])
        consumer.claim(["default"], 1, 0)

        def execute(say: Say) -> None:
            assert consumer.lifeline is not None
            lifeline.hold(consumer.lifeline)
            say("running")
            signal.pause()

        child = Child(execute)
        assert child.hear() == "running"
        consumer.abandon()
        assert observer.broker.sweep().recovered == 0
        assert observer.browse is not None
        assert len(observer.browse.workers()) == 1
        child.kill()
        assert observer.broker.sweep().recovered == 1
        assert os.listdir(f"{ground.path}.run/workers") == []

    def test_a_child_that_dies_is_not_its_workers_death(self, ground: Ground) -> None:
        backend = ground.backend()
        consumer = worker(backend)
        backend.broker.publish([job()])
        deliveries = consumer.claim(["default"], 1, 0)

        def execute(say: Say) -> None:
            assert consumer.lifeline is not None
            lifeline.hold(consumer.lifeline)

        assert Child(execute).wait() == 0
        assert ground.backend().broker.sweep().recovered == 0
        assert settle(consumer, deliveries) == ["ok"]
        consumer.close()

    def test_a_worker_that_begins_in_the_midst_of_a_sweep_is_alive(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        backend, observer = ground.backend(), ground.backend()
        backend.broker.publish([job()])
        begun: list[AnyConsumer] = []
        real = liveness.files

        def files(place: Place) -> dict[str, list[str]]:
            found = real(place)
            if not begun:
                begun.append(worker(backend))
                begun[0].claim(["default"], 1, 0)
            return found

        monkeypatch.setattr(liveness, "files", files)
        assert observer.broker.sweep().recovered == 0
        assert begun[0].beat().owned == 1
        begun[0].close()

    def test_jobs_of_a_worker_without_any_file_come_back(self, ground: Ground) -> None:
        """The database was copied here, or the run directory deleted."""
        backend = ground.backend()
        consumer = worker(backend)
        backend.broker.publish([job()])
        consumer.claim(["default"], 1, 0)
        for name in os.listdir(f"{ground.path}.run/workers"):
            os.unlink(f"{ground.path}.run/workers/{name}")
        assert backend.broker.sweep().recovered == 1
        consumer.close()

    def test_what_the_dead_leave_behind_is_removed(self, ground: Ground) -> None:
        backend = ground.backend()
        before = sorted(p for p in ground.folder.rglob("*") if not p.is_dir())

        def die(say: Say) -> None:
            consumer = worker(ground.backend())
            consumer.claim(["a", "b"], 1, 0.01)
            os.kill(os.getpid(), signal.SIGKILL)

        Child(die).wait()
        assert len(sorted(p for p in ground.folder.rglob("*") if not p.is_dir())) == len(before) + 4
        backend.broker.sweep()
        assert sorted(p for p in ground.folder.rglob("*") if not p.is_dir()) == before

    def test_a_worker_that_begins_beside_a_sweeper_is_not_swept_away(self, ground: Ground) -> None:
        def begin(say: Say) -> None:
            backend = ground.backend()
            for _ in range(40):
                consumer = worker(backend)
                backend.broker.publish([job()])
                deliveries = consumer.claim(["default"], 1, 0)
                assert not consumer.beat().lost
                assert settle(consumer, deliveries) == ["ok"] * len(deliveries)
                consumer.close()

        backend = ground.backend()
        children = [Child(begin) for _ in range(2)]
        recovered = 0
        for _ in range(300):
            recovered += backend.broker.sweep().recovered
        assert [child.wait() for child in children] == [0, 0]
        assert recovered == 0


class TestFork:
    def test_a_forked_child_may_not_use_the_connection(self, ground: Ground) -> None:
        backend = ground.backend()
        with pytest.raises(RuntimeError, match=r"BrokerUnavailable: .*forked child"):
            in_child(lambda: backend.broker.publish([job()]))
        assert backend.broker.publish([job()])[0].created

    def test_a_forked_child_may_open_its_own(self, ground: Ground) -> None:
        backend = ground.backend()
        backend.broker.publish([job()])

        def publish() -> bool:
            backend.broker.open()
            created = backend.broker.publish([job()])[0].created
            backend.broker.close()
            return created

        assert in_child(publish)
        assert backend.broker.publish([job()])[0].created
        assert ground.states() == {1: 3}

    def test_a_child_that_ends_normally_closes_nothing_of_its_parents(self, ground: Ground) -> None:
        """Its interpreter is taken down, and with it every object that it inherited."""
        script = f"""
import os, sys
from tidewheel import Tidewheel
app = Tidewheel({ground.url!r})
app.send('t')
if os.fork() == 0:
    sys.exit(0)
os.wait()
app.send('t')
print(os.path.exists({str(ground.path)!r} + '-wal'))
"""
        out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert (out.stdout.strip(), out.stderr) == ("True", "")
        assert ground.states() == {1: 2}

    def test_a_child_has_locks_of_its_own(self, ground: Ground) -> None:
        """Its parent, which had the database open, is gone: whoever closes last must still see that the child is there."""
        read, write = os.pipe()
        go_read, go_write = os.pipe()

        def parent(say: Say) -> None:
            backend = ground.backend()
            backend.broker.publish([job()])
            if os.fork() == 0:
                backend.broker.open()
                backend.broker.publish([job()])
                os.write(write, b"1")
                os.read(go_read, 1)
                backend.broker.publish([job()])
                os.write(write, b"2")
                os._exit(0)

        assert Child(parent).wait() == 0
        assert os.read(read, 1) == b"1"
        ground.backend().broker.close()
        assert os.path.exists(f"{ground.path}-wal"), "taken away under the child"
        os.write(go_write, b"!")
        assert os.read(read, 1) == b"2"
        assert ground.states() == {1: 3}
        for fd in (read, write, go_read, go_write):
            os.close(fd)

    def test_a_fork_past_python_is_noticed_and_refused(self, ground: Ground) -> None:
        script = f"""
import ctypes, os
from tidewheel import Tidewheel
app = Tidewheel({ground.url!r})
app.send('t')
if ctypes.CDLL(None).fork() == 0:
    for _ in range(2):
        try:
            app.send('t')
        except Exception as error:
            os.write(1, (type(error).__name__ + ': ' + str(error) + '\\n').encode())
        app = Tidewheel({ground.url!r})
    os._exit(0)
os.wait()
app.send('t')
"""
        out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        first, second = out.stdout.splitlines()
        assert first.startswith("BrokerUnavailable")
        assert "forked" in first
        assert second.startswith("BrokerUnavailable")
        assert "app.close()" in second
        assert ground.states() == {1: 2}

    def test_a_child_does_not_hear_its_parents_bells(self, ground: Ground) -> None:
        """It would make a dead waiter look alive, for ever."""

        def parent(say: Say) -> None:
            results = ground.backend().results
            assert results is not None
            results.wait(["x"], 0)
            grandchild = os.fork()
            if grandchild:
                say(str(grandchild))
            signal.pause()

        child = Child(parent)
        grandchild = int(child.hear())
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        backend = ground.backend()
        assert len(os.listdir(f"{ground.path}.run/waiters")) == 1
        store = backend.broker._store  # type: ignore[attr-defined]
        try:
            until(lambda: store.bells.ring_waiters() or not os.listdir(f"{ground.path}.run/waiters"))
        finally:
            os.kill(grandchild, signal.SIGKILL)

    def test_a_fork_while_others_write(self, ground: Ground) -> None:
        """Children made in the midst of writing neither hang nor hold the lock."""
        import threading

        backend = ground.backend()
        stop = threading.Event()

        def publish() -> None:
            while not stop.is_set():
                backend.broker.publish([job()])

        threads = [threading.Thread(target=publish) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(25):
                assert in_child(lambda: ground.backend().broker.publish([job()])[0].created)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        ground.check()
