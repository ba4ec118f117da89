"""How much more an inbox takes: its quota, and the space that is kept free on its disk.

Everything has its price: a file or a link that of its bytes, in whole blocks, and every entry a block besides, since
nothing is free that fills the disk's tables. Functions here block; they run in threads, several at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final

from rich.filesize import decimal
from twisted.logger import Logger

from p2p.base.errors import ExchangeFailed, Outcome

__all__ = ["BLOCK", "InboxRoom"]

BLOCK: Final = 4096
"""Bytes of a block: content is counted in whole ones, and each file, folder and link is one besides."""

MEASURE_S: Final = 60.0
"""Seconds after which an inbox is measured again, because people take things out of it."""

FULL_MEASURE_S: Final = 5.0
"""Seconds after which it is measured again before something is refused."""


class InboxRoom:
    """The room in one inbox, shared by all that is received into it.

    :param quota: bytes that what is in it may cost; None if any.
    :param keep_free: bytes that stay free on its disk; each of its free inodes counts as a block.
    :param now: reads a clock, seconds.
    """

    _log = Logger()

    def __init__(self, peer: str, folder: Path, quota: int | None, keep_free: int, now: Callable[[], float]) -> None:
        self._peer = peer
        self._folder = folder
        self._quota = quota
        self._keep_free = keep_free
        self._now = now
        self._lock = Lock()
        self._used = 0
        self._measured: float | None = None
        self._unreadable: list[str] = []

    def change(self, quota: int | None, keep_free: int) -> None:
        """Have other bounds from now on, bytes."""
        self._quota, self._keep_free = quota, keep_free

    def check(self, size: int, entries: int) -> None:
        """See that there is room for something, before anything of it is written.

        :param size: bytes of all files and links together.
        :raises ExchangeFailed: with ``refused`` and the reason, if there isn't.
        """
        cost = size + entries * BLOCK
        self._check_disk(cost)
        if self._quota is not None:
            with self._lock:
                self._check_quota(cost)

    def take(self, size: int, entries: int = 0) -> None:
        """Account for so many more bytes of one file or link, and for entries that come to be.

        :raises ExchangeFailed: with ``refused`` and the reason, if there is no room for them.
        """
        cost = (-(-size // BLOCK) + entries) * BLOCK
        if self._keep_free:
            self._check_disk(cost)
        if self._quota is not None:
            with self._lock:
                self._check_quota(cost)
                self._used += cost

    def _check_disk(self, cost: int) -> None:
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if disk.f_files:  # else this file system makes inodes as they are needed
            free = min(free, disk.f_favail * BLOCK)
        if cost > free - self._keep_free:
            kept = f"{decimal(self._keep_free)} of its disk stay free" if self._keep_free else "its disk is full"
            raise self._refusal(cost, free - self._keep_free, kept)

    def _check_quota(self, cost: int) -> None:
        assert self._quota is not None
        if self._is_older(MEASURE_S) or (self._used + cost > self._quota and self._is_older(FULL_MEASURE_S)):
            self._used, unreadable = _cost_of(self._folder)
            self._measured = self._now()
            self._tell_unreadable(unreadable)
        if self._used + cost > self._quota:
            raise self._refusal(cost, self._quota - self._used, f"its inbox has a quota of {decimal(self._quota)}")

    def _is_older(self, seconds: float) -> bool:
        return self._measured is None or self._now() - self._measured >= seconds

    def _refusal(self, cost: int, free: int, why: str) -> ExchangeFailed:
        needed, there = decimal(cost), decimal(max(free, 0))
        if needed == there:  # they differ by less than is shown
            needed, there = f"{cost} bytes", f"{free} bytes"
        reason = f"{self._peer} has no room for this: it needs {needed}, {there} are free ({why}); free some there"
        return ExchangeFailed(Outcome.REFUSED, f"{reason}, and send it again")

    def _tell_unreadable(self, unreadable: list[str]) -> None:
        """Log where the inbox can't be measured, when that has changed."""
        if unreadable and unreadable != self._unreadable:
            self._log.warn(
                "{peer}: what is in {count} folders of its inbox can't be measured and counts as nothing, such as "
                "{path}; see to their owner and mode",
                peer=self._peer,
                count=len(unreadable),
                path=unreadable[0],
            )
        self._unreadable = unreadable


def _cost_of(folder: Path) -> tuple[int, list[str]]:
    """What all that is below a folder costs, and the folders in which that can't be seen."""
    cost = 0
    unreadable: set[str] = set()
    root = os.fspath(folder)
    waiting = [root]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    cost += BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        cost += _content_of(entry, place, unreadable)
        except OSError as error:
            if place == root:
                raise
            if not isinstance(error, FileNotFoundError):
                unreadable.add(place)
    return cost, sorted(unreadable)


def _content_of(entry: os.DirEntry[str], place: str, unreadable: set[str]) -> int:
    try:
        return -(-entry.stat(follow_symlinks=False).st_size // BLOCK) * BLOCK
    except FileNotFoundError:
        return -BLOCK  # somebody has just taken it out
    except OSError:
        unreadable.add(place)
        return 0
