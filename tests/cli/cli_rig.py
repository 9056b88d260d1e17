"""A broker with jobs in every state, and commands run against it: in this process, or as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tidewheel import Tidewheel
from tidewheel.cli.root import root
from tidewheel.contract import Consumer, Settlement, WorkerInfo
from tidewheel.core.job import Delivery, Envelope
from tidewheel.core.outcome import Again, AnyOutcome, Dead, Succeeded
from tidewheel.errors import ErrorRecord
from tidewheel.ids import incarnation, job_id
from tidewheel.wire.call import encode_call
from tidewheel.wire.failures import encode_error
from tidewheel.wire.values import encode

BOOM = ErrorRecord(
    type="shop.Boom",
    message="no such user\x1b[2J",
    traceback='Traceback (most recent call last):\n  File "shop.py", line 3\nshop.Boom: no such user\n',
)


@dataclass
class Rig:
    """A broker, and what a worker would do to its jobs."""

    url: str
    app: Tidewheel
    workers: list[Consumer] = field(default_factory=list)

    def publish(self, task: str = "mail.send", *args: Any, queue: str = "default", **more: Any) -> str:
        kwargs = more.pop("kwargs", {})
        envelope = Envelope(id=job_id(), task=task, body=encode_call(args, kwargs), queue=queue, **more)
        return self.app.backend.broker.publish([envelope])[0].id

    def worker(self, name: str = "w1", queues: Sequence[str] = ("default",)) -> Consumer:
        info = WorkerInfo(
            id=incarnation(), name=name, host="host", pid=os.getpid(), queues=tuple(queues), pool="processes", concurrency=4,
            started=self.app.backend.broker.now() - 90, version="1.2.3",
        )  # fmt: skip
        self.workers.append(self.app.backend.broker.consumer(info))
        return self.workers[-1]

    def run_one(self, outcome: AnyOutcome | None, queue: str = "default") -> Delivery:
        """Claim the next job of a queue, and settle it; None: leave it running."""
        worker = self.workers[-1] if self.workers else self.worker(queues=(queue,))
        (delivery,) = worker.claim((queue,), 1, 0.0)
        if outcome is not None:
            assert worker.settle([Settlement(delivery.id, delivery.token, outcome)]) == ["ok"]
        return delivery

    def succeeded(self, value: Any = 42, **more: Any) -> str:
        id_ = self.publish(**more)
        self.run_one(Succeeded(encode(value)), more.get("queue", "default"))
        return id_

    def dead(self, *args: Any, reason: str = "failed", **more: Any) -> str:
        id_ = self.publish(*args, **more)
        self.run_one(Dead(reason, encode_error(BOOM), "attempts"), more.get("queue", "default"))
        return id_

    def retried(self, **more: Any) -> str:
        id_ = self.publish(**more)
        self.run_one(Again("retry", 60.0, "attempts", encode_error(BOOM)), more.get("queue", "default"))
        return id_

    def running(self, **more: Any) -> str:
        id_ = self.publish(**more)
        self.run_one(None, more.get("queue", "default"))
        return id_

    # -- commands -----------------------------------------------------------------------------------------------------

    def __call__(self, *args: str, code: int = 0, **how: Any) -> Result:
        """Run a command against this broker, in this process."""
        return run("-b", self.url, *args, code=code, **how)

    def json(self, *args: str, code: int = 0) -> Any:
        """What it prints with -o json; and that -o jsonl prints the same."""
        found = json.loads(self(*args, "-o", "json", code=code).stdout)
        return found


def run(*args: str, code: int = 0, **how: Any) -> Result:
    result = CliRunner().invoke(root, args, prog_name="tidewheel", **how)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output or {"-v", "show", "doctor"} & set(args) or code == 1
    return result


def tidewheel(*args: str, cwd: Path, code: int | None = 0, timeout: float = 60, **env: str) -> subprocess.CompletedProcess[str]:
    """`python -m tidewheel …` as a real process."""
    done = subprocess.run(
        [sys.executable, "-m", "tidewheel", *args], cwd=cwd, capture_output=True, text=True, timeout=timeout, env={**os.environ, **env}
    )
    assert code is None or done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
