"""Names in folders: whether one is taken, which one is free, and moves that take no name away from anybody.

All functions here block; they run in threads.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from typing import Any, Final

from p2p.exchange.paths import numbered

__all__ = ["free_name", "is_there", "move_new"]

_NO_REPLACE: Final = 1
"""``RENAME_NOREPLACE`` of renameat2(2)."""

_NO_SUCH_CALL: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""How a file system says that its renames can't be told to replace nothing; NFS is one."""

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""How a file system says that it has no hard links."""

_RENAME: Final[Any] = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)

_LOCK: Final = threading.Lock()
"""Keeps the transfers of this daemon from taking the same name, where the system doesn't."""


def is_there(folder: int, name: str) -> os.stat_result | None:
    """What has a name in a folder, a link as itself; None if nothing has."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def free_name(folder: int, name: str) -> str:
    """The name, or the same with a number in it that nothing has in the folder.

    It is found in a few steps, which double and then halve, however many are taken.
    """

    def is_taken(number: int) -> bool:
        return is_there(folder, numbered(name, number)) is not None

    if not is_taken(0):
        return name
    taken, free = 0, 1
    while is_taken(free):
        taken, free = free, 2 * free
    while free - taken > 1:
        middle = (taken + free) // 2
        taken, free = (middle, free) if is_taken(middle) else (taken, middle)
    return numbered(name, free)


def move_new(name: str, source: int, new: str, target: int, *, is_folder: bool) -> None:
    """Move what has a name in one folder to another folder, unless something is there.

    Where there is neither a rename that replaces nothing nor a hard link, a program that isn't this one and makes the
    same name at the same moment can lose to it; two transfers can't.
    A crash may leave a file with both names; they are the same file then.

    :param source: descriptor of a folder, as is ``target``.
    :raises FileExistsError: if something is there.
    :raises OSError: as ``os.rename`` does.
    """
    try:
        _rename_new(name, source, new, target)
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise
        if is_folder or not _linked(name, source, new, target):
            _rename_free(name, source, new, target)


def _rename_new(name: str, source: int, new: str, target: int) -> None:
    if _RENAME is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _RENAME(source, os.fsencode(name), target, os.fsencode(new), _NO_REPLACE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name, None, new)


def _linked(name: str, source: int, new: str, target: int) -> bool:
    """Move a file or a link by way of a hard link; returns whether there are such."""
    try:
        os.link(name, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    os.unlink(name, dir_fd=source)
    return True


def _rename_free(name: str, source: int, new: str, target: int) -> None:
    with _LOCK:
        if is_there(target, new) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name, None, new)
        os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
