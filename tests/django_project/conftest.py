from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidewheel import Tidewheel

SITE = Path(__file__).parent / "site"


class Project:
    """A Django project with a database and a broker in a folder. It is only ever run in processes of its own."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder}/jobs.db"
        self.app = Tidewheel(url)
        """For publishing by name: this process knows nothing of Django."""
        self.env = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"} | {
            "SHOP_DB": str(folder / "shop.db"), "TIDEWHEEL_URL": url, "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        self.log = folder / "log"
        self.worker: subprocess.Popen[bytes] | None = None

    def python(self, *args: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run([sys.executable, *args], cwd=SITE, env=self.env | env, capture_output=True, text=True, timeout=60)
        assert not check or ran.returncode == 0, ran.stdout + ran.stderr
        return ran

    def start(self, *flags: str, where: str = "shop", **env: str) -> None:
        command = [sys.executable, "-m", "tidewheel", "-A", where, "worker", *flags]
        with self.log.open("wb") as log:
            self.worker = subprocess.Popen(command, cwd=SITE, env=self.env | env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def run(self, name: str, *args: object) -> object:
        return self.app.send(f"store.tasks.{name}", *args).get(30)

    def close(self) -> None:
        if self.worker is not None:
            self.worker.terminate()
            try:
                assert self.worker.wait(30) == 0, self.log.read_text()
            finally:
                self.worker.kill()
        self.app.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    project.python("-m", "django", "migrate", "--run-syncdb", "--verbosity", "0", DJANGO_SETTINGS_MODULE="shop.settings")
    yield project
    project.close()
