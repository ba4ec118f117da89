"""Where a daemon keeps what must outlive it, and how it tidies up what was received in part and nobody went on with."""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2p.base.config import PeerConfig
from p2p.base.errors import ExchangeFailed
from p2p.exchange.paths import RESERVED
from p2p.exchange.service import Threads
from p2p.transfer.final_names import FOLDER_FLAGS
from p2p.transfer.work_folder import WorkFolder

__all__ = ["JOURNAL", "Leftovers", "find_state", "make_private", "remove_expired"]

JOURNAL: Final = "journal.sqlite"
"""The name of the journal of transfers in it."""

EVERY_S: Final = 86_400.0

DAY_S: Final = 86_400.0

_WORK: Final = re.compile(re.escape(RESERVED) + "([0-9a-f]{16})")
"""What work folders are called."""

_log = Logger()


def find_state(config: PeerConfig) -> Path:
    """The folder that the configuration names; without one, that beside the inbox of one of its peers.

    It is the one that has a journal already, so that nothing is lost when the peers change places in the file; else
    the one beside the first inbox. Blocks for a moment.
    """
    if config.state is not None:
        return config.state
    beside = [entry.inbox.with_name(f"{entry.inbox.name}.state") for entry in config.peers]
    known = [folder for folder in beside if _is_file(folder / JOURNAL)]
    if len(known) > 1:
        _log.warn(
            "there are several journals of transfers, and {folder} is used, not {others}; say which one it shall be "
            "with 'state: FOLDER'",
            folder=str(known[0]),
            others=", ".join(map(str, known[1:])),
        )
    return known[0] if known else config.state_folder


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # it can't be looked into; whoever opens it is told why
        return False


def make_private(folder: Path) -> None:
    """Make the folder for what must outlive a daemon, or see that nobody but its owner can look into one that is there.

    What is in it says who sent what to whom, and is believed when the daemon starts again. Blocks for a moment.

    :raises OSError: if it can't be made, isn't a folder, or isn't this user's to change.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _tighten(folder, 0o700)
    for ending in ("", "-wal", "-shm"):
        journal = folder / f"{JOURNAL}{ending}"
        if journal.exists():
            _tighten(journal, 0o600)


def _tighten(path: Path, mode: int) -> None:
    """Take from others what they may do with a file or a folder."""
    found = stat.S_IMODE(path.stat().st_mode)
    if found & 0o077:
        path.chmod(mode)
        text = "{path}: had mode {before}, which let others in, and has {mode} now"
        _log.warn(text, path=str(path), before=f"{found:04o}", mode=f"{mode:04o}")


class Leftovers:
    """Looks after the inboxes of a daemon, and the folders that its users get things into.

    :param inboxes: by the names of their peers.
    :param wall: reads the Unix time, seconds.
    :param days: for which a part stays that doesn't grow.
    :param forget: gives up what was got from others in part, and nobody went on with since a time (Unix seconds).
    """

    def __init__(
        self,
        clock: IReactorTime,
        inboxes: Mapping[str, Path],
        threads: Threads,
        wall: Callable[[], float],
        days: int,
        forget: Callable[[float], object],
    ) -> None:
        self._inboxes = inboxes
        self._threads = threads
        self._wall = wall
        self._days = days
        self._forget = forget
        self._daily = LoopingCall(self._look)
        self._daily.clock = clock

    def start(self) -> None:
        """Look now, and then every day."""
        self._daily.start(EVERY_S).addErrback(lambda failure: _log.failure("inboxes aren't tidied", failure))

    def stop(self) -> None:
        """Look no more; a look that is under way goes on in its thread."""
        if self._daily.running:
            self._daily.stop()

    def _look(self) -> Deferred[None]:
        before = self._wall() - self._days * DAY_S
        self._forget(before)
        looking = self._threads(_tidied, self._inboxes, before)
        return looking.addCallback(self._tell)

    def _tell(self, found: list[tuple[str, int | OSError]]) -> None:
        for name, what in found:
            if isinstance(what, OSError):
                reason = what.strerror
                _log.warn("{name}: can't tidy its inbox: {reason}", name=name, reason=reason)
            else:
                _log.info(
                    "{name}: removed the parts of {count} transfers that nobody went on with for {days} days",
                    name=name,
                    count=what,
                    days=self._days,
                )


def _tidied(inboxes: Mapping[str, Path], before: float) -> list[tuple[str, int | OSError]]:
    """What was removed from each inbox where there was something, or went wrong; in a thread."""
    found: list[tuple[str, int | OSError]] = []
    for name, inbox in inboxes.items():
        try:
            if count := remove_expired(inbox, before):
                found.append((name, count))
        except OSError as error:
            found.append((name, error))
    return found


def remove_expired(folder: Path, before: float) -> int:
    """Remove the work folders in which nothing has changed since a time, and count them; blocks.

    One that a session works on stays, and so does everything that isn't ours.

    :param folder: where transfers go to, such as an inbox.
    :param before: Unix seconds.
    :raises OSError: if the disk doesn't let it.
    """
    count = 0
    root = os.open(folder, FOLDER_FLAGS & ~os.O_NOFOLLOW)
    try:
        with os.scandir(root) as entries:
            found = [_WORK.fullmatch(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]
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
