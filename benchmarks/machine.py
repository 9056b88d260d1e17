"""What /proc tells: process trees, their CPU time and memory, and how much of this machine others use meanwhile. Linux only."""

from __future__ import annotations

import os
import pathlib
import platform
import signal
import time
from collections.abc import Iterable

TICK = os.sysconf("SC_CLK_TCK")


def tree(roots: Iterable[int]) -> list[int]:
    """These processes and all their descendants."""
    children: dict[int, list[int]] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(pid))
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        if os.path.exists(f"/proc/{pid}"):
            found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu(pids: Iterable[int]) -> float:
    """Seconds of CPU that the living threads of these processes have used, to the nanosecond (ticks of 10 ms hide an idle worker)."""
    total = 0
    for pid in pids:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                total += int(pathlib.Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
        except OSError:
            pass
    return total / 1e9


def ended_and_living(root: int) -> float:
    """Seconds of CPU of a process and its descendants, those that have ended included; in ticks."""
    total = 0
    for pid in tree([root]):
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / TICK


class Use:
    """What worker processes use from now on, in seconds of CPU.

    Their living threads are known to the nanosecond; a worker that replaces its processes takes their CPU away with them, and
    then ticks of 10 ms, in which the kernel keeps it for the parent, have to do.
    """

    def __init__(self, roots: list[int]) -> None:
        self._roots, self._tree = roots, tree(roots)
        self._living, self._main, self._ended = cpu(self._tree), cpu(roots), self._all()

    def tree(self) -> float:
        return cpu(self._tree) - self._living if set(tree(self._roots)) == set(self._tree) else self._all() - self._ended

    def main(self) -> float:
        return cpu(self._roots) - self._main

    def _all(self) -> float:
        return sum(ended_and_living(root) for root in self._roots)


def wakeups(pids: Iterable[int]) -> int:
    """How often the threads of these processes have gone to sleep, and so were woken."""
    total = 0
    for pid in pids:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                for line in pathlib.Path(f"/proc/{pid}/task/{thread}/status").read_text().splitlines():
                    if line.startswith("voluntary_ctxt_switches"):
                        total += int(line.split()[1])
        except OSError:
            pass
    return total


def pss(pids: Iterable[int]) -> float:
    """MiB of memory; what processes share is divided among them."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (OSError, StopIteration):
            pass
    return total / 1024


def busy() -> float:
    """Seconds of CPU that this machine has spent on anything, what its host stole included."""
    with open("/proc/stat") as file:
        v = [int(x) for x in file.readline().split()[1:9]]
    return (sum(v) - v[3] - v[4]) / TICK


def others() -> float:
    """Seconds of CPU spent on anything but this benchmark; the difference of two calls is the noise between them."""
    return busy() - ended_and_living(os.getpid())


def calm(limit: float, patience: float) -> bool:
    """Wait until others use less than `limit` cores, for up to `patience` seconds. Whether they do."""
    end = time.monotonic() + patience
    while True:
        noise, began = others(), time.monotonic()
        time.sleep(1.5)
        if (others() - noise) / (time.monotonic() - began) < limit:
            return True
        if time.monotonic() > end:
            return False


def kill(roots: Iterable[int]) -> None:
    """SIGKILL to whole trees; every process is stopped first, so that none sees another one go."""
    pids = tree(roots)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            try:
                os.kill(pid, number)
            except OSError:
                pass


def quiet_neighbours() -> bool:
    """On a shared machine: give our own session (start it with `setsid -w`) the CPU before other sessions. False: not possible."""
    if os.getsid(0) != os.getpid():
        try:
            os.setsid()
        except OSError:
            return False
    try:
        pathlib.Path("/proc/self/autogroup").write_text("-15")
    except OSError:
        return False
    return True


def describe() -> str:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), platform.machine())
    kernel = platform.release().partition("-")[0]
    return f"{len(os.sched_getaffinity(0))} cores ({model}), Python {platform.python_version()}, Linux {kernel}"
