"""The Django example: its own tests, its check of the whole (`make demo-check`), and how the demo starts and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from demo_run import EXAMPLE, demo, environment


def test_the_examples_own_tests_pass_without_a_warning(tmp_path: Path) -> None:
    env = environment(tmp_path) | {"MYDEMO_DATA": str(tmp_path), "TIDEWHEEL_URL": "memory://"}
    strict = [sys.executable, "-W", "error::DeprecationWarning", "-W", "error::PendingDeprecationWarning", "manage.py"]
    for command in (["check", "--fail-level", "WARNING"], ["makemigrations", "--check", "--dry-run"], ["test"]):
        done = subprocess.run([*strict, *command], cwd=EXAMPLE, env=env, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Warning" not in done.stderr, done.stderr


@pytest.mark.slow
@pytest.mark.kill
@pytest.mark.timeout(240)
def test_the_check_of_the_whole_passes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "demo.py", "--check"], cwd=EXAMPLE, env=environment(tmp_path), capture_output=True, text=True, timeout=230
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checks passed" in done.stdout
    assert done.stdout.count("✓") >= 15
    assert "✗" not in done.stdout
    assert "was killed" not in done.stdout
    assert done.stderr == ""
    assert not list(tmp_path.iterdir()), "something was left behind"


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_ends_all_of_it_and_leaves_nothing_behind(tmp_path: Path, signum: int) -> None:
    with demo(tmp_path) as running:
        commands = " ".join(running.programs().values())
        assert "runserver" in commands
        assert "worker" in commands
        assert running.end(signum) == 0, running.said
        assert "all ended" in running.said
        assert "was killed" not in running.said
        assert "Traceback" not in running.said, running.said
        assert running.programs() == {}
        assert not list(tmp_path.iterdir()), "something was left behind"


@pytest.mark.slow
@pytest.mark.kill
@pytest.mark.parametrize("part", ["runserver", "worker"])
def test_it_says_which_part_has_ended_by_itself(tmp_path: Path, part: str) -> None:
    with demo(tmp_path) as running:
        victim = min(pid for pid, command in running.programs().items() if f" {part} " in command)
        os.kill(victim, signal.SIGKILL)
        assert running.wait() == 1, running.said
        assert f"the {'site' if part == 'runserver' else part} has ended unexpectedly" in running.said
        assert "Traceback" not in running.said, running.said
        assert running.programs() == {}
