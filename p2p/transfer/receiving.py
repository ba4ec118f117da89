"""The receiving side of a transfer: from records to files, folders and links in a folder of this machine.

Each chunk is verified before it is written, and nothing has its final name before it is whole. What the other side says
is never taken on trust: neither paths nor sizes nor the order of records.
All functions here block; they run in threads, one at a time.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal

from p2p.base.errors import ExchangeFailed, Outcome, ProtocolViolation
from p2p.base.values import Exists
from p2p.exchange.inbox import refusal
from p2p.exchange.paths import InvalidPath, checked_path, shown, stays_inside
from p2p.exchange.rules import Bounds
from p2p.transfer.answers import Asked
from p2p.transfer.arriving import ArrivingFile, is_small
from p2p.transfer.final_names import FAR_AWAY, GREW, ONE_ENTRY, Folder, PlaceStep, Receipt
from p2p.transfer.receiver_memory import ReceiverMemory
from p2p.transfer.records import (
    FAR_TIME,
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
from p2p.transfer.walking import Totals

__all__ = ["ReceivingEngine"]


class ReceivingEngine:
    """Takes the records of one transfer; see :class:`p2p.transfer.interfaces.Receiver`.

    :param folder: where the transfer goes.
    :param exists: what to do with an entry at the top whose name is taken.
    :param links: whether links are made or left out.
    :param bounds: which entries are taken; the others are refused, each by its receipt. None for any.
    :param room: is called before so many more bytes of a file or a link are written, and so many entries are made;
        raises ``ExchangeFailed``.
    :param asked: what was asked for, if it was this side that asked: nothing else is taken.
    :param sync: whether the disk has everything before anything has its name; tests needn't.
    :ivar restarted: the path of a file that the sender begins anew although there is a part of it here.
    :raises ExchangeFailed: with ``reset``, if another engine works on the same transfer; with ``refused``, if the disk
        doesn't take it.
    """

    def __init__(
        self,
        folder: Path,
        transfer_id: str,
        *,
        exists: Exists = "rename",
        links: Literal["keep", "refuse"] = "keep",
        bounds: Bounds | None = None,
        room: Callable[[int, int], None] = lambda size, entries: None,
        asked: Asked | None = None,
        sync: bool = True,
    ) -> None:
        self._links = links
        self._bounds = bounds
        self._room = room
        self._asked = asked
        self._sync = sync
        self._decoder = RecordDecoder()
        self._arriving: ArrivingFile | None = None
        self._ended = False
        self._broken = False
        self._closed = False
        self.current: str | None = None
        self.restarted: list[str] = []
        self._partial: str | None = None
        self._memory = ReceiverMemory(folder, transfer_id, exists, sync)

    @property
    def done_entries(self) -> int:
        """Entries dealt with, those of earlier sessions among them."""
        return self._memory.counts[0]

    @property
    def done_bytes(self) -> int:
        """Verified bytes, those of earlier sessions and of the file under way among them."""
        arriving = self._arriving
        return self._memory.counts[1] + (0 if arriving is None else arriving.tree.size)

    @property
    def held(self) -> tuple[int, int]:
        """Bytes that are in memory, and descriptors that are open."""
        return (0, 0) if self._closed else (self._decoder.held, self._memory.descriptors + 2)

    # -- its life ---------------------------------------------------------------------------------------------

    def have(self) -> Have:
        """Bring to its end what a crash has interrupted, and tell how far the transfer has come.

        :raises ExchangeFailed: with ``refused``, if the disk doesn't take it, or what it says makes no sense.
        """
        try:
            have = self._memory.load()
            if self._asked is not None:
                self._asked.resume(have.last, inside=bool(self._memory.state.stack))
        except OSError as error:
            raise self._failed(error) from error
        except ExchangeFailed:
            self._broken = True  # what can't be read isn't written over
            raise
        self._partial = have.partial
        return have

    def feed(self, pieces: Sequence[Buffer]) -> list[Receipt]:
        """Take bytes of the body; returns what became of the entries that were finished by this."""
        try:
            for piece in pieces:
                for record in self._decoder.feed(piece):
                    if not isinstance(record, Chunk | EndOfFile) and record.grew:
                        self._memory.note(GREW)
                    self._memory.make_room(record.size if isinstance(record, Chunk) else 0)
                    self._take(record)
        except ProtocolViolation as error:
            raise ExchangeFailed(Outcome.CORRUPT, str(error)) from error
        except OSError as error:
            raise self._failed(error) from error
        return self._memory.receipts()

    def finish(self, note: Callable[[Totals], None] = lambda totals: None) -> tuple[list[Receipt], Totals]:
        """Everything came: the last receipts, and how much it was."""
        if not self._ended or not self._decoder.between:
            raise ExchangeFailed(Outcome.TRUNCATED, "the transfer ended before its end was sent")
        try:
            self._memory.flush()
            totals = self._memory.totals()
            note(totals)  # everything is in its place; what remembers the transfer here goes only then
            self._memory.remove()
            self._close()
        except OSError as error:
            raise self._failed(error) from error
        return self._memory.receipts(), totals

    def stop(self) -> None:
        """Have a :meth:`have` that hashes what is here end soon; any thread may do it, at any time."""
        self._memory.stopped = True

    def suspend(self) -> None:
        """Let go of everything; what was verified stays for the next session."""
        if self._closed:
            return
        try:
            if not self._broken:
                with suppress(OSError):  # a full or broken disk: what has no name yet goes again
                    self._memory.keep(None if self._arriving is None else self._arriving.part)
        finally:
            self._close()

    def abandon(self) -> None:
        """Let go of everything and remove what isn't finished."""
        if self._closed:
            return
        try:
            self._memory.remove()
        except OSError as error:
            raise refusal(error) from error
        finally:
            self._close()

    def _failed(self, error: OSError) -> ExchangeFailed:
        """The disk doesn't take it. Nothing more is written: when a disk has lost something, it says so only once."""
        self._broken = True
        return refusal(error)

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        arriving, self._arriving = self._arriving, None
        with ExitStack() as closing:
            closing.callback(self._memory.close)
            if arriving is not None:
                closing.callback(arriving.let_go)

    # -- records ----------------------------------------------------------------------------------------------

    def _take(self, record: Record) -> None:
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
            self._entry(record)
        else:
            self._end(record)

    def _entry(self, entry: Entry) -> None:
        if self._asked is not None:
            self._asked.begins(entry)
        self.current = entry.path
        reason = ""
        folder: Folder | None = None
        parts: Sequence[str] = ()
        try:
            parts = checked_path(entry.path)
        except InvalidPath as error:
            reason = str(error)
        else:
            folder = self._folder_of(entry.path, parts[:-1])
            reason = self._why_not(entry, folder)
        if entry.kind is Kind.FILE:
            self._begin_file(entry, folder, reason)
            return
        if entry.kind is Kind.LINK:
            reason = reason or self._why_no_link(parts, entry.target or "")
        place = _place(entry, folder, reason)
        if entry.kind is Kind.LINK and not reason:
            self._make_link(place, entry)
        elif entry.kind is Kind.FOLDER and parts:
            place.made = Folder(folder, parts[-1], parts[-1], entry.mode & 0o777, entry.mtime)
            self._make_folder(place, place.made)
        self._memory.add(place)

    def _why_not(self, entry: Entry, folder: Folder | None) -> str:
        """Why an entry isn't taken; empty if it is."""
        if folder is not None and folder.refused:
            return folder.refused
        if self._bounds is None:
            return ""
        size = (entry.size or 0) if entry.kind is Kind.FILE else None
        reason = self._bounds.why_not(self._memory.arrived, entry.path, size)
        if reason and entry.offset:  # a part of it was taken before: without that, the rest can't be verified
            raise ExchangeFailed(Outcome.REFUSED, reason)
        return reason

    def _why_no_link(self, parts: Sequence[str], target: str) -> str:
        """Why a link isn't taken; empty if it is."""
        if self._links == "refuse":
            return "it is a link, and links aren't taken here"
        if not stays_inside(parts, target):
            return f"it is a link to {shown(target)}, which is outside of what is sent"
        if self._asked is not None and len(parts) == 1 and not self._asked.reaches(target):
            return f"it is a link to {shown(target)}, which wasn't asked for"
        return f"it is a link to {shown(target)}, which is the name of nothing" if "\0" in target else ""

    def _make_folder(self, place: PlaceStep, made: Folder) -> None:
        """Make a folder, or have all that is in it left out as well."""
        if place.reason:
            made.refused = f"its folder {shown(place.path)} wasn't taken"
        else:
            self._room(0, 1)
            place.temp = self._memory.next_temp()
            os.mkdir(place.temp, 0o700, dir_fd=self._memory.work)
        self._memory.state.stack.append(made)

    def _make_link(self, place: PlaceStep, entry: Entry) -> None:
        self._room(len(os.fsencode(entry.target or "")), 1)
        temp, work = self._memory.next_temp(), self._memory.work
        try:
            os.symlink(entry.target or "", temp, dir_fd=work)
            place.temp = temp
            os.utime(temp, ns=(entry.mtime, entry.mtime), dir_fd=work, follow_symlinks=False)
        except OSError as error:
            if error.errno not in ONE_ENTRY:
                raise
            place.outcome, place.reason = Outcome.REFUSED, f"the receiver can't make the link: {error.strerror}"

    def _folder_of(self, path: str, parents: Sequence[str]) -> Folder | None:
        """The folder that an entry goes to; those that it isn't in have ended."""
        stack = self._memory.state.stack
        common = 0
        while common < min(len(stack), len(parents)) and stack[common].name == parents[common]:
            common += 1
        if common < len(parents):
            raise ProtocolViolation(f"{shown(path)} comes without its folder")
        self._memory.leave(common)
        return stack[-1] if stack else None

    def _begin_file(self, entry: Entry, folder: Folder | None, reason: str) -> None:
        memory, small = self._memory, is_small(entry)
        if not small:
            memory.flush()  # what is remembered of a large file comes after all that came before it
        partial = memory.state.partial
        if not entry.offset:
            if entry.path == self._partial:
                self.restarted.append(entry.path)
            memory.forget_part()  # it begins anew, or the sender has passed it over
        elif partial is None or partial.path != entry.path or reason:
            raise ProtocolViolation(f"{shown(entry.path)} begins in the middle, but nothing of it is here")
        elif (partial.size, partial.mtime) != (entry.size, entry.mtime):
            memory.forget_part()
            why = f"{shown(entry.path)} has changed since a part of it came; it begins anew"
            raise ExchangeFailed(Outcome.RESET, why)
        if not (reason or entry.offset):
            self._room(0, 1)
        arriving = self._arriving = ArrivingFile(entry, folder, reason)
        if small and not reason:
            arriving.begin_small(memory.work, memory.next_temp())
        elif not reason:
            arriving.begin_large(memory.work, memory.begin_part(entry))

    def _chunk(self, chunk: Chunk) -> None:
        arriving = self._arriving
        if arriving is None:
            raise ProtocolViolation("a chunk that belongs to no file")
        arriving.check(chunk)
        if not arriving.reason:
            self._check_bounds(arriving.entry, arriving.tree.size + chunk.size)
            self._room(chunk.size, 0)
        try:
            due = arriving.take(chunk)
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            self._too_large(arriving)
            due = arriving.take(chunk)
        if due and arriving.part is not None and self._sync:
            self._memory.sync_part(arriving.part)

    def _too_large(self, arriving: ArrivingFile) -> None:
        """The file system has no files of that size; others get through."""
        temp, large = arriving.temp, arriving.part is not None
        arriving.refuse("the receiver's file system has no files that large")
        if large:
            self._memory.forget_part()
        else:
            os.unlink(temp, dir_fd=self._memory.work)

    def _check_bounds(self, entry: Entry, size: int) -> None:
        """See that a file whose size nobody knew may have so many bytes."""
        if self._bounds is None or entry.size is not None:
            return
        if reason := self._bounds.why_no_more(self._memory.arrived, entry.path, size):
            raise ExchangeFailed(Outcome.REFUSED, reason)

    def _end_of_file(self, end: EndOfFile) -> None:
        arriving = self._arriving
        if arriving is None:
            raise ProtocolViolation("the end of a file that hasn't begun")
        if not arriving.is_whole(end):
            raise self._not_whole(arriving)
        place = _place(arriving.entry, arriving.folder, arriving.reason)
        place.size, place.root = end.size, end.root.hex()
        if not arriving.reason:
            place.temp = arriving.temp
            place.safe = 0 if arriving.part is None else arriving.part.safe
            place.file, note = arriving.detach()
            place.notes += [note] if note else []
        self._end_arriving(arriving, place)

    def _not_whole(self, arriving: ArrivingFile) -> ExchangeFailed:
        """What is here of a file leads to no good end: it begins anew, at once if part of it is of another session."""
        self._arriving = None
        arriving.let_go()
        self._memory.forget_part()
        reason = f"{shown(arriving.entry.path)} as a whole isn't what was sent"
        if arriving.entry.offset:
            return ExchangeFailed(Outcome.RESET, f"{reason}, since a part of it came earlier; it begins anew")
        return ExchangeFailed(Outcome.CORRUPT, reason)

    def _gave_up(self, record: GaveUp) -> None:
        arriving = self._arriving
        self.current = record.path
        reason = record.reason or "the sender gave it up"
        if arriving is None:
            if self._asked is not None:
                self._asked.given_up(record.path)
            place = PlaceStep(record.path, Kind.FILE, "", None, "", outcome=Outcome.REFUSED, reason=reason)
            self._memory.add(place)
        elif arriving.entry.path != record.path:
            raise ProtocolViolation(f"the file {shown(arriving.entry.path)} has no end")
        else:
            place = _place(arriving.entry, arriving.folder, reason)
            place.outcome, place.size = Outcome.TRUNCATED, arriving.tree.size
            place.temp = arriving.temp
            self._end_arriving(arriving, place)

    def _end_arriving(self, arriving: ArrivingFile, place: PlaceStep) -> None:
        """The file under way has come to an end; it waits for its place, or for being removed."""
        if arriving.part is not None:
            self._memory.end_part()
        self._arriving = None
        self._memory.add(place)
        arriving.let_go()

    def _end(self, end: EndOfTransfer) -> None:
        self._memory.leave(0)
        if self._bounds is not None and (reason := self._bounds.why_not_all(self._memory.arrived)):
            raise ExchangeFailed(Outcome.CORRUPT, reason)
        if end.entries != self.done_entries:
            raise ExchangeFailed(Outcome.CORRUPT, f"{self.done_entries} entries came, {end.entries} were announced")
        if self._asked is not None:
            self._asked.complete()
        self._ended = True


def _place(entry: Entry, folder: Folder | None, reason: str) -> PlaceStep:
    own = entry.path.rpartition("/")[2]
    outcome = Outcome.REFUSED if reason else Outcome.OK
    notes = [FAR_AWAY] if abs(entry.mtime) == FAR_TIME else []
    return PlaceStep(entry.path, entry.kind, "", folder, own, outcome=outcome, reason=reason, notes=notes)
