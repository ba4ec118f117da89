"""Parts of transfers that nobody went on with.

Functions here block; they run in threads.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Final

from p2p.base.errors import ExchangeFailed
from p2p.exchange.paths import RESERVED
from p2p.transfer.final_names import FOLDER_FLAGS
from p2p.transfer.work_folder import WorkFolder

__all__ = ["remove_expired"]

_NAME: Final = re.compile(re.escape(RESERVED) + "([0-9a-f]{16})")


def remove_expired(folder: Path, before: float) -> int:
    """Remove the work folders in which nothing has changed since a time, and count them.

    One that a session works on stays, and so does everything that isn't ours.

    :param folder: where transfers go to, such as an inbox.
    :param before: Unix seconds.
    :raises OSError: if the disk doesn't let it.
    """
    count = 0
    root = os.open(folder, FOLDER_FLAGS & ~os.O_NOFOLLOW)
    try:
        with os.scandir(root) as entries:
            found = [_NAME.fullmatch(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]
        for name in found:
            if name is not None and _changed(root, name[0]) < before:
                count += _remove(root, name[1], before)
    finally:
        os.close(root)
    return count


def _remove(root: int, transfer_id: str, before: float) -> bool:
    try:
        work = WorkFolder(root, transfer_id, sync=False)
    except ExchangeFailed:
        return False  # a session has just come for it, or it isn't ours
    try:
        if _changed(root, RESERVED + transfer_id) >= before:
            return False  # a session came and went between the first look and the lock
        work.remove()
        return True
    finally:
        work.close()


def _changed(root: int, name: str) -> float:
    """When a work folder or something in it changed last; the times of files themselves may be those of the sender."""
    try:
        file = os.open(name, FOLDER_FLAGS, dir_fd=root)
        try:
            with os.scandir(file) as entries:
                times = [entry.stat(follow_symlinks=False).st_ctime for entry in entries]
            return max([os.fstat(file).st_ctime, *times])
        finally:
            os.close(file)
    except FileNotFoundError:
        return math.inf  # a session changes it at this moment
