"""The tutorial's `celery_tasks`, as it was written for Celery 3.1, with nothing changed but the word `celery` in the import lines.

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

CELERY_PY = """
from celery import Celery
from celery_tasks import celeryconfig # 导入celery配置文件

import os
# 为celery设置环境变量
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mydemo.settings")

## 创建celery app
app = Celery('celery_tasks')

# 从单独的配置模块中加载配置
app.config_from_object(celeryconfig)

# 设置app自动加载任务
app.autodiscover_tasks(['celery_tasks'])
"""

CELERYCONFIG_PY = """
# 设置结果存储
CELERY_RESULT_BACKEND = 'redis://127.0.0.1:6379/9'

# 设置代理人broker
BROKER_URL = 'redis://127.0.0.1:6379/8'
"""

TASKS_PY = """
from celery_tasks.celery import app as celery_app  # 导入创建好的celery应用
from django.core.mail import send_mail  # 使用django内置函数发送邮件
from django.conf import settings  # 导入django的配置


@celery_app.task
def send_mail_task(email, token):
    # 使用django内置函数发送邮件
    subject = "海上明月"
    message = ""
    sender = settings.EMAIL_FROM
    recipient = [email]
    html_message = "<h1>{}<a href='http://127.0.0.1:8000/mdadmin/active/{}'>\\
    http://127.0.0.1:8000/mdadmin/active/{}</a></h1>".format("海上明月", token, token)
    send_mail(subject, message, sender, recipient, html_message=html_message)
"""

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
    config = CELERYCONFIG_PY.replace("redis://127.0.0.1:6379/9", addresses[0]).replace("redis://127.0.0.1:6379/8", addresses[1])
    for name, text in {"celery": CELERY_PY, "celeryconfig": config, "tasks": TASKS_PY, "__init__": ""}.items():
        workplace.write(f"celery_tasks/{name}.py", sed(text))
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
