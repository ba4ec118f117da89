"""Where a daemon keeps what must outlive it, and how it tidies up what nobody went on with."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
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
from p2p.peer.ages import DAY_S, Ages
from p2p.transfer.final_names import FOLDER_FLAGS
from p2p.transfer.notes import KEEP_S
from p2p.transfer.work_folder import WorkFolder

__all__ = ["JOURNAL", "Leftovers", "find_state", "make_private", "remove_expired"]

JOURNAL: Final = "journal.sqlite"
"""The name of the journal of transfers in it."""

EVERY_S: Final = DAY_S

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
    """Looks after the inboxes of a daemon, the folders that its users get things into, and its notes.

    :param inboxes: by the names of their peers.
    :param notes: folders with a file or a folder for each transfer, which are kept for ``KEEP_S``.
    :param days: for which a part stays that doesn't grow.
    :param forget: gives up what was got or sent in part, and nobody went on with for so many seconds.
    """

    def __init__(
        self,
        clock: IReactorTime,
        inboxes: Mapping[str, Path],
        notes: Iterable[Path],
        threads: Threads,
        ages: Ages,
        days: int,
        forget: Callable[[Ages, float], Awaitable[None]],
    ) -> None:
        self._inboxes = inboxes
        self._notes = list(notes)
        self._threads = threads
        self._ages = ages
        self._days = days
        self._forget = forget
        self._daily = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._daily.clock = clock

    def start(self) -> None:
        """Look now, and then every day."""
        self._daily.start(EVERY_S).addErrback(lambda failure: _log.failure("inboxes aren't tidied", failure))

    def stop(self) -> None:
        """Look no more; a look that is under way goes on in its thread."""
        if self._daily.running:
            self._daily.stop()

    async def _look(self) -> None:
        await self._threads(self._ages.begin)
        for name, inbox in self._inboxes.items():
            await self._tidy(name, "its inbox", self._remove_parts, name, inbox)
        for folder in self._notes:
            await self._tidy(folder.parent.name, str(folder), self._remove_notes, folder)
        await self._forget(self._ages, self._days * DAY_S)
        await self._tidy("p2p-peer", "its state", self._ages.save)

    async def _tidy(self, name: str, what: str, work: Callable[..., object], *arguments: object) -> None:
        try:
            await self._threads(work, *arguments)
        except OSError as error:
            _log.warn("{name}: can't tidy {what}: {reason}", name=name, what=what, reason=error.strerror)

    def _remove_parts(self, name: str, inbox: Path) -> None:
        count = remove_expired(inbox, lambda marks: self._old(f"inbox of {name}", marks, self._days * DAY_S))
        if count:
            _log.info(
                "{name}: removed the parts of {count} transfers that nobody went on with for {days} days",
                name=name,
                count=count,
                days=self._days,
            )

    def _remove_notes(self, folder: Path) -> None:
        if not folder.exists():
            return
        with os.scandir(folder) as entries:
            found = {entry.name: entry for entry in entries}
            marks = {name: entry.stat(follow_symlinks=False).st_mtime for name, entry in found.items()}
        for name in self._old(str(folder), marks, KEEP_S):
            if found[name].is_dir(follow_symlinks=False):
                shutil.rmtree(folder / name, ignore_errors=True)  # a session may be removing it as well
            else:
                (folder / name).unlink(missing_ok=True)

    def _old(self, group: str, marks: Mapping[str, float], limit_s: float) -> set[str]:
        return {key for key, age_s in self._ages.seen(group, marks).items() if age_s >= limit_s}


def remove_expired(folder: Path, old: Callable[[Mapping[str, float]], Collection[str]]) -> int:
    """Remove the work folders in which nothing has changed for too long, and count them; blocks.

    One that a session works on stays, and so does everything that isn't ours.

    :param folder: where transfers go to, such as an inbox.
    :param old: tells which are old, of the ids of all transfers, each with a number that changes with its work folder.
    :raises OSError: if the disk doesn't let it.
    """
    root = os.open(folder, FOLDER_FLAGS & ~os.O_NOFOLLOW)
    try:
        with os.scandir(root) as entries:
            names = [_WORK.fullmatch(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]
        found = {name[1]: _changed(root, name[0]) for name in names if name is not None}
        marks = {transfer_id: changed for transfer_id, changed in found.items() if changed is not None}
        return sum(_remove(root, transfer_id, marks[transfer_id]) for transfer_id in old(marks))
    finally:
        os.close(root)


def _remove(root: int, transfer_id: str, mark: float) -> bool:
    try:
        work = WorkFolder(root, transfer_id, sync=False)
    except ExchangeFailed:
        return False  # a session has just come for it, or it isn't ours
    try:
        if _changed(root, RESERVED + transfer_id) != mark:
            return False  # a session came and went between the first look and the lock
        work.remove()
        return True
    finally:
        work.close()


def _changed(root: int, name: str) -> float | None:
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
        return None  # a session changes it at this moment
