"""The process of a daemon: how it refuses to start, its limit of open files, and the memory that it keeps."""

from __future__ import annotations

import ctypes
import resource

from twisted.logger import Logger

from p2p.base.errors import P2PError

__all__ = ["CannotStart", "keep_memory", "most_open_files", "raise_open_files"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT_BYTES = 8 * 1024 * 1024

log = Logger()


class CannotStart(SystemExit, P2PError):
    """The daemon can't do its job, so its process ends: the text goes to stderr, and the exit code is 1.

    ``twistd`` tidies up (its PID file) after an ``Exception`` at the start, and Python shows no traceback for a
    ``SystemExit``, so it is both.
    """


def most_open_files() -> int:
    """The hard limit of open files, to which a daemon raises its soft one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1 << 31 if hard == resource.RLIM_INFINITY else hard


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one if the system lets us, log that, and return what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        log.info("the limit of open files is {hard}", hard=hard)
        return hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS doesn't grant the hard limit that it tells
        log.warn("the limit of open files stays at {soft}: {reason}", soft=soft, reason=str(error))
        return soft
    log.info("raised the limit of open files from {soft} to {hard}", soft=soft, hard=hard)
    return hard


def keep_memory() -> bool:
    """Have the C library keep up to 8 MiB that are free for the next buffers, and return whether it does.

    GNU's gives every buffer of 128 KiB back to the system and takes new pages for the next, which the system clears
    and maps one by one: at hundreds of megabytes a second that costs more than the encryption. Other libraries are
    left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(option, _KEPT_BYTES) == 1 for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD))
