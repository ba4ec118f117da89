"""The receiving side of a transfer: from records to files, folders and links in a folder of this machine.

Each chunk is verified before it is written. What is complete is moved to its place in groups: the files of a group are
synced, what is about to be done is written down, and then it is done, so that it can be done again after a crash at any
moment. All functions here block; they run in threads, one at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from p2p.content.inbox import refusal
from p2p.errors import ExchangeFailed, Outcome, ProtocolViolation
from p2p.transfer.partial import PartialFile, write_all
from p2p.transfer.paths import InvalidPath, checked_path, shown, stays_inside
from p2p.transfer.placing import FOLDER_FLAGS, Close, Exists, Folder, Place, Placer, Receipt
from p2p.transfer.records import (
    Buffer,
    Chunk,
    EndOfFile,
    EndOfTransfer,
    Entry,
    GaveUp,
    Have,
    Kind,
    Record,
    RecordDecoder,
)
from p2p.transfer.tree import CHUNK, Tree, leaf_digest
from p2p.transfer.walking import Totals
from p2p.transfer.work_folder import PartialEntry, State, WorkFolder, boot_id

__all__ = ["ReceivingEngine"]

GROUP_BYTES: Final = CHUNK
"""Bytes of small files that are moved to their places together: with them no more than one chunk goes again after a
crash."""

GROUP_ENTRIES: Final = 256
"""Entries that are moved to their places together."""

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class _Arriving:
    """A file whose chunks come now.

    :ivar temp: its name in the work folder; empty if it isn't taken, which ``reason`` says then.
    :ivar file: its descriptor, -1 if there is none or ``part`` has it.
    :ivar part: of a large file, what goes on after a crash.
    """

    def __init__(self, entry: Entry, folder: Folder | None) -> None:
        self.entry = entry
        self.folder = folder
        self.temp = ""
        self.reason = ""
        self.file = -1
        self.part: PartialFile | None = None
        self.small = Tree()

    @property
    def tree(self) -> Tree:
        """The tree over what has come."""
        return self.small if self.part is None else self.part.tree

    def let_go(self) -> None:
        """Close what is open; it stays on disk."""
        if self.part is not None:
            self.part.close()
            self.part = None
        if self.file >= 0:
            os.close(self.file)
            self.file = -1


class ReceivingEngine:
    """Takes the records of one transfer; see :class:`p2p.transfer.interfaces.Receiver`.

    :param folder: where the transfer goes.
    :param exists: what to do with an entry at the top whose name is taken.
    :param links: whether links are made or left out.
    :param room: is called before so many more bytes are written; raises ``ExchangeFailed``.
    :param sync: whether the disk has everything before anything has its name; tests needn't.
    :raises ExchangeFailed: with ``refused``, if another engine works on the same transfer, or the disk doesn't take it.
    """

    def __init__(
        self,
        folder: Path,
        transfer_id: str,
        *,
        exists: Exists = "rename",
        links: Literal["keep", "refuse"] = "keep",
        room: Callable[[int], None] = lambda size: None,
        sync: bool = True,
    ) -> None:
        self._links = links
        self._room = room
        self._sync = sync
        self._decoder = RecordDecoder()
        self._state = State()
        self._steps: list[Place | Close] = []
        self._group_bytes = 0
        self._arriving: _Arriving | None = None
        self._ended = False
        self._closed = False
        self.current: str | None = None
        try:
            self._root = os.open(folder, FOLDER_FLAGS & ~os.O_NOFOLLOW)
        except OSError as error:
            raise refusal(error) from error
        try:
            self._work = WorkFolder(self._root, transfer_id, sync)
        except OSError as error:
            os.close(self._root)
            raise refusal(error) from error
        except ExchangeFailed:
            os.close(self._root)
            raise
        self._placer = Placer(self._root, self._work.file, exists, sync, self._save)

    @property
    def done_entries(self) -> int:
        """Entries dealt with, those of earlier sessions among them."""
        return self._state.entries + sum(isinstance(step, Place) for step in self._steps)

    @property
    def done_bytes(self) -> int:
        """Verified bytes, those of earlier sessions and of the file under way among them."""
        arriving = self._arriving
        return self._state.bytes + self._group_bytes + (0 if arriving is None else arriving.tree.size)

    # -- its life ---------------------------------------------------------------------------------------------

    def have(self) -> Have:
        """Bring to its end what a crash has interrupted, and tell how far the transfer has come."""
        try:
            self._state = state = self._work.load()
            if state.steps:
                self._settle(self._placer.run(state.steps))
            partial = state.partial
            self._work.clear(() if partial is None else (partial.temp, f"{partial.temp}.leaves"))
            offset = 0
            if partial is not None:
                part = PartialFile(self._work.file, partial.temp, partial.size)
                try:
                    part.recover(None if state.boot == boot_id() else partial.synced)
                    offset = part.tree.size
                finally:
                    part.close()
            state.boot = boot_id()
        except OSError as error:
            raise refusal(error) from error
        known = None if partial is None else partial.path
        return Have(state.last, known if offset else None, offset, state.entries, state.bytes)

    def feed(self, pieces: Sequence[Buffer]) -> list[Receipt]:
        """Take bytes of the body; returns what became of the entries that were finished by this."""
        receipts: list[Receipt] = []
        try:
            for piece in pieces:
                for record in self._decoder.feed(piece):
                    size = record.size if isinstance(record, Chunk) else 0
                    if (size and self._group_bytes + size > GROUP_BYTES) or len(self._steps) >= GROUP_ENTRIES:
                        receipts += self._flush()
                    self._take(record, receipts)
        except ProtocolViolation as error:
            raise ExchangeFailed(Outcome.CORRUPT, str(error)) from error
        except OSError as error:
            raise refusal(error) from error
        return receipts

    def finish(self, note: Callable[[Totals], None] = lambda totals: None) -> tuple[list[Receipt], Totals]:
        """Everything came: the last receipts, and how much it was."""
        if not self._ended or not self._decoder.between:
            raise ExchangeFailed(Outcome.TRUNCATED, "the transfer ended before its end was sent")
        try:
            receipts = self._flush()
            state = self._state
            totals = Totals(state.entries, state.bytes, state.refused)
            note(totals)  # everything is in its place; what remembers the transfer here goes only then
            self._work.remove()
            self._close()
        except OSError as error:
            raise refusal(error) from error
        return receipts, totals

    def stop(self) -> None:
        """Nothing here waits for anybody."""

    def suspend(self) -> None:
        """Let go of everything; what was verified stays for the next session."""
        with suppress(OSError):  # a full or broken disk has been told of already; what has no name yet goes again
            self._flush()
            arriving = self._arriving
            if arriving is not None and arriving.part is not None and self._state.partial is not None:
                self._state.partial.synced = arriving.part.sync()
                self._save()
            elif not (self._state.entries or self._state.partial or self._state.steps):
                self._work.remove()  # nothing came: nothing is left
        self._close()

    def abandon(self) -> None:
        """Let go of everything and remove what isn't finished."""
        try:
            if self._arriving is not None:
                self._arriving.let_go()
            self._work.remove()
        except OSError as error:
            raise refusal(error) from error
        finally:
            self._close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._arriving is not None:
            self._arriving.let_go()
            self._arriving = None
        steps = [*self._state.steps, *self._steps]
        folders = [*self._state.stack]
        for step in steps:
            if isinstance(step, Close):
                folders.append(step.folder)
            else:
                folders += [] if step.made is None else [step.made]
                if step.file >= 0:
                    os.close(step.file)
                    step.file = -1
        for folder in folders:
            if folder.file >= 0:
                os.close(folder.file)
                folder.file = -1
        self._steps = []
        self._work.close()
        os.close(self._root)

    # -- records ----------------------------------------------------------------------------------------------

    def _take(self, record: Record, receipts: list[Receipt]) -> None:
        if self._ended:
            raise ProtocolViolation("a record after the end of the transfer")
        if isinstance(record, Chunk):
            self._chunk(record)
        elif isinstance(record, EndOfFile):
            self._end_of_file(record)
        elif isinstance(record, GaveUp):
            self._gave_up(record)
        elif self._arriving is not None:
            raise ProtocolViolation(f"the file {shown(self._arriving.entry.path)} has no end")
        elif isinstance(record, Entry):
            self._entry(record, receipts)
        else:
            self._end(record)

    def _entry(self, entry: Entry, receipts: list[Receipt]) -> None:
        self.current = entry.path
        reason = ""
        folder: Folder | None = None
        try:
            parts = checked_path(entry.path)
            folder = self._folder_of(entry.path, parts[:-1])
        except InvalidPath as error:
            parts, reason = (), str(error)
        if entry.kind is Kind.FILE:
            if self._steps and not (entry.size is not None and entry.size <= CHUNK):
                receipts += self._flush()  # what is remembered of a large file comes after all that came before it
            self._begin_file(entry, folder, reason)
            return
        if entry.kind is Kind.LINK and not reason:
            if self._links == "refuse":
                reason = "it is a link, and links aren't taken here"
            elif not stays_inside(parts, entry.target or ""):
                reason = f"it is a link to {shown(entry.target or '')}, which is outside of what is sent"
        place = self._place(entry, folder, reason)
        if entry.kind is Kind.FOLDER:
            if parts:
                place.made = Folder(folder, parts[-1], parts[-1], entry.mode & 0o777, entry.mtime, reason)
                self._state.stack.append(place.made)
            if not reason:
                place.temp = self._next_temp()
                os.mkdir(place.temp, 0o700, dir_fd=self._work.file)
        elif not reason:
            place.temp = self._next_temp()
            os.symlink(entry.target or "", place.temp, dir_fd=self._work.file)
            os.utime(place.temp, ns=(entry.mtime, entry.mtime), dir_fd=self._work.file, follow_symlinks=False)
        self._steps.append(place)

    def _place(self, entry: Entry, folder: Folder | None, reason: str) -> Place:
        own = entry.path.rpartition("/")[2]
        outcome = Outcome.REFUSED if reason else Outcome.OK
        return Place(entry.path, entry.kind, "", folder, own, outcome=outcome, reason=reason)

    def _folder_of(self, path: str, parents: Sequence[str]) -> Folder | None:
        """The folder that an entry goes to; those that it isn't in have ended."""
        stack = self._state.stack
        common = 0
        while common < min(len(stack), len(parents)) and stack[common].name == parents[common]:
            common += 1
        if common < len(parents):
            raise ProtocolViolation(f"{shown(path)} comes without its folder")
        self._leave(common)
        return stack[-1] if stack else None

    def _leave(self, depth: int) -> None:
        stack = self._state.stack
        while len(stack) > depth:
            self._steps.append(Close(stack.pop()))

    def _begin_file(self, entry: Entry, folder: Folder | None, reason: str) -> None:
        arriving = self._arriving = _Arriving(entry, folder)
        arriving.reason = reason or (folder.refused if folder is not None else "")
        partial = self._state.partial
        known = partial is not None and partial.path == entry.path
        if entry.offset and not known:
            raise ProtocolViolation(f"{shown(entry.path)} begins in the middle, but nothing of it is here")
        if partial is not None and not (known and entry.offset):
            self._state.partial = None  # it begins anew, or the sender has passed it over
            for name in (partial.temp, f"{partial.temp}.leaves"):
                os.unlink(name, dir_fd=self._work.file)
        if arriving.reason:
            return
        if entry.size is not None and entry.size <= CHUNK and not entry.offset:
            arriving.temp = self._next_temp()
            arriving.file = os.open(arriving.temp, _NEW_FILE, 0o600, dir_fd=self._work.file)
            return
        if self._state.partial is None:
            self._state.partial = PartialEntry(self._next_temp(), entry.path, entry.mtime, entry.size)
            self._save()
        arriving.temp = self._state.partial.temp
        arriving.part = PartialFile(self._work.file, arriving.temp, entry.size)
        arriving.part.recover(None)
        if entry.offset > arriving.part.tree.size or (entry.offset % CHUNK and entry.offset != entry.size):
            raise ProtocolViolation(f"{shown(entry.path)} goes on at {entry.offset}, where it can't")
        if entry.offset < arriving.part.tree.size:
            arriving.part.cut(entry.offset)

    def _chunk(self, chunk: Chunk) -> None:
        arriving = self._arriving
        if arriving is None:
            raise ProtocolViolation("a chunk that belongs to no file")
        entry, tree = arriving.entry, arriving.tree
        number = tree.size // CHUNK
        if leaf_digest(chunk.pieces) != chunk.leaf:
            raise ExchangeFailed(Outcome.CORRUPT, f"chunk {number} of {shown(entry.path)} isn't what was sent")
        if entry.size is not None and tree.size + chunk.size > entry.size:
            raise ExchangeFailed(
                Outcome.CORRUPT, f"{shown(entry.path)} is longer than the {entry.size} bytes announced"
            )
        if tree.size % CHUNK:
            raise ProtocolViolation(f"a chunk of {shown(entry.path)} after its last one")
        if arriving.reason:
            tree.add(chunk.leaf, chunk.size)  # it isn't kept, but it has to make sense
            return
        self._room(chunk.size)
        if arriving.part is not None:
            if arriving.part.append(chunk.leaf, chunk.pieces, chunk.size) and self._sync:
                assert self._state.partial is not None
                self._state.partial.synced = arriving.part.sync()
                self._save()
            return
        tree.add(chunk.leaf, chunk.size)
        write_all(arriving.file, chunk.pieces)

    def _end_of_file(self, end: EndOfFile) -> None:
        arriving, self._arriving = self._arriving, None
        if arriving is None:
            raise ProtocolViolation("the end of a file that hasn't begun")
        entry, tree = arriving.entry, arriving.tree
        root, size = tree.root(), tree.size
        whole = entry.size is None or size == entry.size
        if root != end.root or size != end.size or not whole:
            arriving.let_go()
            raise ExchangeFailed(Outcome.CORRUPT, f"{shown(entry.path)} as a whole isn't what was sent")
        place = self._place(entry, arriving.folder, arriving.reason)
        place.size, place.root = size, root.hex()
        if not arriving.reason:
            place.temp = arriving.temp
            file = arriving.file if arriving.part is None else os.dup(arriving.part.file)
            arriving.file = -1
            if arriving.part is not None:
                self._state.partial = None  # what is on disk still says so, until the steps are written down
            os.utime(file, ns=(entry.mtime, entry.mtime))
            os.fchmod(file, entry.mode & 0o777)
            place.file = file
            self._group_bytes += size
        arriving.let_go()
        self._steps.append(place)

    def _gave_up(self, record: GaveUp) -> None:
        arriving, self._arriving = self._arriving, None
        self.current = record.path
        reason = record.reason or "the sender gave it up"
        if arriving is None:
            place = Place(record.path, Kind.FILE, "", None, "", outcome=Outcome.REFUSED, reason=reason)
        else:
            place = self._place(arriving.entry, arriving.folder, reason)
            place.outcome, place.size = Outcome.TRUNCATED, arriving.tree.size
            place.temp = arriving.temp
            if arriving.part is not None:
                self._state.partial = None
            arriving.let_go()
        self._steps.append(place)

    def _end(self, end: EndOfTransfer) -> None:
        self._leave(0)
        if end.entries != self.done_entries:
            raise ExchangeFailed(Outcome.CORRUPT, f"{self.done_entries} entries came, {end.entries} were announced")
        self._ended = True

    # -- groups -----------------------------------------------------------------------------------------------

    def _flush(self) -> list[Receipt]:
        """Give all that is complete its place."""
        if not self._steps:
            return []
        places = [step for step in self._steps if isinstance(step, Place)]
        for place in places:
            if place.file >= 0:
                if self._sync:
                    os.fsync(place.file)
                os.close(place.file)
                place.file = -1
        state = self._state
        state.steps, self._steps, self._group_bytes = self._steps, [], 0
        if self._sync:
            self._work.sync()
        self._save()
        return self._settle(self._placer.run(state.steps))

    def _settle(self, receipts: list[Receipt]) -> list[Receipt]:
        """The steps that were written down are done: count what became of them."""
        state = self._state
        for place in state.steps:
            if isinstance(place, Place):
                state.last = place.path
                state.entries += 1
                state.refused += bool(place.reason)
                state.bytes += 0 if place.reason else place.size
        state.steps = []
        self._save()
        return receipts

    def _save(self) -> None:
        self._work.save(self._state)

    def _next_temp(self) -> str:
        self._state.next += 1
        return f"{self._state.next}"
