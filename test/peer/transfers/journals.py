"""A journal in a file of its own whose one thread is the test's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from p2p.peer.transfers.journal import Journal, TransferRow, create, prepare

__all__ = ["Pool", "make_journal", "row"]


class Pool:
    """Runs interactions here and now, or when the test lets it; stands in for ``adbapi.ConnectionPool``.

    :ivar held: the interactions that wait, once the test has made it a list.
    :ivar commits: how many there were.
    """

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path)
        prepare(self.connection)
        self.held: list[Callable[[], None]] | None = None
        self.commits = 0
        self.closed = False

    def runInteraction(self, interaction: Callable[[Any], Any]) -> Deferred[Any]:
        running: Deferred[Any] = Deferred()

        def run() -> None:
            self._commit(interaction).chainDeferred(running)

        if self.held is None:
            run()
        else:
            self.held.append(run)
        return running

    def close(self) -> None:
        self.closed = True
        self.connection.close()

    def _commit(self, interaction: Callable[[Any], Any]) -> Deferred[Any]:
        def commit() -> Any:
            with self.connection:
                self.commits += 1
                return interaction(self.connection.cursor())

        return maybeDeferred(commit)


def make_journal(path: Path) -> tuple[Journal, Pool]:
    """A journal and what runs its interactions."""
    create(path)
    pool = Pool(path)
    return Journal(path, pool), pool


def row(transfer_id: str = "00" * 8, **changes: Any) -> TransferRow:
    """A transfer of a film from n1.n to m4.m."""
    what = {"paths": ["/home/n1/film.mp4"], "name": None, "links": "keep", "type": "data"}
    known: dict[str, Any] = {
        "acting": "n1.n",
        "direction": "send",
        "peer": "m4.m",
        "what": what,
        "how": {"limit": None, "deadline_s": 3600.0},
        "created": 1000.0,
        "deadline": 4600.0,
        "updated": 1000.0,
    }
    return TransferRow(id=transfer_id, **{**known, **changes})
