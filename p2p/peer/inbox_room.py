"""How much more an inbox takes: its quota, and the space that is kept free on its disk.

Functions here block; they run in threads, several at a time.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final

from rich.filesize import decimal

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.inbox import refusal

__all__ = ["InboxRoom"]

MEASURE_S: Final = 60.0
"""Seconds after which an inbox is measured again, because people take things out of it."""

FULL_MEASURE_S: Final = 5.0
"""Seconds after which it is measured again before something is refused."""


class InboxRoom:
    """The room in one inbox, shared by all that is received into it.

    :param quota: bytes that the files in it may have; None if any.
    :param keep_free: bytes that stay free on its disk.
    :param now: reads a clock, seconds.
    """

    def __init__(self, peer: str, folder: Path, quota: int | None, keep_free: int, now: Callable[[], float]) -> None:
        self._peer = peer
        self._folder = folder
        self._quota = quota
        self._keep_free = keep_free
        self._now = now
        self._lock = Lock()
        self._used = 0
        self._measured: float | None = None

    def check(self, size: int) -> None:
        """See that there is room for something, before anything of it is written.

        :raises ExchangeFailed: with ``refused`` and the reason, if there isn't.
        """
        self._check_disk(size)
        if self._quota is not None:
            with self._lock:
                self._check_quota(size)

    def take(self, size: int) -> None:
        """Account for so many more bytes.

        :raises ExchangeFailed: with ``refused`` and the reason, if there is no room for them.
        """
        if self._keep_free:
            self._check_disk(size)
        if self._quota is not None:
            with self._lock:
                self._check_quota(size)
                self._used += size

    def _check_disk(self, size: int) -> None:
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if size > free:
            raise refusal(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        if size > free - self._keep_free:
            raise self._refusal(f"keeps {decimal(self._keep_free)} of its disk free")

    def _check_quota(self, size: int) -> None:
        assert self._quota is not None
        if self._is_older(MEASURE_S) or (self._used + size > self._quota and self._is_older(FULL_MEASURE_S)):
            self._used = _bytes_in(self._folder)
            self._measured = self._now()
        if self._used + size > self._quota:
            raise self._refusal(f"has a quota of {decimal(self._quota)} for its inbox")

    def _is_older(self, seconds: float) -> bool:
        return self._measured is None or self._now() - self._measured >= seconds

    def _refusal(self, why: str) -> ExchangeFailed:
        return ExchangeFailed(Outcome.REFUSED, f"{self._peer} {why}, and there is no room for more; free some there")


def _bytes_in(folder: Path) -> int:
    """What all files below a folder have."""
    total = 0
    for _, _, files, descriptor in os.fwalk(folder):
        for name in files:
            try:
                total += os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_size
            except FileNotFoundError:
                continue  # somebody has just taken it out
    return total
