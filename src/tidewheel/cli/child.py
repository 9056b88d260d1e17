"""The command line of the worker's children; not for people. `python -m tidewheel.cli.child LOGS forkserver|executor FD PARENT APP`"""

from __future__ import annotations

import socket
import sys

import msgspec


def main() -> None:
    settings, kind, fd, parent, where = sys.argv[1:]
    sys.argv = ["tidewheel", "-A", where, "worker"]  # what the user's code may look at
    from tidewheel.observe import logs
    from tidewheel.worker import forkserver

    logs.apply(msgspec.json.decode(settings, type=logs.LogSettings))
    sock = socket.socket(fileno=int(fd))
    sock.set_inheritable(False)
    if kind == "forkserver":
        forkserver.serve(where, sock, int(parent))
    else:
        forkserver.spawned(where, sock, int(parent))


if __name__ == "__main__":
    main()
