"""What this process has open: only what a test asks about, since garbage of earlier tests may be closed at any time."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["copies", "open_files"]

_ALL = Path("/proc/self/fd")


def open_files(folder: Path) -> list[str]:
    """What is open below a folder."""
    top = str(folder.absolute())
    return [path for path in _open() if path == top or path.startswith(f"{top}/")]


def copies(file: int) -> int:
    """How many descriptors the file, pipe or socket of a descriptor has, this one among them."""
    return _open().count(os.fspath((_ALL / str(file)).readlink()))


def _open() -> list[str]:
    found: list[str] = []
    for each in _ALL.iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was for looking at them
            found.append(os.fspath(each.readlink()))
    return found
