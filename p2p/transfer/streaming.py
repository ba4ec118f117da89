"""One file of a transfer to a pipe: each chunk is written there as soon as it is verified.

What has gone into a pipe can't be taken back, so such a transfer has no second session. Functions here block until the
reader takes what is written; they run in a thread of their own.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome, ProtocolViolation
from p2p.exchange.paths import shown
from p2p.transfer.answers import Asked
from p2p.transfer.final_names import GREW
from p2p.transfer.records import (
    Buffer,
    Chunk,
    EndOfFile,
    EndOfTransfer,
    Entry,
    GaveUp,
    Have,
    Kind,
    Receipt,
    Record,
    RecordDecoder,
)
from p2p.transfer.tree import CHUNK, Tree, leaf_digest
from p2p.transfer.walking import Totals

__all__ = ["PipeReceiver"]

LOOK_MS: Final = 200
"""Milliseconds after which it is seen that nobody wants to write any more."""

_FITS: Final = select.PIPE_BUF
"""Bytes that a pipe takes without blocking when it is said to be writable (pipe(7))."""


class PipeReceiver:
    """Takes the records of a transfer of one file; see :class:`p2p.transfer.interfaces.Receiver`.

    :param asked: the one thing that was asked for: nothing else is passed on.
    :param file: the descriptor of a pipe or a file, which stays the caller's to close.
    :ivar written: bytes that went there, from where they can't be taken back.
    """

    def __init__(self, asked: Asked, file: int) -> None:
        self._asked = asked
        self._file = file
        self._decoder = RecordDecoder()
        self._entry: Entry | None = None
        self._tree = Tree()
        self._receipt: Receipt | None = None
        self._ended = False
        self._stopped = False
        self.written = 0
        self.current: str | None = None

    @property
    def done_entries(self) -> int:
        """1 when the file is complete."""
        return 0 if self._receipt is None else 1

    @property
    def done_bytes(self) -> int:
        """Bytes that were verified and written."""
        return self._tree.size

    @property
    def held(self) -> tuple[int, int]:
        """Bytes that are in memory, and descriptors that are open."""
        return self._decoder.held, 1

    def have(self) -> Have:
        """Nothing."""
        self._asked.resume(None, inside=False)
        return Have()

    def feed(self, pieces: Sequence[Buffer]) -> list[Receipt]:
        """Verify what comes, and write it.

        :raises LocalFileError: if nobody reads it any more.
        """
        before = self._ended
        try:
            for piece in pieces:
                for record in self._decoder.feed(piece):
                    self._take(record)
        except ProtocolViolation as error:
            raise ExchangeFailed(Outcome.CORRUPT, str(error)) from error
        return [self._receipt] if self._receipt is not None and self._ended and not before else []

    def finish(self, note: Callable[[Totals], None] = lambda totals: None) -> tuple[list[Receipt], Totals]:
        """Everything came and was written."""
        if not self._ended or not self._decoder.between or self._receipt is None:
            raise ExchangeFailed(Outcome.TRUNCATED, "the transfer ended before its end was sent")
        totals = Totals(1, self._tree.size, int(self._receipt.outcome is not Outcome.OK))
        note(totals)
        return [], totals

    def stop(self) -> None:
        """Have a write that waits for the reader end soon."""
        self._stopped = True

    def suspend(self) -> None:
        """Nothing is kept."""

    def abandon(self) -> None:
        """Nothing is kept."""

    def _take(self, record: Record) -> None:
        if self._ended:
            raise ProtocolViolation("a record after the end of the transfer")
        if isinstance(record, Chunk):
            self._chunk(record)
        elif isinstance(record, EndOfFile):
            self._end_of_file(record)
        elif isinstance(record, GaveUp):
            if self._receipt is not None:
                raise ProtocolViolation("more than one entry, where one file was asked for")
            self._check_given_up(record.path)
            reason = record.reason or "the sender gave it up"
            self._receipt = Receipt(record.path, "", self._tree.size, "", Outcome.TRUNCATED, reason)
        elif isinstance(record, EndOfTransfer):
            if record.entries != self.done_entries:
                raise ProtocolViolation(f"{self.done_entries} entries came, {record.entries} were announced")
            self._asked.complete()
            self._ended = True
            if record.grew and self._receipt is not None and self._receipt.outcome is Outcome.OK:
                self._receipt = replace(self._receipt, note=GREW)
        else:
            self._begin(record)

    def _begin(self, entry: Entry) -> None:
        if self._entry is not None or self._receipt is not None:
            raise ProtocolViolation("more than one entry, where one file was asked for")
        self._asked.begins(entry)
        if entry.kind is not Kind.FILE:
            raise ExchangeFailed(Outcome.REFUSED, f"{shown(entry.path)} is a {entry.kind}; only a file goes to a pipe")
        if entry.offset:
            raise ProtocolViolation(f"{shown(entry.path)} begins in the middle, but nothing of it is here")
        self._entry = entry
        self.current = entry.path

    def _check_given_up(self, path: str) -> None:
        if self._entry is None:
            self._asked.given_up(path)
        elif path != self._entry.path:
            raise ProtocolViolation(f"the file {shown(self._entry.path)} has no end")

    def _chunk(self, chunk: Chunk) -> None:
        entry, tree = self._entry, self._tree
        if entry is None or self._receipt is not None:
            raise ProtocolViolation("a chunk that belongs to no file")
        if leaf_digest(chunk.pieces) != chunk.leaf:
            number = tree.size // CHUNK
            raise ExchangeFailed(Outcome.CORRUPT, f"chunk {number} of {shown(entry.path)} isn't what was sent")
        if tree.size % CHUNK or (entry.size is not None and tree.size + chunk.size > entry.size):
            raise ExchangeFailed(Outcome.CORRUPT, f"{shown(entry.path)} is longer than was announced")
        for piece in chunk.pieces:
            self._write(piece)
        tree.add(chunk.leaf, chunk.size)

    def _end_of_file(self, end: EndOfFile) -> None:
        entry, tree = self._entry, self._tree
        if entry is None or self._receipt is not None:
            raise ProtocolViolation("the end of a file that hasn't begun")
        if (end.root, end.size) != (tree.root(), tree.size) or entry.size not in (None, tree.size):
            raise ExchangeFailed(Outcome.CORRUPT, f"{shown(entry.path)} as a whole isn't what was sent")
        self._receipt = Receipt(entry.path, entry.path, tree.size, end.root.hex())

    def _write(self, piece: memoryview) -> None:
        poll = select.poll()
        poll.register(self._file, select.POLLOUT)
        while piece:
            if self._stopped:
                raise ExchangeFailed(Outcome.RESET, "the transfer was stopped")
            try:
                # Where the descriptor isn't a pipe (a file, a terminal), a short write is no loss either.
                if poll.poll(LOOK_MS):
                    count = os.write(self._file, piece[:_FITS])
                    self.written += count
                    piece = piece[count:]
            except BlockingIOError:
                continue  # somebody else writes into the same pipe
            except OSError as error:
                raise LocalFileError(f"what came can't be written to the output: {error.strerror}") from error
