"""An app whose tasks call tasks, and wait for what comes of them."""

from __future__ import annotations

import os

from tidewheel import Tidewheel

app = Tidewheel(os.environ["JOBS_URL"])


@app.task
def child(n: int) -> int:
    return n


@app.task
def parent(n: int) -> int:
    return sum(child.delay(i).get(20) for i in range(n))
