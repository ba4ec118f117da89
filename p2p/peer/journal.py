"""The journal of transfers: what this daemon has promised to bring to its end, kept through crashes (SQLite).

One row a transfer, written when it begins, when its state changes, and now and then as it goes on. How far a single
file has come isn't here but beside its data, where it can't disagree with it; the journal says what to take up again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.enterprise import adbapi

from p2p.errors import LocalFileError

__all__ = ["Journal", "State", "TransferRow"]

_T = TypeVar("_T")

KEEP: Final = 1000
"""Ended transfers that are remembered; older ones are forgotten, so that the file doesn't grow for ever."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS transfers (
    id TEXT PRIMARY KEY,
    acting TEXT NOT NULL,
    direction TEXT NOT NULL,
    peer TEXT NOT NULL,
    what TEXT NOT NULL,
    state TEXT NOT NULL,
    entries_done INTEGER NOT NULL,
    bytes_done INTEGER NOT NULL,
    bytes_total INTEGER,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    deadline REAL NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL
)
"""


class State(StrEnum):
    """Where a transfer is in its life; only ``running`` and ``waiting`` are taken up after a restart."""

    RUNNING = "running"
    WAITING = "waiting"
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
    :ivar acting: the hosted peer that began it.
    :ivar direction: ``send`` or ``get``.
    :ivar peer: the peer at the other end.
    :ivar what: what moves and how: paths, names, policies; as the console was asked for it.
    :ivar created: Unix seconds, as ``updated`` and ``deadline``, after which it isn't tried again.
    :ivar outcome: of the last attempt that ended, empty before that.
    """

    id: str
    acting: str
    direction: str
    peer: str
    what: Mapping[str, Any]
    created: float
    deadline: float
    updated: float = 0.0
    state: State = State.WAITING
    entries_done: int = 0
    bytes_done: int = 0
    bytes_total: int | None = None
    outcome: str = ""
    reason: str = ""


_COLUMNS: Final = [one.name for one in fields(TransferRow)]


class Journal:
    """The rows of one daemon, in one file; every call runs in the one thread that owns the file.

    :param run: runs an interaction with a cursor in that thread, as ``adbapi.ConnectionPool.runInteraction`` does.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, path: Path, reactor: Any) -> Journal:
        """Open the file, or make it.

        :raises LocalFileError: if it can't be used.
        """
        pool = adbapi.ConnectionPool(
            "sqlite3",
            str(path),
            check_same_thread=False,
            cp_min=1,
            cp_max=1,
            cp_openfun=_prepare,
            cp_reactor=reactor,
        )
        journal = cls(pool)
        try:
            await journal._run(lambda cursor: cursor.execute(_SCHEMA))
        except sqlite3.Error as error:
            pool.close()
            raise LocalFileError(
                f"{path}: can't be used as the journal of transfers ({error}); "
                "move it away, and unfinished transfers start again when they are asked for"
            ) from error
        return journal

    def close(self) -> None:
        """Close the file, after what is under way."""
        self._pool.close()

    async def write(self, row: TransferRow) -> None:
        """Enter a transfer, or what is new of it."""
        values = asdict(row) | {"what": json.dumps(dict(row.what), sort_keys=True), "state": row.state.value}
        names, marks = ", ".join(_COLUMNS), ", ".join(f":{name}" for name in _COLUMNS)
        await self._run(
            lambda cursor: cursor.execute(f"INSERT OR REPLACE INTO transfers ({names}) VALUES ({marks})", values)
        )

    async def read(self, transfer_id: str) -> TransferRow | None:
        """Return one transfer."""
        found = await self._select("WHERE id = ?", [transfer_id])
        return found[0] if found else None

    async def unfinished(self) -> list[TransferRow]:
        """What is to be taken up again, oldest first."""
        return await self._select("WHERE state IN ('running', 'waiting') ORDER BY created", [])

    async def latest(self, count: int) -> list[TransferRow]:
        """The transfers that changed last, newest first."""
        return await self._select("ORDER BY updated DESC LIMIT ?", [count])

    async def same(self, acting: str, direction: str, peer: str, what: Mapping[str, Any]) -> TransferRow | None:
        """An unfinished or failed transfer of the same content between the same peers: it is resumed, not begun."""
        found = await self._select(
            "WHERE acting = ? AND direction = ? AND peer = ? AND what = ? AND state NOT IN ('done', 'cancelled') "
            "ORDER BY updated DESC LIMIT 1",
            [acting, direction, peer, json.dumps(dict(what), sort_keys=True)],
        )
        return found[0] if found else None

    async def prune(self) -> None:
        """Forget ended transfers beyond the number that is kept."""
        await self._run(
            lambda cursor: cursor.execute(
                "DELETE FROM transfers WHERE state NOT IN ('running', 'waiting') AND id NOT IN "
                "(SELECT id FROM transfers ORDER BY updated DESC LIMIT ?)",
                [KEEP],
            )
        )

    async def _select(self, clause: str, values: Sequence[Any]) -> list[TransferRow]:
        def select(cursor: sqlite3.Cursor) -> list[Any]:
            return cursor.execute(f"SELECT {', '.join(_COLUMNS)} FROM transfers {clause}", values).fetchall()

        return [_row(values) for values in await self._run(select)]

    async def _run(self, interaction: Callable[[Any], _T]) -> _T:
        result: _T = await self._pool.runInteraction(interaction)
        return result


def _prepare(connection: sqlite3.Connection) -> None:
    """A write-ahead log survives kill -9, and readers don't wait; a committed row is on disk at the next checkpoint."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA busy_timeout = 5000")


def _row(values: Sequence[Any]) -> TransferRow:
    named = dict(zip(_COLUMNS, values, strict=True))
    return TransferRow(**{**named, "what": json.loads(named["what"]), "state": State(named["state"])})
