"""The tutorial's `celery_tasks` (examples/celery_tutorial), with nothing changed but the word `celery` in an import line.

And the addresses: its broker and results are two databases of one Redis; here of one that the test starts, or two SQLite files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery_rig import Workplace
from redis_server import Server

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "celery_tutorial" / "celery_tasks"

SETTINGS_PY = """
SECRET_KEY = "x"
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = "mail"
EMAIL_FROM = "海上明月<someone@example.com>"
"""


def sed(text: str) -> str:
    """`sed -E 's/^(from|import) celery\\b/\\1 tidewheel.celery/'`: the lines that import Celery, and not the project's `celery_tasks`."""
    return re.sub(r"^(from|import) celery(?=[. ])", r"\1 tidewheel.celery", text, flags=re.MULTILINE)


def test_sed() -> None:
    assert sed("from celery import Celery\nfrom celery_tasks import x\nfrom celery.schedules import crontab") == (
        "from tidewheel.celery import Celery\nfrom celery_tasks import x\nfrom tidewheel.celery.schedules import crontab"
    )


@pytest.fixture(params=["sqlite", "redis"])
def addresses(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Of the results and of the broker, in the place of `redis://127.0.0.1:6379/9` and `/8`."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/results.db", f"sqlite:///{tmp_path}/broker.db"
        return
    server = Server(tmp_path / "redis")
    yield f"redis://127.0.0.1:{server.port}/9", f"redis://127.0.0.1:{server.port}/8"
    server.close()


def test_the_tutorial(workplace: Workplace, addresses: tuple[str, str]) -> None:
    for file in EXAMPLE.glob("*.py"):
        text = file.read_text().replace("redis://127.0.0.1:6379/9", addresses[0]).replace("redis://127.0.0.1:6379/8", addresses[1])
        workplace.write(f"celery_tasks/{file.name}", text)
    workplace.write("mydemo/__init__.py", "")
    workplace.write("mydemo/settings.py", SETTINGS_PY)
    log = workplace.worker("celery_tasks")
    printed = workplace.run(
        """
        from celery_tasks.tasks import send_mail_task
        result = send_mail_task.delay("ada@example.com", "a-token")
        print(result.get(timeout=30), result.state)
        """
    )
    assert printed == "None SUCCESS\n"
    (mail,) = (workplace.folder / "mail").iterdir()
    assert "ada@example.com" in mail.read_text()
    assert "active/a-token" in mail.read_text()
    assert workplace.stop() == 0
    text = log.read_text()
    assert "celery_tasks.tasks.send_mail_task" in text
    assert "Traceback" not in text
    assert addresses[0] in text, "results are kept apart"
