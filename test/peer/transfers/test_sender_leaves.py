"""What the sending side keeps of transfers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.peer.transfers.journal import State
from p2p.peer.transfers.sender_leaves import KeptState
from test.peer.pair import at_once
from test.peer.transfers.journals import make_journal, row


class KeptStateTests(SynchronousTestCase):
    """The folders of two contents."""

    def setUp(self) -> None:
        base = Path(self.mktemp())
        base.mkdir()
        self.out = base / "out"
        self.journal, _ = make_journal(base / "journal")
        self.kept = KeptState(self.out, self.journal, at_once)

    def did(self, waiting: Any) -> Any:
        return self.successResultOf(waiting if isinstance(waiting, Deferred) else Deferred.fromCoroutine(waiting))

    def make(self, one: Any) -> Path:
        folder = self.kept.folder(one.acting, one.what)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "0").touch()
        return folder

    def test_which(self) -> None:
        """All peers that get the same share a folder; another sender or other content has its own."""
        same = [self.kept.folder(one.acting, one.what) for one in (row(), row(peer="m5.m"))]
        others = [self.kept.folder(one.acting, one.what) for one in (row(acting="n2.n"), row(what={"paths": ["/x"]}))]
        self.assertEqual((1, 3), (len(set(same)), len({*same, *others})))

    def test_tidy(self) -> None:
        """It is removed with the last transfer that may still go on."""
        done, paused = row(state=State.DONE), row("11" * 8, peer="m5.m", state=State.PAUSED)
        folder = self.make(done)
        self.did(self.journal.enter(done))
        self.did(self.journal.enter(paused))
        self.did(self.kept.tidy(done))
        self.assertTrue(folder.exists())
        paused.state = State.CANCELLED
        self.did(self.journal.update(paused))
        self.did(self.kept.tidy(paused))
        self.assertFalse(folder.exists())

    def test_sweep(self) -> None:
        """What none of the transfers needs that are still wanted is removed."""
        rows = [row("11" * 8, what={"paths": ["/waiting"]}), row("22" * 8, what={"paths": ["/done"]})]
        folders = [self.make(one) for one in rows]
        self.did(self.kept.sweep(rows[:1]))
        self.assertEqual([True, False], [folder.exists() for folder in folders])

    def test_nothing(self) -> None:
        """Where nothing was ever sent there is nothing to sweep."""
        self.did(self.kept.sweep([]))
        self.assertFalse(self.out.exists())
