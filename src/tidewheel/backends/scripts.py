"""Statements and scripts that live in files of their own, one a file, named as the verb they carry out."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def script(package: str, path: str) -> str:
    """The text of a file of a package, as `script("tidewheel.backends.sqlite", "sql/claim.sql")`. Read once."""
    return resources.files(package).joinpath(path).read_text(encoding="utf-8")


def listing(package: str, folder: str) -> list[str]:
    """The names of the files in a folder of a package, sorted."""
    return sorted(entry.name for entry in resources.files(package).joinpath(folder).iterdir() if entry.is_file())
