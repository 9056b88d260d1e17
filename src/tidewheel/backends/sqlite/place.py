"""Where a database is: from the URL to absolute paths, and whether that place can hold one.

    sqlite:///tidewheel.db          relative to the working directory, made absolute at once
    sqlite:////var/lib/app/jobs.db  absolute
    …?network=allow                 use it although it lies on a network file system
    …?shared=yes                    put the tables into a file that already has tables of another program

Beside the database lies `<db>.run/`: the writer lock, the workers' lifelines, and the bells. It holds no jobs and may be deleted while
nothing runs.
"""

from __future__ import annotations

import os
import re
import stat
from urllib.parse import parse_qsl, unquote

import msgspec

from tidewheel.errors import BrokerError, BrokerUnavailable, ConfigurationError
from tidewheel.lifeline import give_away

NETWORK = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.ceph", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone",
    "fuse.s3fs", "fuse.sshfs", "gfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "pvfs2", "smb3", "smbfs", "vboxsf",
})  # fmt: skip
"""File systems whose locks and shared memory do not reach from one host to another: WAL would corrupt the database silently."""


class Place(msgspec.Struct, frozen=True):
    """One database and what belongs to it, as absolute paths."""

    path: str
    network_allowed: bool = False
    shared: bool = False

    @property
    def run(self) -> str:
        return f"{self.path}.run"

    @property
    def lock(self) -> str:
        return f"{self.path}.run/lock"

    @property
    def workers(self) -> str:
        return f"{self.path}.run/workers"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def prepare(self) -> None:
        """Check that a database can live here and make its `run` directory. Raises `BrokerUnavailable` with the mend."""
        parent = os.path.dirname(self.path)
        if not os.path.isdir(parent):
            raise BrokerUnavailable(f"the directory {parent} does not exist; make it (mkdir -p {parent}) or change the broker URL")
        kind = file_system(self.path)
        if kind in NETWORK and not self.network_allowed:
            raise BrokerUnavailable(
                f"{self.path} lies on a network file system ({kind}), where SQLite's locks are not safe; put it on a local disk, or use"
                " another engine (or ?network=allow in the URL, if only one host ever uses it)"
            )
        try:
            for folder in (self.run, self.workers):
                try:
                    os.mkdir(folder, 0o700)
                    give_away(folder)
                except FileExistsError:
                    if not stat.S_ISDIR(os.lstat(folder).st_mode):
                        raise BrokerUnavailable(f"{folder} is not a directory; move it away") from None
        except BrokerError:
            raise
        except PermissionError:
            raise BrokerUnavailable(
                f"user {os.geteuid()} may not write in {parent}, and SQLite needs to: let it own the directory (chown) or change the URL"
            ) from None
        except OSError as error:
            raise BrokerUnavailable(f"{self.run} cannot be made: {error.strerror}") from error


def parse(url: str) -> Place:
    """The place a URL names. Raises `ConfigurationError`."""
    match = re.fullmatch(r"sqlite://(/[^?]*)(?:\?(.*))?", url, re.IGNORECASE)
    path = unquote(match[1][1:]) if match else ""
    if match is None or not path or path == ":memory:" or path.endswith("/") or "\0" in path:
        raise ConfigurationError(
            f"broker URL {url!r}: expected sqlite:///file.db (relative) or sqlite:////absolute/file.db; for a store in memory use memory://"
        )
    options = dict(parse_qsl(match[2] or "", keep_blank_values=True))
    network, shared = options.pop("network", "refuse"), options.pop("shared", "no")
    if network not in ("allow", "refuse") or shared not in ("yes", "no") or options:
        raise ConfigurationError(f"broker URL {url!r}: the only options are network=allow and shared=yes")
    # Links are followed: one database must have one `run` directory, whatever it is called by.
    return Place(os.path.realpath(path), network == "allow", shared == "yes")


def file_system(path: str) -> str:
    """The type of the file system that holds a path, as `ext4`; empty where it cannot be known (no /proc)."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            mounts = [_mount(line) for line in table]
    except OSError:
        return ""
    real, best, kind = os.path.realpath(path), "", ""
    for point, found in mounts:
        # Later lines are mounted over earlier ones.
        if len(point) >= len(best) and (real == point or real.startswith(point.rstrip("/") + "/")):
            best, kind = point, found
    return kind


def _mount(line: str) -> tuple[str, str]:
    """Mount point and type of a line of mountinfo (proc(5)); blanks in names are written as octal."""
    before, _, after = line.partition(" - ")
    point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), before.split()[4])
    return point, after.split()[0]
