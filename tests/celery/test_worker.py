"""With a real worker process: limits, signals of workers, control, settings of workers, Django."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
from celery_rig import TIMEOUT, Workplace
from rig import until

from tidewheel.celery import Celery
from tidewheel.celery.exceptions import NotSupported

pytestmark = pytest.mark.slow

TASKS = """
    import os, pathlib, time
    from tidewheel.celery import Celery, signals
    from tidewheel.celery.exceptions import SoftTimeLimitExceeded

    app = Celery("proj", broker=f"sqlite:///{pathlib.Path(__file__).parent}/broker.db")
    app.conf.update(worker_concurrency=1, worker_max_tasks_per_child=1000)

    def say(*what):
        with open(pathlib.Path(__file__).parent / "said", "a") as file:
            file.write(" ".join(map(str, what)) + "\\n")

    for name in ("celeryd_init", "worker_init", "setup_logging", "worker_process_init", "worker_ready", "worker_process_shutdown"):
        getattr(signals, name).connect(lambda signal, **kw: say(signal.name, os.getpid()), weak=False)

    @signals.task_revoked.connect
    def revoked(sender, request, terminated, signum, expired, **kw):
        say("task_revoked", sender.name, terminated, expired)

    @app.task(name="pid")
    def pid():
        return os.getpid()

    @app.task(name="soft", soft_time_limit=0.3, time_limit=20)
    def soft():
        try:
            time.sleep(15)  # here and below: a task that takes longer than it may
        except SoftTimeLimitExceeded:
            return "cleaned up"

    @app.task(name="softly", soft_time_limit=0.3)
    def softly():
        time.sleep(15)

    @app.task(name="hard", bind=True)
    def hard(self):
        say("hard", self.request.time_limit)
        time.sleep(15)

    @app.task(name="long")
    def long():
        say("long")
        time.sleep(15)

    @app.task(name="crash", bind=True)
    def crash(self):
        os.kill(os.getpid(), 9)

    @app.task(name="crash_once", bind=True)
    def crash_once(self):
        if not self.request.delivery_info["redelivered"]:
            os.kill(os.getpid(), 9)
        return [self.request.delivery_info["redelivered"], self.request.retries]

    @app.task(name="waits")
    def waits():
        return pid.delay().get()

    @app.task(name="first")
    def first():
        return 41

    @app.task(name="after")
    def after(value):
        say("after", value)
        return value + 1
"""


@pytest.fixture
def proj(workplace: Workplace) -> Any:
    """The project's own module, in this process as in the worker."""
    workplace.write("proj_of_test.py", TASKS)
    sys.path.insert(0, str(workplace.folder))
    try:
        import proj_of_test
    finally:
        sys.path.remove(str(workplace.folder))
    yield proj_of_test
    proj_of_test.app.close()
    del sys.modules["proj_of_test"]


def test_signals_of_a_worker(workplace: Workplace, proj: Any) -> None:
    workplace.worker("proj_of_test")
    pid = proj.pid.delay().get(TIMEOUT)
    until("worker_ready", lambda: "worker_ready" in str(workplace.said("said")))
    told = dict(line.split(" ") for line in workplace.said("said"))
    assert set(told) == {"celeryd_init", "worker_init", "setup_logging", "worker_process_init", "worker_ready"}
    assert told["worker_process_init"] == told["worker_ready"] == str(pid)
    assert told["worker_init"] == told["setup_logging"] != str(pid), "in the process that imports the app, from which executors are forked"
    assert len(workplace.said("said")) == 5, "once each, with one executor"
    proj.app.close()


def test_other_commands_are_no_workers(workplace: Workplace, proj: Any) -> None:
    proj.app.native.counts()
    workplace.run("from tidewheel.locate import locate; locate('proj_of_test').counts()")
    assert workplace.said("said") == []


def test_limits(workplace: Workplace, proj: Any) -> None:
    from tidewheel.celery.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded

    workplace.worker("proj_of_test", "--kill-after", "1")
    assert proj.soft.delay().get(TIMEOUT) == "cleaned up"
    with pytest.raises(SoftTimeLimitExceeded):
        proj.softly.delay().get(TIMEOUT)
    result = proj.hard.apply_async(time_limit=0.5)
    with pytest.raises(TimeLimitExceeded, match=r"0\.5 s"):
        result.get(TIMEOUT)
    assert result.state == "FAILURE"


def test_revoke_a_running_task(workplace: Workplace, proj: Any) -> None:
    from tidewheel.celery.exceptions import TaskRevokedError

    workplace.worker("proj_of_test")
    result = proj.long.delay()
    until("it runs", lambda: "long" in workplace.said("said"))
    proj.app.control.revoke(result.id)
    assert result.state == "STARTED", "without terminate it goes on"
    result.revoke(terminate=True, signal="SIGKILL")
    with pytest.raises(TaskRevokedError):
        result.get(TIMEOUT)
    assert "task_revoked long True False" in workplace.said("said")


def test_inspect(workplace: Workplace, proj: Any) -> None:
    control = proj.app.control
    inspect = control.inspect()
    assert control.ping() == []
    assert inspect.active() is inspect.ping() is inspect.stats() is inspect.registered() is None
    workplace.worker("proj_of_test", "-n", "w1@%h")
    running, waiting = proj.long.delay(), proj.pid.apply_async(countdown=500)
    until("it runs", lambda: "long" in workplace.said("said"))
    (name,) = inspect.ping()
    assert name.startswith("celery@w1-")
    assert control.ping() == [{name: {"ok": "pong"}}]
    (active,) = inspect.active()[name]
    assert (active["id"], active["name"], active["args"], active["hostname"]) == (running.id, "long", [], name)
    assert inspect.reserved() == {name: []}
    (scheduled,) = inspect.scheduled()[name]
    assert scheduled["request"]["id"] == waiting.id
    assert "pid" in inspect.registered()[name]
    assert [q["name"] for q in inspect.active_queues()[name]] == ["celery"]
    stats = inspect.stats()[name]
    assert (stats["pool"]["max-concurrency"], stats["pid"]) == (1, workplace.workers[0].pid), "worker_concurrency of the settings"
    assert inspect.query_task(running.id) == {name: {running.id: ["active", active]}}
    assert control.inspect([name]).ping() == {name: {"ok": "pong"}}
    assert control.inspect(["nobody"]).ping() is None
    waiting.revoke()
    assert inspect.revoked() == {name: [waiting.id]}
    assert control.purge() == 0
    running.revoke(terminate=True)
    for what in ("rate_limit", "shutdown", "pool_grow", "broadcast", "add_consumer"):
        with pytest.raises(NotSupported, match=what):
            getattr(control, what)


def test_a_link_across_processes(workplace: Workplace, proj: Any) -> None:
    workplace.worker("proj_of_test")
    proj.first.apply_async(link=proj.after.s())
    until("the callback", lambda: "after 41" in workplace.said("said"))


def test_waiting_for_another_task_is_refused(workplace: Workplace, proj: Any) -> None:
    workplace.worker("proj_of_test")
    with pytest.raises(RuntimeError, match="inside of a task"):
        proj.waits.delay().get(TIMEOUT)


def test_a_task_that_kills_its_process_again_and_again(workplace: Workplace, proj: Any) -> None:
    from tidewheel.celery.exceptions import WorkerLostError

    workplace.worker("proj_of_test")
    result = proj.crash.delay()
    with pytest.raises(WorkerLostError, match="SIGKILL"):
        result.get(60)


def test_queues_of_a_worker(workplace: Workplace, proj: Any) -> None:
    workplace.worker("proj_of_test")
    other = proj.pid.apply_async(queue="other")
    assert proj.pid.delay().get(TIMEOUT) > 0
    assert other.state == "PENDING"
    workplace.worker("proj_of_test", "-Q", "other")
    assert other.get(TIMEOUT) > 0


def test_an_app_that_cannot_be_is_explained(workplace: Workplace) -> None:
    workplace.write("wrong.py", "from tidewheel.celery import Celery\napp = Celery(broker='sqs://guest:secret@')\n")
    log = workplace.worker("wrong", ready=False)
    assert workplace.workers[-1].wait(30) != 0
    assert "Amazon SQS is no broker of Tidewheel's at present" in log.read_text()
    assert "secret" not in log.read_text()
    assert "Traceback" not in log.read_text(), "one sentence for who has to act"


def test_django_projects_discover_their_apps_tasks(workplace: Workplace) -> None:
    """As Celery's documentation has it: the settings' namespace, `autodiscover_tasks()` without a list, shared tasks that use models."""
    workplace.write("site_of_test/__init__.py", "from .celery import app as celery_app\n__all__ = ('celery_app',)\n")
    workplace.write(
        "site_of_test/celery.py",
        """
        import os
        from tidewheel.celery import Celery
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_test.settings")
        app = Celery("site_of_test")
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.autodiscover_tasks()
        """,
    )
    workplace.write(
        "site_of_test/settings.py",
        f"""
        SECRET_KEY = "x"
        INSTALLED_APPS = ["django.contrib.contenttypes", "shop"]
        DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{workplace.folder}/django.db"}}}}
        TIME_ZONE = "Asia/Shanghai"
        CELERY_BROKER_URL = "sqlite:///{workplace.folder}/broker.db"
        CELERY_TASK_DEFAULT_QUEUE = "shop"
        CELERY_TIMEZONE = TIME_ZONE
        """,
    )
    workplace.write("shop/__init__.py", "")
    workplace.write("shop/models.py", "from django.db import models\nclass Tea(models.Model):\n    name = models.TextField()\n")
    workplace.write(
        "shop/tasks.py",
        """
        from tidewheel.celery import shared_task
        from shop.models import Tea

        @shared_task(bind=True)
        def count(self):
            return [Tea._meta.label, self.app.main, str(self.app.timezone), self.request.delivery_info["routing_key"]]
        """,
    )
    workplace.worker("site_of_test")
    printed = workplace.run(
        """
        import django, os
        os.environ["DJANGO_SETTINGS_MODULE"] = "site_of_test.settings"
        django.setup()
        from shop.tasks import count
        print(count.delay().get(timeout=30))
        """
    )
    assert printed == "['shop.Tea', 'site_of_test', 'Asia/Shanghai', 'shop']\n"


def test_worker_main(workplace: Workplace) -> None:
    workplace.write(
        "script.py",
        f"""
        from tidewheel.celery import Celery
        app = Celery("script", broker="sqlite:///{workplace.folder}/broker.db")

        @app.task
        def hello():
            print("hello from the task", flush=True)

        if __name__ == "__main__":
            hello.delay()
            app.worker_main(["worker", "--burst", "-l", "info"])
        """,
    )
    import subprocess

    done = subprocess.run(
        [sys.executable, "script.py"], cwd=workplace.folder, env=workplace.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "hello from the task" in done.stdout, done.stderr
    with pytest.raises(ValueError, match="worker_main"):
        Celery("x").worker_main(["beat"])
    assert os.path.exists(workplace.folder / "broker.db")


def test_a_task_that_lost_its_process_is_delivered_again(workplace: Workplace, proj: Any) -> None:
    workplace.worker("proj_of_test")
    result = proj.crash_once.delay()
    assert result.get(60) == [True, 0]
