"""The journal of transfers: what this daemon has promised to bring to its end, kept through crashes (SQLite).

One row a transfer, written when it begins, when its state changes, and now and then as it goes on. How far a single
file has come isn't here but beside its data, where it can't disagree with it; the journal says what to take up again.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Final, TypeVar

from twisted.enterprise import adbapi
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from p2p.base.errors import LocalFileError
from p2p.base.waiters import Waiters
from p2p.console.transfer_operations import Direction, LeftOut, TransferShown
from p2p.peer.transfers.sources import source_name

__all__ = ["KEEP", "LEFT_OUT", "MAX_NAMES", "Journal", "State", "TransferRow", "names_of", "noted", "shown_transfer"]

_T = TypeVar("_T")

KEEP: Final = 1000
"""Transfers that are remembered besides those that this daemon still has to bring to their end."""

LEFT_OUT: Final = "transfer {id}: {left_out}"
"""What a log says of a transfer that is complete but for some entries."""

PRUNE_EVERY: Final = 100
"""Commits between two looks at whether there are more than that."""

_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS transfers (
    id TEXT NOT NULL,
    acting TEXT NOT NULL,
    direction TEXT NOT NULL,
    peer TEXT NOT NULL,
    what TEXT NOT NULL,
    how TEXT NOT NULL,
    state TEXT NOT NULL,
    entries INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    bytes_total INTEGER,
    sessions INTEGER NOT NULL,
    sent_bytes INTEGER NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    deadline REAL NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    sealed INTEGER NOT NULL,
    PRIMARY KEY (id, acting, direction, peer)
);
CREATE INDEX IF NOT EXISTS by_time ON transfers (updated);
CREATE INDEX IF NOT EXISTS by_state ON transfers (state);
"""

_ADDED: Final = {
    "left_s": "REAL",
    "left_at": "REAL NOT NULL DEFAULT 0",
    "boot": "TEXT NOT NULL DEFAULT ''",
    "refused": "INTEGER NOT NULL DEFAULT 0",
    "left_out": "TEXT NOT NULL DEFAULT '[]'",
}
"""Columns that came later; a daemon of before does without them, and leaves them as they are."""

_OURS: Final = "direction IN ('send', 'get')"
_OPEN: Final = f"state IN ('running', 'waiting') AND {_OURS}"


class State(StrEnum):
    """Where a transfer is in its life.

    ``running`` and ``waiting`` (for its next session) are taken up after a restart. ``paused`` ones, whose client left,
    and ``failed`` ones are taken up when somebody asks for the same once more.
    """

    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """Whether the transfer is still to be brought to its end."""
        return self in (State.RUNNING, State.WAITING)


@dataclass(slots=True)
class TransferRow:
    """One transfer as the journal knows it.

    :ivar id: 16 hex digits, the same at both ends.
    :ivar acting: the hosted peer whose transfer it is.
    :ivar peer: the peer at the other end.
    :ivar what: what moves, as JSON: asking for the same once more goes on with it.
    :ivar how: with which limits, as JSON: they don't make it another transfer.
    :ivar created: Unix seconds, as ``updated`` and ``deadline``, after which it isn't tried again; these are for
        people, since the clock may be set.
    :ivar entries: entries dealt with, as ``bytes`` over all sessions.
    :ivar sessions: how many took place; with none, the peer hasn't agreed yet.
    :ivar sent_bytes: content that went over the network, in all sessions.
    :ivar outcome: of the last session that ended badly, or ``ok``; empty before that.
    :ivar left_s: seconds that were left until the deadline at ``left_at``; None if that isn't known.
    :ivar left_at: seconds of the monotonic clock, in the run of the machine that ``boot`` names.
    :ivar sealed: whether everything that is got is in its place; set by :meth:`Journal.seal` alone.
    :ivar refused: entries that didn't get through.
    :ivar left_out: path, outcome and reason of the first of them.
    """

    id: str
    acting: str
    direction: Direction
    peer: str
    what: Mapping[str, Any]
    created: float
    deadline: float
    how: Mapping[str, Any] = field(default_factory=dict)
    updated: float = 0.0
    state: State = State.WAITING
    entries: int = 0
    bytes: int = 0
    bytes_total: int | None = None
    sessions: int = 0
    sent_bytes: int = 0
    outcome: str = ""
    reason: str = ""
    sealed: bool = False
    left_s: float | None = None
    left_at: float = 0.0
    boot: str = ""
    refused: int = 0
    left_out: list[tuple[str, str, str]] = field(default_factory=list)

    def leave_out(self, path: str, outcome: str, reason: str) -> None:
        """Note an entry that didn't get through, once; of many, the first are kept and the others counted."""
        if any(path == known for known, _, _ in self.left_out):
            return
        self.refused += 1
        kept = (path[:MAX_NOTED], outcome, reason[:MAX_NOTED])
        size = sum(map(len, kept)) + sum(len(part) for one in self.left_out for part in one)
        if not self.left_out or size <= MAX_NOTED:
            self.left_out.append(kept)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from all others: a daemon may host both ends of a transfer."""
        return self.id, self.acting, self.direction, self.peer


_COLUMNS: Final = [one.name for one in fields(TransferRow)]
_KINDS: Final[Mapping[str, type | UnionType]] = {
    **dict.fromkeys(("id", "acting", "direction", "peer", "what", "how", "state", "outcome", "reason", "boot"), str),
    **dict.fromkeys(("entries", "bytes", "sessions", "sent_bytes", "sealed", "refused"), int),
    **dict.fromkeys(("created", "updated", "deadline", "left_at"), float),
    "left_out": str,
    "bytes_total": int | None,
    "left_s": float | None,
}
"""What the values of a row are: SQLite would keep anything in any column."""

_KEY: Final = ("id", "acting", "direction", "peer")
_FIXED: Final = (*_KEY, "what", "how", "created", "sealed")
_MARKS: Final = ", ".join(f":{name}" for name in _COLUMNS)
_CHANGES: Final = ", ".join(f"{name} = :{name}" for name in _COLUMNS if name not in _FIXED)
_ENTER: Final = (
    f"INSERT INTO transfers ({', '.join(_COLUMNS)}) VALUES ({_MARKS}) "
    f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET what = :what, how = :how, {_CHANGES}"
)
_THIS: Final = " AND ".join(f"{name} = :{name}" for name in _KEY)
_UPDATE: Final = f"UPDATE transfers SET {_CHANGES} WHERE {_THIS}"
_SEAL: Final = f"UPDATE transfers SET sealed = :sealed, entries = :entries, bytes = :bytes WHERE {_THIS}"


class Journal:
    """The rows of one daemon, in one file; every call runs in the one thread that owns the file.

    What is written while a commit is under way goes together in the next one, so that a disk that takes its time for
    each makes nobody wait for more than two.

    :param path: the file, which has its tables already; see :meth:`open`.
    :param pool: runs an interaction with a cursor in that thread, as ``adbapi.ConnectionPool.runInteraction`` does.
    """

    def __init__(self, path: Path, pool: Any) -> None:
        self._path = path
        self._pool = pool
        self._unwritten: dict[tuple[str, str, str, str], tuple[str, Mapping[str, Any]]] = {}
        self._waiting: Waiters[None] = Waiters()
        self._writing = False
        self._commits = 0
        self._closed = False

    @classmethod
    def open(cls, path: Path, reactor: Any) -> Journal:
        """Open the file, or make it; blocks for a moment, as the start of a daemon may.

        :raises LocalFileError: if it can't be used.
        """
        create(path)
        pool = adbapi.ConnectionPool(
            "sqlite3",
            str(path),
            check_same_thread=False,  # it is closed by another thread than the one that used it
            cp_min=1,
            cp_max=1,
            cp_openfun=prepare,
            cp_reactor=reactor,
        )
        return cls(path, pool)

    async def close(self) -> None:
        """Close the file, after what is under way."""
        written = self._written()
        self._closed = True
        try:
            await written
        finally:
            self._pool.close()

    def enter(self, row: TransferRow) -> Deferred[None]:
        """Enter a transfer; fires when it is on disk. One that is known keeps the time when it was created.

        Fails with :class:`~p2p.base.errors.LocalFileError` if the disk doesn't take it.
        """
        self._unwritten[row.key] = _ENTER, _values(row)
        return self._written()

    def update(self, row: TransferRow) -> Deferred[None]:
        """Write down what is new of a transfer that was entered; fires, and fails, as :meth:`enter` does."""
        statement, _ = self._unwritten.get(row.key, (_UPDATE, None))
        self._unwritten[row.key] = statement, _values(row)
        return self._written()

    def seal(self, row: TransferRow) -> None:
        """Enter at once that everything of a transfer is in its place; blocks, and any thread may call it.

        Its receiver forgets it then; after a crash in between it isn't got once more.

        :raises LocalFileError: if the disk doesn't take it.
        """
        row.sealed = True
        try:
            with closing(sqlite3.connect(self._path)) as connection, connection:
                prepare(connection)
                connection.execute(_SEAL, _values(row))
        except sqlite3.Error as error:
            raise _unusable(error) from error

    async def unfinished(self) -> list[TransferRow]:
        """What this daemon has to take up again, oldest first."""
        return await self._select(f"WHERE {_OPEN} ORDER BY created", [])

    async def resumable(self) -> list[TransferRow]:
        """What was asked for here and didn't come to its end, whether it is to be taken up or not."""
        return await self._select(f"WHERE state NOT IN ('done', 'cancelled') AND {_OURS}", [])

    async def latest(self, count: int) -> list[TransferRow]:
        """The transfers that changed last, newest first."""
        return await self._select("ORDER BY updated DESC LIMIT ?", [count])

    async def find(self, transfer_id: str) -> list[TransferRow]:
        """The transfers of that id: two, if both ends are hosted here."""
        return await self._select("WHERE id = ? ORDER BY created", [transfer_id])

    async def same(self, acting: str, direction: Direction, peer: str, what: Mapping[str, Any]) -> TransferRow | None:
        """A transfer of the same between the same peers that didn't come to its end: it goes on, and none begins."""
        found = await self._select(
            "WHERE acting = ? AND direction = ? AND peer = ? AND what = ? AND state NOT IN ('done', 'cancelled') "
            "ORDER BY updated DESC LIMIT 1",
            [acting, direction, peer, _dumped(what)],
        )
        return found[0] if found else None

    async def is_wanted(self, acting: str, direction: Direction, what: Mapping[str, Any]) -> bool:
        """Whether a transfer of the same, with whichever peer, didn't come to its end."""
        clause = "WHERE acting = ? AND direction = ? AND what = ? AND state NOT IN ('done', 'cancelled') LIMIT 1"
        return bool(await self._select(clause, [acting, direction, _dumped(what)]))

    async def break_off(self, now: float) -> None:
        """At the start of a daemon: what others had begun here has ended with the daemon before it."""

        def update(cursor: Any) -> None:
            cursor.execute(
                f"UPDATE transfers SET state = 'waiting', updated = ?, reason = 'the daemon was stopped' "
                f"WHERE state = 'running' AND NOT {_OURS}",
                [now],
            )

        await self._run(update)

    def _written(self) -> Deferred[None]:
        """Fires when everything that was to be written is."""
        if self._closed:
            return fail(LocalFileError("the journal of transfers is closed: the daemon stops"))
        written = self._waiting.wait()
        if not self._writing:
            self._write()
        return written

    def _write(self) -> None:
        self._writing = True
        rows, self._unwritten = list(self._unwritten.values()), {}
        waiting, self._waiting = self._waiting, Waiters()
        self._commits += bool(rows)
        prune = bool(rows) and self._commits % PRUNE_EVERY == 0

        def commit(cursor: Any) -> None:
            for statement, values in rows:
                cursor.execute(statement, values)
            if prune:
                _prune(cursor)

        def done(result: object) -> None:
            self._writing = False
            if self._waiting or self._unwritten:
                self._write()
            if isinstance(result, Failure):
                waiting.fail(_told(result))
            else:
                waiting.fire(None)

        running: Deferred[Any] = self._pool.runInteraction(commit)
        running.addBoth(done)

    async def _select(self, clause: str, values: Sequence[Any]) -> list[TransferRow]:
        def select(cursor: Any) -> list[Any]:
            found: list[Any] = cursor.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM transfers {clause}", values
            ).fetchall()
            return found

        await self._written()
        return [self._row(values) for values in await self._run(select)]

    def _row(self, values: Sequence[Any]) -> TransferRow:
        """What a row of the file says.

        :raises LocalFileError: if that makes no sense.
        """
        try:
            return _row(values)
        except (ValueError, TypeError, RecursionError) as error:
            raise LocalFileError(
                f"{self._path}: the journal of transfers is damaged, at transfer {str(values[0])[:40]!r}; move it "
                "away, and unfinished transfers go on when they are asked for again"
            ) from error

    async def _run(self, interaction: Callable[[Any], _T]) -> _T:
        try:
            result: _T = await self._pool.runInteraction(interaction)
        except sqlite3.Error as error:
            raise _unusable(error) from error
        return result


def create(path: Path) -> None:
    """Make the file with its tables, or see that it has them; blocks.

    :raises LocalFileError: if it can't be used.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # what SQLite puts beside it is like it
        with closing(sqlite3.connect(path)) as connection:
            prepare(connection)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise LocalFileError(
                    f"{path}: this journal of transfers was made by another version of p2p; move it away, and "
                    "unfinished transfers go on when they are asked for again"
                )
            connection.executescript(f"{_SCHEMA}PRAGMA user_version = {_VERSION}")
            there = {column[1] for column in connection.execute("PRAGMA table_info(transfers)")}
            for name in _ADDED.keys() - there:
                connection.execute(f"ALTER TABLE transfers ADD COLUMN {name} {_ADDED[name]}")
    except (sqlite3.Error, OSError) as error:
        raise LocalFileError(
            f"{path}: can't be used as the journal of transfers ({error}); see to its owner and the space on its "
            "disk, or move it away, and unfinished transfers go on when they are asked for again"
        ) from error


def prepare(connection: sqlite3.Connection) -> None:
    """Make the file survive ``kill -9`` and a power cut: a write-ahead log, and each commit on disk (``FULL``)."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 5000")


def _prune(cursor: Any) -> None:
    """Forget the oldest: all but what this daemon has promised, however many transfers others begin and break off."""
    cursor.execute(
        f"DELETE FROM transfers WHERE NOT ({_OPEN}) AND updated < "
        f"(SELECT min(updated) FROM (SELECT updated FROM transfers WHERE NOT ({_OPEN}) ORDER BY updated DESC LIMIT ?))",
        [KEEP],
    )


def _told(failure: Failure) -> Failure:
    return Failure(_unusable(failure.value)) if failure.check(sqlite3.Error) else failure


def _unusable(error: object) -> LocalFileError:
    return LocalFileError(f"the journal of transfers can't be used: {error}; see to the disk of the daemon's state")


def _dumped(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True)


def _values(row: TransferRow) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _COLUMNS}
    reason = row.reason.encode("utf-8", "backslashreplace").decode()  # the name of a file need not be Unicode
    texts = {"what": _dumped(row.what), "how": _dumped(row.how), "left_out": json.dumps(row.left_out)}
    return values | texts | {"state": row.state.value, "reason": reason}


def _row(values: Sequence[Any]) -> TransferRow:
    named = dict(zip(_COLUMNS, values, strict=True))
    for name, kind in _KINDS.items():
        if not isinstance(named[name], kind):
            raise TypeError(f"{name} is {named[name]!r:.40}")
    what, how = json.loads(named["what"]), json.loads(named["how"])
    if not isinstance(what, dict) or not isinstance(how, dict):
        raise TypeError("what moves, and how, are no mappings")
    left_out = [(str(path), str(outcome), str(reason)) for path, outcome, reason in json.loads(named["left_out"])]
    more = {"what": what, "how": how, "left_out": left_out}
    return TransferRow(**{**named, **more, "state": State(named["state"]), "sealed": bool(named["sealed"])})


MAX_NAMES: Final = 100
"""Names that are shown of one transfer."""

MAX_NOTED: Final = 1000
"""Characters of the names that others say, as the journal keeps them, and of what is kept of entries that were left
out: a thousand transfers fit into an answer."""


def noted(names: Sequence[str]) -> list[str]:
    """The first of the names that another peer says, one at least; the others are only counted."""
    kept: list[str] = []
    left = MAX_NOTED
    for name in names:
        left -= len(name)
        if kept and left < 0:
            break
        kept.append(name[:MAX_NOTED])
    return kept


def names_of(row: TransferRow) -> list[str]:
    """What to call what moves, a name for each thing that was asked for."""
    what = row.what
    if row.direction == "send" and "paths" in what:
        if what["name"] is not None:
            return [what["name"]]
        return [source_name(path) for path in what["paths"]]
    return list(what["names"])


def shown_transfer(row: TransferRow) -> TransferShown:
    """A row for the console."""
    names = names_of(row)
    return TransferShown(
        transfer=row.id,
        acting=row.acting,
        peer=row.peer,
        direction=row.direction,
        names=names[:MAX_NAMES],
        more_names=len(names[MAX_NAMES:]) + row.what.get("more_names", 0),
        state=row.state.value,
        entries=row.entries,
        bytes=row.bytes,
        bytes_total=row.bytes_total,
        created=row.created,
        updated=row.updated,
        deadline=row.deadline,
        outcome=row.outcome,
        reason=row.reason,
        refused=row.refused,
        left_out=[LeftOut(path=path, outcome=outcome, reason=reason) for path, outcome, reason in row.left_out],
    )
