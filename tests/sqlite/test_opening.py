"""Opening a database: the place, the file, its version, and who may read it."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from pathlib import Path

import pytest
from ground import Child, Ground, Say, in_child, job, settle, worker

from tidewheel import backends
from tidewheel.backends.scripts import listing
from tidewheel.backends.sqlite import place, schema
from tidewheel.backends.sqlite.place import parse
from tidewheel.errors import BrokerCorrupt, BrokerError, BrokerUnavailable, ConfigurationError

NOBODY = 65_534


class TestURL:
    def test_relative_to_the_working_directory_at_that_moment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        found = parse("sqlite:///a/b.db")
        monkeypatch.chdir("/")
        assert found.path == os.path.realpath(tmp_path / "a/b.db")

    def test_absolute(self) -> None:
        assert parse("sqlite:////var/lib/x.db").path == "/var/lib/x.db"
        assert parse("sqlite:////tmp/a%20b%3F.db").path == os.path.realpath("/tmp/a b?.db")

    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///x/", "sqlite://host/x.db", "sqlite:x.db"])
    def test_nonsense_is_refused_with_a_proposal(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match=r"sqlite:///file.db"):
            backends.connect(url)

    @pytest.mark.parametrize("query", ["?netork=allow", "?network=yes", "?network=allow&x=1"])
    def test_unknown_options_are_refused(self, query: str) -> None:
        with pytest.raises(ConfigurationError, match="network=allow"):
            backends.connect(f"sqlite:///x.db{query}")

    def test_one_database_has_one_name(self, ground: Ground) -> None:
        (ground.folder / "other").symlink_to(ground.folder)
        (ground.folder / "link.db").symlink_to(ground.path)
        for alias in ("other/jobs.db", "link.db"):
            assert parse(f"sqlite:///{ground.folder}/{alias}").path == os.path.realpath(ground.path)


class TestPlace:
    def test_a_missing_directory(self, ground: Ground) -> None:
        broker = backends.connect(f"sqlite:///{ground.folder}/no/such/x.db").broker
        with pytest.raises(BrokerUnavailable, match="mkdir -p"):
            broker.open()

    def test_only_the_owner_may_look(self, ground: Ground) -> None:
        mask = os.umask(0)
        try:
            backend = ground.backend()
            consumer = worker(backend)
            consumer.claim(["default"], 1, 0.01)
            assert backend.results is not None
            backend.results.wait(["x"], 0)
            found = sorted(ground.folder.rglob("*"))
            assert len(found) > 8
            for path in found:
                assert stat.S_IMODE(path.lstat().st_mode) == (0o700 if path.is_dir() else 0o600), path
            consumer.close()
        finally:
            os.umask(mask)

    def test_a_planted_lock_file_is_not_followed(self, ground: Ground) -> None:
        victim = ground.folder / "victim"
        run = ground.folder / "jobs.db.run"
        run.mkdir(0o700)
        (run / "lock").symlink_to(victim)
        with pytest.raises(BrokerUnavailable, match="lock"):
            ground.backend()
        assert not victim.exists()

    def test_something_else_where_the_run_directory_should_be(self, ground: Ground) -> None:
        (ground.folder / "jobs.db.run").write_text("")
        with pytest.raises(BrokerUnavailable, match="not a directory"):
            ground.backend()

    @pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
    def test_network_file_systems_are_refused(self, ground: Ground, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        monkeypatch.setattr(place, "file_system", lambda path: kind)
        with pytest.raises(BrokerUnavailable, match=rf"{kind}.*network=allow"):
            ground.backend()
        assert not ground.path.exists()
        broker = backends.connect(f"{ground.url}?network=allow").broker
        broker.open()
        assert any("network=allow" in note for note in broker.describe().notes)
        broker.close()

    def test_the_mount_table_is_understood(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        table = tmp_path / "mountinfo"
        table.write_text(
            "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
            "23 22 0:5 / /mnt/my\\040files rw - nfs4 server:/x rw\n"
            "24 22 0:6 / /mnt rw master:3 propagate_from:2 - xfs /dev/sdb rw\n"
            "25 22 0:7 / /over rw - nfs server:/y rw\n"
            "26 25 0:8 / /over rw - tmpfs none rw\n"
        )
        real_open = open
        monkeypatch.setattr("builtins.open", lambda path, *a, **k: real_open(table if path == "/proc/self/mountinfo" else path, *a, **k))
        assert place.file_system("/mnt/my files/x.db") == "nfs4"
        assert place.file_system("/mnt/my") == "xfs"
        assert place.file_system("/home/x") == "ext4"
        assert place.file_system("/over/x") == "tmpfs"

    def test_a_memory_file_system_is_called_volatile(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        backend = ground.backend()
        monkeypatch.setattr("tidewheel.backends.sqlite.broker.file_system", lambda path: "tmpfs")
        described = backend.broker.describe()
        assert described.level == "process"
        assert any("reboot" in note for note in described.notes)
        monkeypatch.setattr("tidewheel.backends.sqlite.broker.file_system", lambda path: "ext4")
        assert backend.broker.describe().level == "power loss"


class TestPermissions:
    def test_a_directory_that_is_not_ours(self, open_ground: Ground) -> None:
        os.chmod(open_ground.folder, 0o555)
        with pytest.raises(RuntimeError, match=r"BrokerUnavailable: .*chown"):
            in_child(open_ground.backend, uid=NOBODY)
        os.chmod(open_ground.folder, 0o755)

    def test_a_file_that_is_not_ours(self, open_ground: Ground) -> None:
        open_ground.backend().broker.close()
        os.chmod(open_ground.path, 0o444)
        for path in open_ground.folder.rglob("*"):
            if path != open_ground.path:
                os.chmod(path, 0o777 if path.is_dir() else 0o666)
        os.chmod(open_ground.folder, 0o777)
        with pytest.raises(RuntimeError, match=r"BrokerUnavailable: .*cannot be written by user"):
            in_child(open_ground.backend, uid=NOBODY)

    def test_a_file_that_nobody_else_may_read(self, open_ground: Ground) -> None:
        open_ground.backend().broker.close()
        with pytest.raises(RuntimeError, match=r"BrokerUnavailable"):
            in_child(open_ground.backend, uid=NOBODY)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can shut others out in this way")
    def test_what_root_makes_belongs_to_whom_the_directory_belongs(self, open_ground: Ground) -> None:
        """`sudo tidewheel status`, or a worker that root started by mistake, must not shut the real user out."""
        os.chown(open_ground.folder, NOBODY, NOBODY)
        backend = open_ground.backend()
        consumer = worker(backend)
        consumer.claim(["default"], 1, 0.01)
        assert backend.results is not None
        backend.results.wait(["x"], 0)
        assert {path.lstat().st_uid for path in open_ground.folder.rglob("*")} == {NOBODY}

        def use() -> int:
            theirs = open_ground.backend()
            theirs.broker.publish([job()])
            taken = worker(theirs).claim(["default"], 1, 0)
            return len(taken) + theirs.broker.sweep().recovered

        assert in_child(use, uid=NOBODY) == 1
        consumer.close()


class TestFile:
    def test_a_database_of_another_program(self, ground: Ground) -> None:
        db = sqlite3.connect(ground.path)
        db.execute("CREATE TABLE theirs (x)")
        db.close()
        before = ground.path.read_bytes()
        with pytest.raises(BrokerCorrupt, match="another program"):
            ground.backend()
        assert ground.path.read_bytes() == before

    def test_an_application_id_of_another_program(self, ground: Ground) -> None:
        db = sqlite3.connect(ground.path)
        db.execute("PRAGMA application_id = 7")
        db.close()
        with pytest.raises(BrokerCorrupt, match="another program"):
            ground.backend()

    def test_not_a_database(self, ground: Ground) -> None:
        ground.path.write_text("Dear diary, " * 1000)
        with pytest.raises(BrokerCorrupt, match="not a SQLite database"):
            ground.backend()

    def test_a_directory(self, ground: Ground) -> None:
        ground.path.mkdir()
        with pytest.raises(BrokerError):
            ground.backend()

    def test_an_empty_file_is_a_new_database(self, ground: Ground) -> None:
        ground.path.write_bytes(b"")
        assert ground.backend().broker.publish([job()])[0].created

    def test_a_damaged_file(self, ground: Ground) -> None:
        backend = ground.backend()
        backend.broker.publish([job(body=b"x" * 900) for _ in range(500)])
        backend.broker.close()
        with open(ground.path, "r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * 4096 * 40)
        with pytest.raises(BrokerCorrupt, match=r"damaged.*\.recover"):
            damaged = ground.backend()
            worker(damaged).claim(["default"], 1000, 0)

    def test_opening_twice_in_a_process_is_two_clients(self, ground: Ground) -> None:
        first, second = ground.backend(), ground.backend()
        first.broker.publish([job()])
        first.broker.close()
        assert second.broker.counts()["default"].ready == 1

    def test_closing_and_opening_again(self, ground: Ground) -> None:
        backend = ground.backend()
        backend.broker.publish([job()])
        backend.broker.close()
        backend.broker.close()
        with pytest.raises(BrokerUnavailable, match="not open"):
            backend.broker.publish([job()])
        backend.broker.open()
        assert backend.broker.counts()["default"].ready == 1


class TestSchema:
    def test_our_mark_is_on_it(self, ground: Ground) -> None:
        ground.backend().broker.close()
        db = sqlite3.connect(ground.path)
        assert db.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION_ID,)
        assert db.execute("PRAGMA user_version").fetchone() == (max(schema.migrations()),)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        db.close()

    def test_a_newer_generation_is_refused(self, ground: Ground) -> None:
        ground.backend().broker.close()
        db = sqlite3.connect(ground.path)
        db.execute(f"PRAGMA user_version = {max(schema.migrations()) + 100}")
        db.close()
        with pytest.raises(BrokerCorrupt, match="upgrade Tidewheel"):
            ground.backend()

    def test_older_code_works_with_a_newer_step(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        """A rolling deploy: new code adds a column, a worker with old code goes on, and another one starts."""
        old = ground.backend()
        consumer = worker(old)
        steps = schema.migrations()
        newer = {**steps, max(steps) + 1: "ALTER TABLE job ADD COLUMN colour TEXT;\nCREATE TABLE flag (name TEXT PRIMARY KEY);"}
        with monkeypatch.context() as patch:
            patch.setattr(schema, "migrations", lambda: newer)
            new = ground.backend()
        new.broker.publish([job()])
        assert len(deliveries := consumer.claim(["default"], 1, 0)) == 1
        assert settle(consumer, deliveries) == ["ok"]
        assert ground.backend().broker.publish([job()])[0].created
        db = sqlite3.connect(ground.path)
        assert db.execute("PRAGMA user_version").fetchone() == (max(newer),)
        db.close()
        consumer.close()

    def test_a_step_that_fails_changes_nothing(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        ground.backend().broker.close()
        steps = schema.migrations()
        broken = {**steps, max(steps) + 1: "CREATE TABLE half (x);\nNONSENSE;"}
        with monkeypatch.context() as patch:
            patch.setattr(schema, "migrations", lambda: broken)
            with pytest.raises(BrokerError):
                ground.backend()
        db = sqlite3.connect(ground.path)
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
        assert db.execute("PRAGMA user_version").fetchone() == (max(steps),)
        db.close()
        assert ground.backend().broker.publish([job()])[0].created

    def test_many_may_create_it_at_once(self, ground: Ground) -> None:
        def opening(say: Say) -> None:
            ground.backend().broker.publish([job()])

        children = [Child(opening) for _ in range(8)]
        assert [child.wait() for child in children] == [0] * 8
        assert ground.states() == {1: 8}

    def test_every_statement_finds_its_rows_by_an_index(self, ground: Ground) -> None:
        """None may read the whole table of jobs, which holds all that has ended of late too."""
        ground.backend()
        db = sqlite3.connect(ground.path)
        for name in listing(schema.PACKAGE, "sql"):
            text = schema.statement(name.removesuffix(".sql"))
            code = text.split("\n", 1)[1]
            assert text.startswith("-- "), name
            names = set(re.findall(r":(\w+)", code))
            count = max(map(int, re.findall(r"\?(\d+)", code)), default=code.count("?"))
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text}", dict.fromkeys(names) if names else (None,) * count)]
            scans = [step for step in plan if re.match(r"SCAN (job|payload|history)(?! USING (COVERING )?INDEX)", step)]
            assert not scans, (name, plan)
        db.close()
