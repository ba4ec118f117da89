"""Transfers that other peers began here."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import LocalFileError, Outcome
from p2p.console.transfer_operations import Done, Failed, Offered, Progress
from p2p.peer.transfers.incoming import IncomingTransfer
from p2p.peer.transfers.journal import State
from test.peer.transfers.journals import row
from test.peer.transfers.moving_doubles import Events, look_after, shared


class IncomingTests(SynchronousTestCase):
    """m4.m sends a film to n1.n."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.saved: list[dict[str, Any]] = []
        self.events = Events()
        self.shared = shared(self.clock, self.saved, self.events)
        self.stopped: list[str] = []
        self.over: list[IncomingTransfer] = []
        self.row = row(direction="receive", what={"names": ["film.mp4"]}, bytes_total=5000, state=State.RUNNING)
        self.incoming = IncomingTransfer(self.row, 3, self.shared, self.stopped.append, self.over.append)

    def test_offered(self) -> None:
        """Who follows learns what comes, and from whom."""
        offered = self.events.last(Offered)
        self.assertEqual((["film.mp4"], 3, 5000), (offered.names, offered.entries, offered.bytes))
        self.assertEqual(("m4.m", "receive", self.row.id), (offered.peer, offered.direction, offered.transfer))

    def test_progress(self) -> None:
        """How far it is is told a few times a second and written once a second; what is the same isn't."""
        for step in range(1, 33):
            self.clock.advance(1 / 16)
            self.incoming.progress(1, step * 100)
        look_after(self.clock, self.incoming.look, 5.0)
        told = self.events.of(Progress)
        self.assertEqual((8, 2), (len(told), len(self.saved)))
        self.assertEqual((1, 3, 3200, 5000), self.of(told[-1]))
        self.assertGreater(told[3].rate, 1000)

    def of(self, told: Progress) -> tuple[int, int | None, int, int | None]:
        return told.entries, told.entries_total, told.bytes, told.bytes_total

    def test_done(self) -> None:
        """Its end is told and written."""
        self.clock.advance(4)
        self.incoming.ended(Outcome.OK, "", 3, 5000)
        done = self.events.last(Done)
        self.assertEqual((3, 5000, 4.0), (done.entries, done.bytes, done.seconds))
        self.assertEqual(
            (State.DONE, "ok", 5000), tuple(self.saved[-1][name] for name in ("state", "outcome", "bytes"))
        )
        self.assertEqual([self.incoming], self.over)

    def test_broken(self) -> None:
        """After a broken link the sender may come back; after a refusal it won't."""
        for outcome in Outcome:
            if outcome is Outcome.OK:
                continue
            with self.subTest(outcome):
                self.setUp()
                self.incoming.ended(outcome, "so", 1, 2)
                back = outcome in (Outcome.RESET, Outcome.TRUNCATED, Outcome.TIMEOUT)
                failed = self.events.last(Failed)
                self.assertEqual((outcome.value, "so", back), (failed.outcome, failed.reason, failed.resumable))
                self.assertEqual(State.WAITING if back else State.FAILED, self.saved[-1]["state"])

    def test_cancelled(self) -> None:
        """Cancelled here, the session is stopped with its reason, and that is how it ends, whatever its outcome."""
        self.incoming.cancel("it was cancelled at n1.n")
        self.assertEqual((["it was cancelled at n1.n"], []), (self.stopped, self.over))
        self.incoming.ended(Outcome.REFUSED, "it was cancelled at n1.n", 1, 2)
        failed = self.events.last(Failed)
        self.assertEqual((None, "cancelled", False), (failed.outcome, failed.error, failed.resumable))
        self.assertEqual(State.CANCELLED, self.saved[-1]["state"])

    def test_complete_all_the_same(self) -> None:
        """What was complete before it could be cancelled is done."""
        self.incoming.cancel("cancelled")
        self.incoming.ended(Outcome.OK, "", 3, 5000)
        self.assertEqual(State.DONE, self.saved[-1]["state"])

    def test_disk_full(self) -> None:
        """A journal that can't be written doesn't end the transfer."""
        broken: Any = lambda one: fail(LocalFileError("disk full"))  # noqa: E731 - it stands in for a method
        object.__setattr__(self.shared, "save", broken)
        self.incoming.ended(Outcome.OK, "", 3, 5000)
        self.assertEqual([self.incoming], self.over)
