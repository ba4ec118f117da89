"""What a transfer has brought and what still waits for its place: the memory of a receiver, on disk and off.

What is complete gets its name in groups: the files of a group are synced, what is about to be done is written down, and
then it is done, so that it can be done again after a crash at any moment.
All functions here block; they run in threads.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.base.values import Exists
from p2p.exchange.inbox import refusal
from p2p.exchange.rules import Arrived
from p2p.transfer.final_names import FOLDER_FLAGS, Close, Placer, PlaceStep, Receipt, Step
from p2p.transfer.partial import PartialFile, begin_sync
from p2p.transfer.records import Entry, Have
from p2p.transfer.tree import CHUNK
from p2p.transfer.walking import Totals
from p2p.transfer.work_folder import PartialEntry, WorkFolder, WorkState

__all__ = ["ReceiverMemory"]

GROUP_BYTES: Final = CHUNK
"""Bytes of small files that are moved to their places together: with them no more than one chunk goes again after a
crash."""

GROUP_ENTRIES: Final = 256
"""Entries that are moved to their places together."""


class ReceiverMemory:
    """The work folder of a transfer, and the steps that lead out of it.

    :param folder: where the transfer goes.
    :ivar state: what is remembered.
    :ivar work: descriptor of the work folder.
    :ivar counts: entries and bytes dealt with; replaced as one, since others look at it from their threads.
    :ivar arrived: what counts for the bounds of the transfer.
    :ivar stopped: set by others to have :meth:`load` end soon.
    :raises ExchangeFailed: with ``reset``, if another engine works on the same transfer; with ``refused``, if the disk
        doesn't take it.
    """

    def __init__(self, folder: Path, transfer_id: str, exists: Exists, sync: bool) -> None:
        self.state = WorkState()
        self.counts = (0, 0)
        self.arrived = Arrived()
        self.stopped = False
        self._sync = sync
        self._steps: list[Step] = []
        self._bytes = 0
        self._receipts: list[Receipt] = []
        self._spent: list[str] = []
        try:
            self._root = os.open(folder, FOLDER_FLAGS & ~os.O_NOFOLLOW)
        except OSError as error:
            raise refusal(error) from error
        try:
            self._folder = WorkFolder(self._root, transfer_id, sync)
        except BaseException as error:
            os.close(self._root)
            if isinstance(error, OSError):
                raise refusal(error) from error
            raise
        self.work = self._folder.file
        self._placer = Placer(self._root, self.work, exists, sync, self.save)

    @property
    def descriptors(self) -> int:
        """Those that are open: its two folders, and those that still get entries."""
        return 2 + len(self.state.stack) + len(self._steps)

    # -- from session to session ------------------------------------------------------------------------------

    def load(self) -> Have:
        """Bring to its end what a crash has interrupted, and tell how far the transfer has come.

        :raises ExchangeFailed: with ``refused``, if what was written down makes no sense; with ``reset``, if it was
            stopped.
        """
        self.state = state = self._folder.load()
        self._receipts, state.owed = state.owed, []
        if state.steps:
            self._settle(self._placer.run(state.steps, again=True))
        self._count()
        partial = state.partial
        self._folder.clear(() if partial is None else partial.names)
        offset = 0
        if partial is not None:
            part = PartialFile(self.work, partial.temp, partial.size)
            try:
                if not part.recover(partial.marks, self._going_on):
                    self.sync_part(part)
                    self.save()
                offset = part.tree.size
            finally:
                part.close()
        known = partial.path if partial is not None and offset else None
        return Have(state.last, known, offset, state.entries, state.bytes)

    def keep(self, part: PartialFile | None) -> None:
        """Write down what the next session is to know.

        :param part: of the file under way, if that is a large one.
        """
        self.flush()
        state = self.state
        if part is not None and state.partial is not None:
            self.sync_part(part)
        elif not (state.entries or state.partial or state.steps):
            self._folder.remove()  # nothing came: nothing is left
            return
        state.owed = self._receipts
        self.save()

    def save(self) -> None:
        """Write down what is remembered."""
        self._folder.save(self.state)

    def remove(self) -> None:
        """Remove what is in the work folder, and the folder."""
        self._folder.remove()

    def close(self) -> None:
        """Close what is open, all of it even if something fails."""
        folders = [*self.state.stack]
        with ExitStack() as closing:
            closing.callback(os.close, self._root)
            closing.callback(self._folder.close)
            for step in (*self.state.steps, *self._steps):
                if isinstance(step, Close):
                    folders.append(step.folder)
                    continue
                if step.made is not None:
                    folders.append(step.made)
                if step.file >= 0:
                    closing.callback(os.close, step.file)
                    step.file = -1
            for folder in folders:
                if folder.file >= 0:
                    closing.callback(os.close, folder.file)
                    folder.file = -1

    # -- the file under way -----------------------------------------------------------------------------------

    def next_temp(self) -> str:
        """A name in the work folder that nothing has."""
        self.state.next += 1
        return f"{self.state.next}"

    def begin_part(self, entry: Entry) -> PartialEntry:
        """Write down that there will be a part of a file, if there is none already."""
        if self.state.partial is None:
            self.state.partial = PartialEntry(self.next_temp(), entry.path, entry.mtime, entry.size)
            self.save()
        return self.state.partial

    def sync_part(self, part: PartialFile) -> None:
        """Bring the part of a file to the disk, and remember what it is like."""
        assert self.state.partial is not None
        self.state.partial.marks = part.sync()

    def end_part(self) -> None:
        """The file under way is no part any more; what is on disk still says so, until the steps are written down."""
        partial, self.state.partial = self.state.partial, None
        assert partial is not None
        self._spent.append(partial.names[1])

    def forget_part(self) -> None:
        """Remove the part of a file, if there is one: it begins anew."""
        partial, self.state.partial = self.state.partial, None
        if partial is not None:
            for name in partial.names:
                os.unlink(name, dir_fd=self.work)

    # -- groups -----------------------------------------------------------------------------------------------

    def add(self, place: PlaceStep) -> None:
        """An entry is complete."""
        size = 0 if place.reason else place.size
        self._steps.append(place)
        self._bytes += size
        self.counts = (self.counts[0] + 1, self.counts[1] + size)
        self.arrived.add(place.path, size, taken=not place.reason)

    def note(self, text: str) -> None:
        """Something is to be told of the entry that was added last, if it still waits for its place."""
        if self._steps and isinstance(self._steps[-1], PlaceStep):
            self._steps[-1].notes.append(text)

    def leave(self, depth: int) -> None:
        """Of the folders that still get entries only so many do from now on."""
        stack = self.state.stack
        while len(stack) > depth:
            self._steps.append(Close(stack.pop()))

    def make_room(self, size: int) -> None:
        """Give what is complete its place, if with so many bytes more the group would be too large."""
        if (size and self._bytes + size > GROUP_BYTES) or len(self._steps) >= GROUP_ENTRIES:
            self.flush()

    def flush(self) -> None:
        """Give all that is complete its place."""
        if not self._steps:
            return
        files = [step for step in self._steps if isinstance(step, PlaceStep) and step.file >= 0]
        if self._sync:
            for place in files:
                begin_sync(place.file)
        for place in files:
            self._seal(place)
        state = self.state
        state.steps, self._steps, self._bytes = self._steps, [], 0
        # First the names in the work folder, so that what isn't there any more has certainly been moved; then that the
        # steps are about to be done, or else they could be done while nobody knew of it after a power cut.
        self._sync_names()
        self.save()
        self._sync_names()
        self._settle(self._placer.run(state.steps))

    def totals(self) -> Totals:
        """How much has its place, or was refused."""
        return Totals(self.state.entries, self.state.bytes, self.state.refused)

    def receipts(self) -> list[Receipt]:
        """What became of entries and wasn't told yet."""
        receipts, self._receipts = self._receipts, []
        return receipts

    def _seal(self, place: PlaceStep) -> None:
        """Bring a file to the disk."""
        if self._sync:
            try:
                os.fsync(place.file)
            except OSError:
                os.ftruncate(place.file, place.safe)  # the rest may be lost, and the system wouldn't say so again
                raise
        file, place.file = place.file, -1
        os.close(file)

    def _settle(self, receipts: list[Receipt]) -> None:
        """The steps that were written down are done: count what became of them."""
        state = self.state
        for place in state.steps:
            if isinstance(place, PlaceStep):
                state.last = place.path
                state.entries += 1
                state.refused += bool(place.reason)
                size = 0 if place.reason else place.size
                state.bytes += size
                state.arrived.add(place.path, size, taken=not place.reason)
        state.steps = []
        self._count()
        self._receipts += receipts
        self.save()
        spent, self._spent = self._spent, []
        for name in spent:
            os.unlink(name, dir_fd=self.work)

    def _count(self) -> None:
        """Nothing waits for its place: what is remembered is all."""
        state = self.state
        self.counts = (state.entries, state.bytes)
        self.arrived = replace(state.arrived, by_type=dict(state.arrived.by_type))

    def _going_on(self) -> None:
        if self.stopped:
            raise ExchangeFailed(Outcome.RESET, "the transfer was stopped")

    def _sync_names(self) -> None:
        if self._sync:
            self._folder.sync()
