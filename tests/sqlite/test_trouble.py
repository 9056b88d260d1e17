"""When something is wrong: full disks, locks of others, stopped processes, files that vanish. Nothing half-written, usable afterwards."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ground import Child, Ground, Say, in_child, job, settle, worker

from tidewheel.backends.sqlite import store as store_module
from tidewheel.backends.sqlite.store import Store
from tidewheel.errors import BrokerCorrupt, BrokerError, BrokerFull, BrokerUnavailable, PublishUnknown


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Ground]:
    """A file system of 1 MB."""
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(mount)], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no tmpfs may be mounted here: {made.stderr.decode().strip()}")
    ground = Ground(mount)
    yield ground
    ground.close()
    subprocess.run(["umount", str(mount)], check=True)


class TestFull:
    def test_a_full_disk(self, small_disk: Ground) -> None:
        backend = small_disk.backend()
        consumer = worker(backend)
        stored = 0
        with pytest.raises(BrokerFull, match="free some space"):
            for _ in range(1000):
                backend.broker.publish([job(body=b"x" * 1000) for _ in range(20)])
                stored += 20
        assert stored > 100
        assert backend.broker.counts()["default"].ready == stored
        with pytest.raises(BrokerFull):
            backend.broker.publish([job(body=b"x" * 1000) for _ in range(20)])
        assert backend.broker.counts()["default"].ready == stored
        small_disk.check()
        subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk.folder)], check=True)
        assert backend.broker.publish([job()])[0].created
        deliveries = list(consumer.claim(["default"], 10_000, 0))
        assert len(deliveries) == stored + 1
        assert set(settle(consumer, deliveries)) == {"ok"}
        small_disk.check()
        consumer.close()

    def test_a_settlement_on_a_full_disk_can_be_repeated(self, small_disk: Ground) -> None:
        backend = small_disk.backend()
        consumer = worker(backend)
        backend.broker.publish([job() for _ in range(200)])
        deliveries = list(consumer.claim(["default"], 200, 0))
        filler = small_disk.folder / "filler"
        with open(filler, "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while file.write(b"x" * 4096):
                pass
        with pytest.raises(BrokerFull):
            for _ in range(50):
                consumer.settle([])
                settle(consumer, deliveries[:1])
                backend.broker.publish([job(body=b"x" * 1000) for _ in range(20)])
        filler.unlink()
        verdicts = settle(consumer, deliveries)
        assert set(verdicts) <= {"ok", "gone"}
        assert consumer.beat().owned == 0
        consumer.close()

    def test_the_file_size_limit_of_a_process(self, ground: Ground) -> None:
        ground.backend().broker.publish([job()])

        def fill() -> int:
            backend = ground.backend()
            size = os.stat(f"{ground.path}-wal").st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 200_000, resource.RLIM_INFINITY))
            stored = 1
            try:
                while True:
                    backend.broker.publish([job(body=b"x" * 1000) for _ in range(20)])
                    stored += 20
            except BrokerError:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                backend.broker.publish([job()])
                return stored + 1

        assert in_child(fill) == ground.states()[1]
        ground.check()

    def test_the_size_limit_of_a_database(self, ground: Ground, store: Store) -> None:
        backend = ground.backend()
        with store.read():
            pass
        for other in list(store_module._open):
            if other._writer is not None:
                other._writer.execute("PRAGMA max_page_count = 40")
        with pytest.raises(BrokerFull):
            backend.broker.publish([job(body=b"x" * 1000) for _ in range(500)])
        assert backend.broker.publish([job()])[0].created
        assert backend.broker.counts()["default"].ready == 1


class TestLocks:
    def test_a_foreign_lock(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store_module, "BUSY", 0.05)
        backend = ground.backend()
        consumer = worker(backend)
        backend.broker.publish([job()])
        shell = sqlite3.connect(ground.path, isolation_level=None)
        shell.execute("BEGIN IMMEDIATE")
        for call in (lambda: backend.broker.publish([job()]), lambda: consumer.claim(["default"], 1, 0), lambda: backend.broker.purge("x")):
            with pytest.raises(BrokerUnavailable, match=r"another program holds a lock.*fuser -v"):
                call()
        assert consumer.beat().owned == 0  # reading goes on
        shell.execute("ROLLBACK")
        assert backend.broker.publish([job()])[0].created
        assert len(consumer.claim(["default"], 9, 0)) == 2
        shell.close()
        consumer.close()

    def test_a_foreign_reader_stops_nobody(self, ground: Ground) -> None:
        backend = ground.backend()
        backend.broker.publish([job()])
        shell = sqlite3.connect(ground.path, isolation_level=None)
        shell.execute("BEGIN")
        shell.execute("SELECT * FROM job").fetchall()
        for _ in range(200):
            backend.broker.publish([job(body=b"x" * 1000) for _ in range(20)])
        assert os.stat(f"{ground.path}-wal").st_size > 8 << 20
        backend.broker.sweep()
        shell.close()

    def test_a_log_that_grew_is_cut_back(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store_module, "LOG_LIMIT", 1 << 20)
        backend = ground.backend()
        for _ in range(60):
            backend.broker.publish([job(body=b"x" * 1000) for _ in range(20)])
        assert os.stat(f"{ground.path}-wal").st_size > 1 << 20
        backend.broker.sweep()
        assert os.stat(f"{ground.path}-wal").st_size == 0
        assert backend.broker.counts()["default"].ready == 1200

    def test_a_lock_file_that_was_deleted_is_nobodys_lock(self, ground: Ground) -> None:
        """Else those who had it open and those who made a new one would write at the same time."""
        first, second = ground.store(), ground.store()
        second.mutex.patience = 0.1
        with first.mutex, second.read():
            pass
        os.unlink(f"{ground.path}.run/lock")
        with first.mutex:
            assert os.path.exists(f"{ground.path}.run/lock")
            with pytest.raises(BrokerUnavailable, match="another process has been writing"), second.mutex:
                pass
        with second.mutex:
            pass

    def test_a_process_that_is_stopped_while_it_writes(self, ground: Ground) -> None:
        store = ground.store()
        store.mutex.patience = 0.3

        def stop(say: Say) -> None:
            with ground.store().mutex:
                os.kill(os.getpid(), signal.SIGSTOP)

        child = Child(stop)
        os.waitpid(child.pid, os.WUNTRACED)
        for _ in range(2):
            with pytest.raises(BrokerUnavailable, match=rf"process {child.pid}.*continue or end it"), store.write(synced=True):
                pass
        # Who is forked now inherits the descriptors with which the two wait in vain.
        bystander = Child(lambda say: signal.pause())
        os.kill(child.pid, signal.SIGCONT)
        assert child.wait() == 0
        store.mutex.patience = 10
        with store.write(synced=True):
            pass
        # What had given up must not hold the lock now.
        assert in_child(lambda: ground.backend().broker.publish([job()])[0].created)
        bystander.kill()

    def test_a_process_that_dies_while_it_writes(self, ground: Ground) -> None:
        def die(say: Say) -> None:
            with ground.store().write(synced=True) as db:
                db.execute("DELETE FROM job")
                os.kill(os.getpid(), signal.SIGKILL)

        backend = ground.backend()
        backend.broker.publish([job()])
        assert Child(die).wait() == -signal.SIGKILL
        assert backend.broker.publish([job()])[0].created
        assert backend.broker.counts()["default"].ready == 2
        ground.check()


class TestErrors:
    def test_an_error_inside_a_transaction_undoes_it(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError), store.write(synced=True) as db:
            db.execute("INSERT INTO worker VALUES ('a', '{}')")
            raise ZeroDivisionError
        with pytest.raises(BrokerCorrupt, match="changed by hand"), store.write(synced=False) as db:
            db.execute("INSERT INTO worker VALUES ('b', '{}')")
            db.execute("SELECT * FROM no_such_table")
        with store.write(synced=True) as db:
            db.execute("INSERT INTO worker VALUES ('c', '{}')")
        with store.read() as db:
            assert db.execute("SELECT id FROM worker").fetchall() == [("c",)]

    def test_what_is_not_synced_is_not_known_to_be_stored(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        backend = ground.backend()
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC

        def fail(*args: object) -> None:
            raise error

        envelope = job()
        with monkeypatch.context() as patch:
            patch.setattr("tidewheel.backends.sqlite.publishing.store", fail)
            with pytest.raises(PublishUnknown) as caught:
                backend.broker.publish([envelope])
        assert caught.value.ids == (envelope.id,)
        assert backend.broker.publish([envelope])[0].created

    def test_the_reading_connection_cannot_write(self, store: Store) -> None:
        with pytest.raises(BrokerError), store.read() as db:
            db.execute("DELETE FROM job")

    def test_claims_and_sweeps_are_not_synced_and_the_rest_is(self, ground: Ground) -> None:
        store = ground.store()
        levels = []
        for synced in (True, False, True, False, False):
            with store.write(synced=synced):
                pass
            assert store._writer is not None
            levels.append(store._writer.execute("PRAGMA synchronous").fetchone()[0])
        assert levels == [2, 1, 2, 1, 1]


class TestVanishing:
    def test_a_deleted_database_is_not_written_to(self, ground: Ground) -> None:
        backend = ground.backend()
        backend.broker.publish([job()])
        for path in ground.folder.glob("jobs.db*"):
            if path.is_file():
                path.unlink()
        with pytest.raises(BrokerUnavailable, match="deleted or replaced"):
            backend.broker.publish([job()])
        other = ground.backend()
        assert other.broker.publish([job()])[0].created
        with pytest.raises(BrokerUnavailable, match="deleted or replaced"):
            backend.broker.publish([job()])
        backend.broker.close()
        assert other.broker.counts()["default"].ready == 1
        assert os.path.exists(f"{ground.path}-wal"), "closing the old one has taken the new one's log away"

    def test_an_emptied_run_directory_is_made_again(self, ground: Ground) -> None:
        backend = ground.backend()
        backend.broker.publish([job()])
        consumer = worker(backend)
        deliveries = consumer.claim(["default"], 1, 0)
        shutil.rmtree(f"{ground.path}.run")
        assert consumer.beat().lost
        assert backend.broker.publish([job()])[0].created
        other = ground.backend()
        assert other.broker.sweep().recovered == 1
        assert settle(consumer, deliveries) == ["gone"]
        consumer.close()
        fresh = worker(backend)
        assert len(fresh.claim(["default"], 9, 0)) == 2
        fresh.close()
