"""What the other side of a transfer may answer: each of its answers is judged against what it was asked or sent.

A certificate says who answers, not that the answer is honest. So nothing that the other side says has an effect, or is
told to anybody, before it is known to be an answer to this very request: what comes for a ``get`` (:class:`Asked`),
what is in a list (:class:`ListedNames`), how far a receiver says it is (:func:`check_have`), and what it reports of
what was sent to it (:class:`Sent`).
Pure.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from p2p.base.errors import ExchangeFailed, InvalidRequest, Outcome
from p2p.exchange.paths import MAX_NAME, MAX_PATH, InvalidPath, checked_path, from_bytes, shown, to_bytes
from p2p.transfer.records import Entry, Have, Kind, Receipt

__all__ = ["CONTROLS", "MOST_UNREPORTED", "OWED", "Asked", "Dealt", "ListedNames", "Sent", "check_have"]

CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What could steer a terminal; in names from elsewhere each is shown as ``?``."""

MOST_UNREPORTED: Final = 65_536
"""Entries that were sent and have no receipt yet, with which a sender waits. A receiver that has taken all that came
owes those of a group at most, and a group is far smaller; so this holds nobody up but one who never reports."""

OWED: Final = 65_536
"""Receipts that a receiver may still have to give of earlier sessions; what it takes at once has fewer entries."""

_RECEIPTS: Final = frozenset({Outcome.OK, Outcome.REFUSED, Outcome.TRUNCATED})


class Asked:
    """What a ``get`` asks for, and so all that may come for it.

    What was asked for comes under the last part of its path, in the order in which it was asked for, each thing once.

    :param paths: what is asked for, as the other side calls it.
    :param folders: those of them that are known to be folders.
    :ivar paths: the same.
    :raises InvalidRequest: if one is no path, or two would come under one name.
    """

    def __init__(self, paths: Iterable[str], folders: Collection[str] = ()) -> None:
        self.paths = tuple(paths)
        self._names: list[str] = []
        self._folders: set[str] = set()
        self._at = -1
        self._inside = False
        for path in self.paths:
            try:
                name = from_bytes(to_bytes(checked_path(path)[-1]))
            except InvalidPath as error:
                raise InvalidRequest(f"{error}; what there is to get says: p2p ls PEER") from error
            self._names.append(name)
            if path in folders:
                self._folders.add(name)
        self._known = frozenset(self._names)
        if len(self._known) < len(self._names):
            twice = next(name for name in self._names if self._names.count(name) > 1)
            raise InvalidRequest(f"two things to get are called {shown(twice)}; get them one after the other")

    def resume(self, last: str | None, *, inside: bool) -> None:
        """Go on behind what came in earlier sessions.

        :param last: the path of the last entry that is done with; None for a fresh transfer.
        :param inside: whether the folder at the top that it is in still gets entries.
        :raises ExchangeFailed: with ``refused``, if that isn't of what is asked for.
        """
        self._at, self._inside = -1, False
        if last is None:
            return
        name = last.partition("/")[0]
        if name not in self._known:
            reason = f"what came so far begins with {shown(name)}, which wasn't asked for; cancel this transfer"
            raise ExchangeFailed(Outcome.REFUSED, f"{reason} (p2p transfers --cancel ID) and get it again")
        self._at, self._inside = self._names.index(name), inside

    def begins(self, entry: Entry) -> None:
        """An entry begins.

        :raises ExchangeFailed: with ``corrupt``, if nobody asked for it; with ``refused``, if it is of another kind.
        """
        name, slash, _ = entry.path.partition("/")
        if slash:
            self._check_inside(entry.path, name)
            return
        self._check_next(entry.path, name)
        if name in self._folders and entry.kind is not Kind.FOLDER:
            raise ExchangeFailed(Outcome.REFUSED, f"{shown(name)} is a {entry.kind}, and a folder was asked for")
        self._at += 1
        self._inside = entry.kind is Kind.FOLDER

    def given_up(self, path: str) -> None:
        """The other side can't send an entry that hasn't begun, or what is left of an open folder.

        :raises ExchangeFailed: with ``corrupt``, if nobody asked for it.
        """
        name, slash, rest = path.partition("/")
        if slash and (rest or (self._inside and name == self._current)):
            self._check_inside(path, name)
            return
        self._check_next(path, name)
        self._at += 1
        self._inside = False

    def complete(self) -> None:
        """The other side says that this was all.

        :raises ExchangeFailed: with ``corrupt``, if nothing came of something that was asked for.
        """
        if self._at + 1 < len(self._names):
            raise _wrong(f"{shown(self._names[self._at + 1])} was asked for, and nothing came of it")

    def reaches(self, target: str) -> bool:
        """Whether a link beside what was asked for leads to something that was asked for, too."""
        steps = [step for step in target.split("/") if step not in ("", ".")]
        return bool(steps) and steps[0] in self._known

    @property
    def _current(self) -> str:
        return self._names[self._at] if self._at >= 0 else ""

    def _check_inside(self, path: str, name: str) -> None:
        if not self._inside or name != self._current:
            why = "comes without its folder" if name in self._known else "came, which wasn't asked for"
            raise _wrong(f"{shown(path)} {why}")

    def _check_next(self, path: str, name: str) -> None:
        if self._at + 1 < len(self._names) and name == self._names[self._at + 1]:
            return
        if name not in self._known:
            raise _wrong(f"{shown(path)} came, which wasn't asked for")
        raise _wrong(f"{shown(path)} came twice, or before what was asked for first")


class ListedNames:
    """The names of a list: each is that of one thing in one folder, and none comes twice."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def checked(self, raw: bytes) -> str:
        """A name, with whatever characters are in it.

        :raises ExchangeFailed: with ``corrupt``, if no folder can have it in it, or has it twice.
        """
        if not 0 < len(raw) <= MAX_NAME or raw in (b".", b"..") or b"/" in raw or b"\0" in raw:
            raise _wrong(f"a list with {shown(from_bytes(raw[:MAX_NAME]))} in it, which is no name")
        if raw in self._seen:
            raise _wrong(f"a list with {shown(from_bytes(raw))} in it twice")
        self._seen.add(raw)
        return from_bytes(raw)


def check_have(have: Have, names: Sequence[str]) -> None:
    """See that a receiver can have so much of what is sent to it.

    :param names: the names at the top of the transfer.
    :raises ExchangeFailed: with ``corrupt``, if it can't.
    """
    for path in (have.last, have.partial):
        if path is not None and path.partition("/")[0] not in names:
            raise _wrong(f"the receiver says that it has {shown(path)}, which isn't of this transfer")
    if (have.last is None) != (not have.entries) or (have.partial is None) != (not have.offset):
        raise _wrong("what the receiver says that it has makes no sense")
    if have.last is None and have.bytes:
        raise _wrong(f"the receiver says that it has {have.bytes} bytes of no entry")


@dataclass(frozen=True, slots=True)
class Dealt:
    """An entry that was sent to its end.

    :ivar kind: None if it was given up.
    :ivar size: bytes of a file, as the receipt has to say it.
    :ivar root: of a file, in hex.
    """

    path: str
    kind: Kind | None
    size: int = 0
    root: str = ""

    @property
    def reported(self) -> str:
        """Its path as a receipt names it: that of something given up may be long, and have anything in it."""
        if self.kind is not None:
            return self.path
        return CONTROLS.sub("?", from_bytes(to_bytes(self.path)[:MAX_PATH]))


class Sent:
    """What was sent in one session, and so what its receiver may report.

    :meth:`add` may be called in another thread, by one at a time; always before what it adds leaves this machine.

    :param names: the names at the top of the transfer.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._unreported: deque[Dealt] = deque()
        self._entries = 0
        self._given = 0
        self._have = Have()
        self._owed = 0
        self._last: Dealt | None = None
        self._bytes = 0
        self._refused = 0

    @property
    def is_full(self) -> bool:
        """Whether to wait for receipts before more is sent."""
        return len(self._unreported) > MOST_UNREPORTED

    def add(self, entries: Sequence[Dealt], size: int) -> None:
        """More is about to leave: so many bytes of records, and with them the ends of these entries."""
        self._entries += len(entries)
        self._given += size
        self._unreported.extend(entries)

    def began(self, have: Have, *, done: bool) -> None:
        """The receiver has so much of earlier sessions, or all of it."""
        self._have = have
        self._owed = 0 if done else min(2 * have.entries, OWED)
        if have.last is not None:
            self._last = Dealt(have.last, Kind.FOLDER)  # or not: nobody here remembers

    def receipt(self, receipt: Receipt) -> None:
        """The receiver says what became of an entry.

        :raises ExchangeFailed: with ``corrupt``, if that wasn't sent, was reported before, or isn't what was sent.
        """
        path = receipt.path
        if receipt.outcome not in _RECEIPTS:
            raise _wrong(f"{shown(path)} is reported as {receipt.outcome}, which is no end of an entry")
        _check_name(receipt)
        if self._unreported and self._unreported[0].reported == path:
            self._owed = 0  # receipts are in the order of the entries
            self._last = self._unreported.popleft()
            self._check_own(receipt, self._last)
        elif receipt.outcome is Outcome.REFUSED and self._closes(path):
            above = path.rpartition("/")[0]
            self._last = Dealt(above, Kind.FOLDER) if above else None
        elif self._owed and path.partition("/")[0] in self._names:
            self._owed -= 1
        else:
            raise _wrong(f"{shown(path)} is reported, which wasn't sent, or was reported before")

    def progress(self, entries: int, size: int) -> None:
        """The receiver says how much is verified.

        :raises ExchangeFailed: with ``corrupt``, if that is more than it was given.
        """
        have = self._have
        if entries > have.entries + self._entries or size > have.bytes + have.offset + self._given:
            raise _wrong(f"{entries} entries and {size} bytes are reported, which is more than was sent")

    def ended(self, entries: int, size: int, refused: int) -> None:
        """The receiver says that it has everything, and how much that is.

        :raises ExchangeFailed: with ``corrupt``, if it isn't what was sent, or what became of it wasn't reported.
        """
        if self._unreported:
            path = shown(self._unreported[0].path)
            raise _wrong(f"the receiver says that it has everything, but not what became of {path}")
        have = self._have
        right = have.entries + self._entries, have.bytes + self._bytes
        if (entries, size) != right or not self._refused <= refused <= self._refused + have.entries:
            reason = f"{entries} entries and {size} bytes are reported as complete"
            raise _wrong(f"{reason}, {right[0]} entries and {right[1]} bytes are")

    def _check_own(self, receipt: Receipt, sent: Dealt) -> None:
        said, right = (receipt.size, receipt.root), (sent.size, sent.root)
        if receipt.outcome is Outcome.OK:
            if sent.kind is None:
                raise _wrong(f"{shown(sent.path)} is reported as complete, but couldn't be sent")
            if said != right or not receipt.name:
                raise _wrong(f"{shown(sent.path)} is reported as something else than was sent")
            self._bytes += sent.size
            return
        self._refused += 1
        if said not in (right, (0, "")):
            raise _wrong(f"{shown(sent.path)} is reported as something else than was sent")

    def _closes(self, path: str) -> bool:
        """Whether this is a folder that may just have ended: the last entry is in it, or is it itself."""
        last = self._last
        return last is not None and (
            last.path.startswith(f"{path}/") or (last.path == path and last.kind is Kind.FOLDER)
        )


def _check_name(receipt: Receipt) -> None:
    """A name that isn't the path is what the receiver made of it, in the same folders: it may have numbered some."""
    name = receipt.name
    if name in (receipt.path, ""):
        return
    parts = name.rstrip("/").split("/")  # a receiver cuts a name that is too long, maybe there
    if not {"", ".", ".."}.isdisjoint(parts) or len(parts) > receipt.path.count("/") + 1:
        raise _wrong(f"{shown(receipt.path)} is reported as stored as {shown(name)}, where it can't be")


def _wrong(reason: str) -> ExchangeFailed:
    return ExchangeFailed(Outcome.CORRUPT, reason)
