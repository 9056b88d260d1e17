"""The forkserver: imports the user's app once, reports what it is, and forks executors in milliseconds.

It runs no job and no thread of its own, so that a fork is safe; what it has imported is shared by all executors copy-on-write. It
reaps its children and tells the worker how each one ended. `serve` is its life; `spawned` is that of an executor which imports the
app itself (`--start-method spawn`).
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tidewheel.errors import ConfigurationError
from tidewheel.locate import locate
from tidewheel.worker.executor import Executor, end_with_parent, ignore_terminal
from tidewheel.worker.frames import Decoder, Exited, Fork, Forked, ImportFailed, Manifest, Quit, ToForkserver, frame

if TYPE_CHECKING:
    from tidewheel.app import Tidewheel


Ready = Callable[["Tidewheel"], None]
"""Called with the app as soon as it is imported, before it is reported."""


def serve(where: str, control: socket.socket, parent: int, ready: Ready) -> None:
    """Import the app, then fork an executor for each request until the worker is gone."""
    end_with_parent(parent)
    ignore_terminal()
    app = _import(where, control, ready)
    if any(task.is_async for task in app.tasks.values()):
        import tidewheel.pools.aio  # noqa: F401 once here, instead of in every executor
    # What exists now will never be freed: keep the collector's hands off it, or the first collection in each child would copy it.
    gc.collect()
    gc.freeze()
    bell, ring = os.pipe()
    os.set_blocking(ring, False)
    os.set_blocking(bell, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    decoder = Decoder(ToForkserver)
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(bell, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is control:
                    data, fds, _, _ = socket.recv_fds(control, 65_536, 16)
                    if not data:
                        os._exit(0)
                    for message in decoder.feed(data):
                        if isinstance(message, Quit):
                            os._exit(0)
                        _fork(app, message, fds.pop(0), control, (bell, ring), selector)
                else:
                    os.read(bell, 4096)
                    _reap(control)


def _fork(app: Tidewheel, request: Fork, fd: int, control: socket.socket, pipe: tuple[int, int], selector: Any) -> None:
    mine = os.getpid()
    pid = os.fork()
    if pid:
        os.close(fd)
        _say(control, Forked(request.number, pid))
        return
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        selector.close()
        control.close()
        for end in pipe:
            os.close(end)
        end_with_parent(mine)
        gc.enable()
        Executor(app, socket.socket(fileno=fd)).run()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # not sys.exit: what the forkserver has registered to happen at its exit is not this child's business


def _say(control: socket.socket, message: Forked | Exited) -> None:
    try:
        control.sendall(frame([message]))
    except OSError:  # the worker is gone, or has closed this socket because it is about to be
        os._exit(0)


def _reap(control: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _say(control, Exited(pid, os.waitstatus_to_exitcode(status)))


def spawned(where: str, sock: socket.socket, parent: int, ready: Ready) -> None:
    """An executor that imports the app itself."""
    end_with_parent(parent)
    ignore_terminal()
    app = _import(where, sock, ready)
    Executor(app, sock).run()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _import(where: str, control: socket.socket, ready: Ready) -> Tidewheel:
    """The app, reported; or the reason why there is none, reported, and the end."""
    try:
        app = locate(where)
        ready(app)
        control.sendall(frame([manifest(app)]))
        return app
    except ConfigurationError as error:
        control.sendall(frame([ImportFailed(str(error), usage=True)]))
    except BaseException:
        control.sendall(frame([ImportFailed(traceback.format_exc())]))
    os._exit(1)


def manifest(app: Tidewheel) -> Manifest:
    """What the worker has to know of an app."""
    return Manifest(
        name=app.name or next((t.split(".")[0] for t in app.tasks), "tidewheel"),
        url=app.absolute_url(),
        results=app.absolute_results_url(),
        tasks={name: task.declared for name, task in app.tasks.items()},
        listens=app.events.wanted(),
        result_ttl=app.defaults.result_ttl,
        queues=app.queues,
        workers=dict(app.workers),
        threads=threading.active_count() - 1,
    )
