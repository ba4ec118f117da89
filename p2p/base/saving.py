"""Writing a small file for good: after a crash or a power cut it is what it was before, or what it is meant to be.

All functions here block.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

__all__ = ["save_file", "sync_folder", "sync_names"]


def save_file(path: Path, data: bytes) -> None:
    """Write a file, or put it in the place of the one that is there; when this returns, it is on disk under its name.

    It is written beside its place, as ``.NAME.new``, which a crash may leave behind; the next time takes it over.

    :raises OSError: if the disk doesn't take it; what was there before is there still.
    """
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk.

    :raises OSError: if it isn't there, or the disk fails.
    """
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_names(folder)
    finally:
        os.close(folder)


def sync_names(folder: int) -> None:
    """Bring the names in an open folder to the disk, if its file system has an order for that.

    :param folder: its descriptor.
    """
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
