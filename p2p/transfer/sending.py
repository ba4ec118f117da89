"""The sending side of a transfer: from files, folders and streams to the records that go over a link.

An engine blocks on the disk and knows nothing of Twisted: it is called in threads, by one at a time. Each call gives as
many records as were asked for, many small files in one go; a large file is read in chunks that are still in the
processor's cache when they are hashed, and goes out without being copied.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Final, Literal

from p2p.link.pieces import Pieces
from p2p.transfer.answers import Dealt, check_have
from p2p.transfer.records import (
    Buffer,
    Entry,
    Have,
    Kind,
    encode_chunk,
    encode_end,
    encode_end_of_file,
    encode_entry,
    encode_gave_up,
)
from p2p.transfer.sender_state import SenderState, leaf_at
from p2p.transfer.tree import CHUNK, LEAF, Tree, chunks_of, leaf_digest
from p2p.transfer.walking import Found, Refusal, SourceRoot, Totals, entry_names, measure, walk, why_not

__all__ = ["SenderState", "SendingEngine", "SourceRoot", "Totals", "measure"]

_STREAM_READ: Final = 256 * 1024  # bytes: more than a pipe holds, unless it was told to
_JOIN: Final = 64 * 1024  # buffers below this size are joined, into runs of about 256 KiB
_RUN: Final = 256 * 1024
_AT_LEAST_EVERY_S: Final = 0.1  # a call comes back with what it has, if a slow disk holds many small files
_POLL_MS: Final = 200  # how long a stream is waited for at a time
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DRIP_S: Final = 5.0  # while a file is read again at its end, well below the silence that ends an exchange
_SHORTER: Final = "it became shorter while it was sent; send it again"
_CHANGED: Final = "it changed while it was sent; send it again"


class SendingEngine:
    """Turns sources into records.

    What can't be read is given up with its reason, and all else goes on.

    :param links: whether links are sent as links or given up.
    :param state: where to keep the leaves of large files; without it, a file that was sent in part begins anew.
    :param clock: seconds, never going back.
    :param wall_ns: ns since 1970, for what comes from a stream.
    :ivar names: the names at the top of the transfer.
    :ivar restarted: paths of files that begin anew although the receiver has a part of them, because they changed
        or their leaves weren't kept.
    :ivar given_up: path and reason of the last 1000 entries that were given up.
    :ivar given_up_count: how many there were.
    :ivar done_entries: how many entries were dealt with, those of earlier sessions among them.
    :ivar current: path of the entry that was dealt with last.
    :ivar ended: whether all records have been given out.
    :raises LocalFileError: if the sources have no proper names, or two of them the same.
    """

    def __init__(
        self,
        sources: Sequence[SourceRoot],
        *,
        links: Literal["keep", "refuse"] = "keep",
        state: SenderState | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.names = entry_names(sources)
        self._sources = sources
        self._links = links
        self._state = state
        self._clock = clock
        self._wall_ns = wall_ns
        self._have = Have()
        self._records: Generator[list[Buffer]] | None = None
        self._stopped = False
        self._complete = 0
        self._under_way = 0
        self._grew = False  # whether the file whose end was given out last had become longer
        self._dealt: list[Dealt] = []
        self.restarted: list[str] = []
        self.given_up: list[tuple[str, str]] = []
        self.given_up_count = 0
        self.done_entries = 0
        self.current: str | None = None
        self.ended = False

    @property
    def done_bytes(self) -> int:
        """Bytes given out, of complete files and of the one under way, those of earlier sessions among them."""
        return self._complete + self._under_way

    def measure(self) -> Totals:
        """Count what there is to send; any thread may do it while another sends.

        :raises LocalFileError: if one of the sources isn't there or can't be read.
        """
        return measure(self._sources)

    def resume(self, have: Have) -> None:
        """Go on from where a receiver is; before the first :meth:`next`.

        :raises ExchangeFailed: with ``corrupt``, if it can't be there.
        """
        check_have(have, self.names)
        assert self._records is None, "the engine has begun"
        self._have = have
        self.done_entries = have.entries
        self._complete = have.bytes

    def next(self, max_bytes: int) -> list[Buffer]:
        """The next records, about ``max_bytes`` of them and at most one chunk more; empty when all were given out.

        Also empty once it was stopped, while :attr:`ended` is false.

        :raises LocalFileError: if the state can't be kept on disk.
        """
        while not self._stopped:
            buffers = self.read(max_bytes)
            if buffers or self.ended:
                return buffers
        return []

    def read(self, max_bytes: int) -> list[Buffer]:
        """The same as :meth:`next`, but empty as well when a stream has had nothing to give for a moment."""
        if self._records is None:
            self._records = self._produce()
        buffers: list[Buffer] = []
        size = 0
        until = self._clock() + _AT_LEAST_EVERY_S
        try:
            for record in self._records:
                buffers += record
                size += sum(map(len, record))
                if size >= max_bytes or not record or self._clock() >= until:
                    break
        except BaseException:
            self._stopped = True  # there is nothing left to go on from
            raise
        return _joined(buffers)

    def dealt(self) -> list[Dealt]:
        """The entries whose ends are in what was given out since this was called last."""
        dealt, self._dealt = self._dealt, []
        return dealt

    def stop(self) -> None:
        """Have a :meth:`next` that waits for its source end soon; any thread may do it, at any time."""
        self._stopped = True

    def close(self) -> None:
        """Let go of all files; nothing more is given out. What was kept for another session stays."""
        self._stopped = True
        if self._records is not None:
            self._records.close()
        if self._state is not None:
            self._state.close()

    def _produce(self) -> Generator[list[Buffer]]:
        """The records of each entry; an empty list while a stream has nothing."""
        for found in walk(self._sources, self._have.last):
            self.current = found.path
            self._under_way = 0
            if isinstance(found, Refusal):
                yield self._give_up(found.path, found.reason)
            elif found.kind is Kind.FOLDER:
                assert found.status is not None
                mode, mtime = stat.S_IMODE(found.status.st_mode), found.status.st_mtime_ns
                self._dealt.append(Dealt(found.path, Kind.FOLDER))
                yield self._entry(Entry(found.path, Kind.FOLDER, mode, mtime))
            elif found.kind is Kind.LINK:
                yield self._link(found)
            elif found.stream is not None:
                yield from self._stream(found.path, found.stream)
            else:
                yield from self._file(found)
            self._under_way = 0
            self.done_entries += 1
        self.ended = True
        yield encode_end(self.done_entries, self._complete, grew=self._grew)

    def _entry(self, entry: Entry) -> list[Buffer]:
        grew, self._grew = self._grew, False
        return encode_entry(replace(entry, grew=grew))

    def _give_up(self, path: str, reason: str) -> list[Buffer]:
        self.given_up_count += 1
        self.given_up.append((path, reason))
        del self.given_up[:-1000]
        self._dealt.append(Dealt(path, None))
        grew, self._grew = self._grew, False
        return encode_gave_up(path, reason, grew=grew)

    def _link(self, found: Found) -> list[Buffer]:
        if self._links == "refuse":
            return self._give_up(found.path, "it is a link, and links aren't sent")
        try:
            target = os.readlink(found.name, dir_fd=found.folder)
            mtime = os.stat(found.name, dir_fd=found.folder, follow_symlinks=False).st_mtime_ns
        except OSError as error:
            return self._give_up(found.path, why_not(error))
        self._dealt.append(Dealt(found.path, Kind.LINK))
        return self._entry(Entry(found.path, Kind.LINK, 0o777, mtime, target=target))

    def _file(self, found: Found) -> Iterator[list[Buffer]]:
        try:
            # Without O_NONBLOCK a named pipe that took the file's place would hold this thread.
            file = os.open(found.name, _FILE_FLAGS, dir_fd=found.folder)
        except OSError as error:
            yield self._give_up(found.path, why_not(error))
            return
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                yield self._give_up(found.path, "it became something else while it was sent")
            elif status.st_size <= CHUNK:
                yield self._small(found.path, file, status)
            else:
                yield from self._large(found.path, file, status)
        except OSError as error:
            yield self._give_up(found.path, why_not(error))
        finally:
            os.close(file)

    def _small(self, path: str, file: int, status: os.stat_result) -> list[Buffer]:
        """A file of at most one chunk: one read, and all its records at once."""
        size = status.st_size
        if path == self._have.partial and self._have.offset not in (0, size):
            self.restarted.append(path)
        data = os.read(file, size + 1)
        if len(data) < size:
            return self._give_up(path, _SHORTER)
        tree = Tree()
        buffers = self._entry(Entry(path, Kind.FILE, stat.S_IMODE(status.st_mode), status.st_mtime_ns, size))
        self._grew = len(data) > size
        data = data[:size]
        if size:
            leaf = leaf_digest([data])
            tree.add(leaf, size)
            buffers += encode_chunk(leaf, [data])
        self._complete += size
        return buffers + self._end_of_file(path, tree)

    def _large(self, path: str, file: int, status: os.stat_result) -> Iterator[list[Buffer]]:
        size = status.st_size
        tree = Tree()
        if path == self._have.partial and self._have.offset:
            tree = yield from self._goes_on(path, file, status)
        offset = tree.size
        if self._state is not None and not offset:
            self._state.begin(path, status, b"")
        mode, mtime = stat.S_IMODE(status.st_mode), status.st_mtime_ns
        self._under_way = offset
        yield self._entry(Entry(path, Kind.FILE, mode, mtime, size, offset=offset))
        last: list[Buffer] = []
        os.lseek(file, offset, os.SEEK_SET)
        while tree.size < size:
            length, leaf, pieces = _read_chunk(file, min(CHUNK, size - tree.size))
            if length < min(CHUNK, size - tree.size):
                yield self._give_up(path, _SHORTER)
                return
            tree.add(leaf, length)
            if self._state is not None:
                self._state.add(leaf)
            self._under_way = tree.size
            last = encode_chunk(leaf, pieces)
            if tree.size < size:
                yield last
        now = os.fstat(file)
        grew = now.st_size > size
        reason = _SHORTER if now.st_size < size else ""
        if now.st_size == size and now.st_mtime_ns != status.st_mtime_ns:
            reason = _CHANGED
        elif not reason and (grew or now.st_ctime_ns != status.st_ctime_ns):
            # It must have had all of what was sent at the same time: now.
            root = yield from self._root(file, size, last)
            reason = _CHANGED if root != tree.root() else ""
        if last:
            yield last
        if reason:
            yield self._give_up(path, reason)
            return
        self._grew = grew
        self._complete += size
        self._under_way = 0
        yield self._end_of_file(path, tree)

    def _end_of_file(self, path: str, tree: Tree) -> list[Buffer]:
        root = tree.root()
        self._dealt.append(Dealt(path, Kind.FILE, tree.size, root.hex()))
        return encode_end_of_file(root, tree.size)

    def _goes_on(self, path: str, file: int, status: os.stat_result) -> Generator[list[Buffer], None, Tree]:
        """The tree over what the receiver has of a file; an empty one, if the file has to begin anew.

        Of leaves that are sound only the last is compared with its chunk. Doubtful and missing ones are hashed again
        and kept at once, so that a session which ends meanwhile isn't in vain. Yields nothing now and then.
        """
        size, offset = status.st_size, self._have.offset
        wanted = chunks_of(offset)
        if self._state is not None and offset <= size and (offset % CHUNK == 0 or offset == size):
            sound, doubtful = self._state.kept(path, status)
            leaves = bytearray(sound[: wanted * LEAF])
            index = len(leaves) // LEAF
            good = bool(leaves or doubtful) and (not leaves or leaf_at(file, size, index - 1) == leaves[-LEAF:])
            if good:
                self._state.begin(path, status, bytes(leaves))
            while good and index < wanted:
                leaf = leaf_at(file, size, index)
                before = doubtful[index * LEAF : (index + 1) * LEAF]
                good = not before or before == leaf
                leaves += leaf
                self._state.add(leaf)
                index += 1
                yield []
            if good:
                return Tree.from_leaves(bytes(leaves), offset)
        self.restarted.append(path)
        return Tree()

    def _root(self, file: int, size: int, held: list[Buffer]) -> Generator[list[Buffer], None, bytes]:
        """The root of a file as it is now. Yields nothing now and then.

        :param held: a record that is to come next. A byte of it is given out every few seconds, or else a receiver that
            has nothing to say would take a slow disk for a link that is gone.
        """
        tree = Tree()
        until = self._clock() + _DRIP_S
        while tree.size < size:
            tree.add(leaf_at(file, size, tree.size // CHUNK), min(CHUNK, size - tree.size))
            if held and self._clock() >= until:
                until = self._clock() + _DRIP_S
                yield [_first_byte(held)]
            yield []
        return tree.root()

    def _stream(self, path: str, stream: int) -> Iterator[list[Buffer]]:
        if path == self._have.partial and self._have.offset:
            yield self._give_up(path, "what was read from a stream can't be read again; send it again")
            return
        yield self._entry(Entry(path, Kind.FILE, 0o644, self._wall_ns()))
        tree = Tree()
        pieces = Pieces()
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        more = True
        while more:
            if not poll.poll(_POLL_MS):
                yield []
                continue
            try:
                piece = os.read(stream, min(_STREAM_READ, CHUNK - pieces.size))
            except BlockingIOError:
                continue  # somebody else reads from it, too
            except OSError as error:
                yield self._give_up(path, why_not(error))
                return
            more = bool(piece)
            if more:
                pieces.append(piece)
            if pieces.size == CHUNK or (pieces and not more):
                size, data = pieces.size, pieces.take()
                leaf = leaf_digest(data)
                tree.add(leaf, size)
                self._under_way = tree.size
                yield encode_chunk(leaf, data)
        self._complete += tree.size
        self._under_way = 0
        yield self._end_of_file(path, tree)


def _read_chunk(file: int, length: int) -> tuple[int, bytes, list[Buffer]]:
    """Read so many bytes, fewer at the end: how many they are, their leaf, and themselves in pieces.

    One large read leaves one large block of memory to be used again; from four small ones the allocator gives the
    memory back each time, and the page faults cost a third of all the time.
    """
    pieces: list[Buffer] = []
    left = length
    while left and (piece := os.read(file, left)):
        pieces.append(piece)
        left -= len(piece)
    return length - left, leaf_digest(pieces), pieces


def _first_byte(buffers: list[Buffer]) -> memoryview:
    """Take the first byte out of buffers, none of which is empty."""
    first = memoryview(buffers[0])
    if len(first) > 1:
        buffers[0] = first[1:]
    else:
        del buffers[0]
    return first[:1]


def _joined(buffers: list[Buffer]) -> list[Buffer]:
    """Join the small ones into runs: a link and its TLS take few large buffers many times faster than many small."""
    joined: list[Buffer] = []
    run: list[Buffer] = []
    size = 0
    for buffer in buffers:
        if len(buffer) < _JOIN:
            run.append(buffer)
            size += len(buffer)
            if size < _RUN:
                continue
        if run:
            joined.append(run[0] if len(run) == 1 else b"".join(run))
            run, size = [], 0
        if len(buffer) >= _JOIN:
            joined.append(buffer)
    if run:
        joined.append(run[0] if len(run) == 1 else b"".join(run))
    return joined
