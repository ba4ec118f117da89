"""How what has arrived gets its final name: steps that can be written down first and be done again after a crash.

Whatever a transfer makes is made in its work folder, whole, and then moved to its place by a step that changes nothing
if it has been done before. Places are reached from one open folder to the next, and no link is ever followed.
All functions here block; they run in threads.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from p2p.base.errors import Outcome
from p2p.base.saving import sync_names
from p2p.base.values import Exists
from p2p.exchange.naming import free_name, is_there, move_new
from p2p.exchange.paths import shown
from p2p.transfer.records import Kind, Receipt

__all__ = ["FAR_AWAY", "FOLDER_FLAGS", "GREW", "ONE_ENTRY", "Close", "Folder", "PlaceStep", "Placer", "Receipt", "Step"]

FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

ONE_ENTRY: Final = frozenset(
    {errno.EACCES, errno.EBUSY, errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENOENT}
    | {errno.EMLINK, errno.ENAMETOOLONG, errno.ENOSYS, errno.ENOTDIR, errno.ENOTEMPTY, errno.EOPNOTSUPP}
    | {errno.EOVERFLOW, errno.EPERM, errno.ERANGE, errno.EXDEV}
)
"""Errors that are about one entry, which a file system can't hold as it is; all others end the transfer."""

GREW: Final = "it grew while it was sent, and this is what it was when that began"
"""What is told of a file of which more is there by now."""

FAR_AWAY: Final = "its time is too far from 1970 to be sent, and the nearest one was taken"
"""What is told of an entry with a time before 1677 or after 2262."""


@dataclass(slots=True, eq=False)
class Folder:
    """A folder of the transfer that still gets entries.

    :ivar up: the folder that it is in; None if it is at the top.
    :ivar name: what the sender calls it.
    :ivar final: what it is called here.
    :ivar mode: what to set at its end, as with ``mtime``.
    :ivar refused: why nothing can be put in it; empty if all is well.
    :ivar file: its descriptor, -1 while it isn't open.
    """

    up: Folder | None
    name: str
    final: str
    mode: int
    mtime: int
    refused: str = ""
    file: int = -1

    def path(self) -> str:
        """Its path below the receiver's folder."""
        return self.final if self.up is None else f"{self.up.path()}/{self.final}"

    def sent(self) -> str:
        """Its path as the sender calls it."""
        return self.name if self.up is None else f"{self.up.sent()}/{self.name}"


@dataclass(slots=True, eq=False)
class PlaceStep:
    """The step that gives an entry its name, or records why it gets none.

    :ivar temp: its name in the work folder; empty if there is nothing.
    :ivar made: the folder that this makes.
    :ivar file: a descriptor of it that is to be synced first, -1 if there is none.
    :ivar safe: bytes of it that are on disk even if that fails.
    :ivar notes: in what it isn't quite what is at the sender's.
    """

    path: str
    kind: Kind
    temp: str
    folder: Folder | None
    final: str
    size: int = 0
    root: str = ""
    outcome: Outcome = Outcome.OK
    reason: str = ""
    made: Folder | None = None
    file: int = -1
    safe: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Close:
    """The step that ends a folder: its mode and its time are set.

    Its owner may always use it: else what is in it could be neither measured nor removed.
    """

    folder: Folder


Step = PlaceStep | Close
"""What a placer does."""


class Placer:
    """Does steps.

    :param root: descriptor of the receiver's folder.
    :param work: descriptor of the work folder.
    :param changed: called when steps were changed, before what is on disk is: it writes them down again.
    """

    def __init__(self, root: int, work: int, exists: Exists, sync: bool, changed: Callable[[], None]) -> None:
        self._root = root
        self._work = work
        self._exists = exists
        self._sync = sync
        self._changed = changed
        self._touched: set[int] = set()

    def descriptor(self, folder: Folder | None) -> int:
        """A descriptor of a folder, which is opened if need be.

        :raises OSError: if it isn't there, or is no folder any more.
        """
        if folder is None:
            return self._root
        if folder.file < 0:
            folder.file = os.open(folder.final, FOLDER_FLAGS, dir_fd=self.descriptor(folder.up))
        return folder.file

    def run(self, steps: Iterable[Step], *, again: bool = False) -> list[Receipt]:
        """Do steps, in their order, and sync the folders that they changed.

        :param again: whether it may be that they were done before, in part or all: what isn't in the work folder any
            more has its place then. At the first time it would be lost.
        :raises OSError: if the disk is full or broken; the same steps can be done again later.
        """
        receipts: list[Receipt] = []
        self._touched.clear()
        for step in steps:
            receipt = self._place(step, again) if isinstance(step, PlaceStep) else self._close(step.folder, again)
            if receipt is not None:
                receipts.append(receipt)
        for folder in self._touched:
            sync_names(folder)
        return receipts

    def _place(self, step: PlaceStep, again: bool) -> Receipt:
        folder = step.folder
        if not step.reason and folder is not None and folder.refused:
            self._refuse(step, folder.refused)
        elif not step.reason and again and is_there(self._work, step.temp) is None:
            self._touch_again(folder)
        elif not step.reason:
            try:
                where = self.descriptor(folder)
                if step.kind is Kind.FOLDER:
                    self._place_folder(step, where)
                else:
                    self._place_file(step, where)
                if self._sync:
                    self._touched.add(where)
            except FileExistsError:
                self._refuse(step, "the receiver has something of this name already, and keeps it")
            except OSError as error:
                if error.errno not in ONE_ENTRY:
                    raise
                self._refuse(step, f"the receiver can't give it its name: {error.strerror}")
        if step.reason:
            self._discard(step)
            return Receipt(step.path, "", step.size, step.root, step.outcome, step.reason)
        name = step.final if folder is None else f"{folder.path()}/{step.final}"
        return Receipt(step.path, name, step.size, step.root, note="; ".join(step.notes))

    def _touch_again(self, folder: Folder | None) -> None:
        """What is in a folder has its place, but the crash may have come before the folder was synced."""
        if self._sync:
            with suppress(OSError):  # one that can't be opened any more was synced when it got its mode
                self._touched.add(self.descriptor(folder))

    def _place_file(self, step: PlaceStep, where: int) -> None:
        if self._exists == "replace":
            os.replace(step.temp, step.final, src_dir_fd=self._work, dst_dir_fd=where)
            return
        while not self._moved(step, where):
            there = is_there(where, step.final)
            temp = os.stat(step.temp, dir_fd=self._work, follow_symlinks=False)
            if there is not None and os.path.samestat(there, temp):
                os.unlink(step.temp, dir_fd=self._work)  # a crash came between a link and this
                return
            self._rename(step, where)

    def _moved(self, step: PlaceStep, where: int) -> bool:
        """Move it to its place, unless something is there."""
        try:
            move_new(step.temp, self._work, step.final, where, is_folder=step.kind is Kind.FOLDER)
        except FileExistsError:
            return False
        return True

    def _rename(self, step: PlaceStep, where: int) -> None:
        """Choose another name, if that is wanted."""
        if self._exists != "rename":
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        step.final = free_name(where, _own_name(step))
        if step.made is not None:
            step.made.final = step.final
        self._changed()

    def _place_folder(self, step: PlaceStep, where: int) -> None:
        assert step.made is not None
        while not self._moved(step, where):
            there = is_there(where, step.final)
            if self._exists == "replace" and there is not None and stat.S_ISDIR(there.st_mode):
                os.rmdir(step.temp, dir_fd=self._work)
                break
            self._rename(step, where)
        self.descriptor(step.made)

    def _refuse(self, step: PlaceStep, reason: str) -> None:
        step.outcome, step.reason = Outcome.REFUSED, reason
        if step.made is not None:
            step.made.refused = f"its folder {shown(step.path)} wasn't taken"
        self._changed()

    def _discard(self, step: PlaceStep) -> None:
        if not step.temp or is_there(self._work, step.temp) is None:
            return
        if step.kind is Kind.FOLDER:
            os.rmdir(step.temp, dir_fd=self._work)
        else:
            os.unlink(step.temp, dir_fd=self._work)

    def _close(self, folder: Folder, again: bool) -> Receipt | None:
        if folder.refused:
            return None
        try:
            file = self.descriptor(folder)
            os.utime(file, ns=(folder.mtime, folder.mtime))
            os.fchmod(file, folder.mode | stat.S_IRWXU)
            if self._sync:
                sync_names(file)
        except OSError as error:
            if error.errno not in ONE_ENTRY:
                raise
            if again and isinstance(error, PermissionError):
                return None  # it has the mode that was to be set: one that keeps its owner out
            reason = f"the mode and the time of the folder can't be set: {error.strerror}"
            return Receipt(folder.sent(), folder.path(), outcome=Outcome.REFUSED, reason=reason)
        finally:
            file, folder.file = folder.file, -1
            self._touched.discard(file)
            if file >= 0:
                os.close(file)
        return None


def _own_name(step: PlaceStep) -> str:
    """What the sender calls the entry."""
    return step.path.rpartition("/")[2]
