"""Transfers that other peers begin at a daemon, and how all of them are shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs, formatEvent

from p2p.base.errors import CancelledThere, LocalFileError, Outcome
from p2p.console.transfer_operations import Done, Offered
from p2p.exchange.rules import Names, Offer
from p2p.transfer.notes import local_id
from p2p.transfer.receiving import ReceivingEngine
from test.peer.transfers.moving_doubles import WALL, Events
from test.peer.transfers.movings import TransfersCase


class IncomingTests(TransfersCase):
    """What other peers begin here."""

    OFFER = Offer("m4.m", "transfer", name="x.mp4", bytes=500, entries=2, id="ab" * 8)

    def setUp(self) -> None:
        super().setUp()
        self.stopped: list[str] = []
        self.followed = Events()
        self.unfollow = self.transfers.follow(self.followed.append)

    def begin(self, offer: Offer = OFFER, folder: Path | None = None) -> Any:
        return self.transfers.incoming("n1.n", offer, self.stopped.append, folder)

    def test_received(self) -> None:
        """It is in the journal, those who follow are told, and nothing is left of it."""
        incoming = self.begin()
        (shown,) = self.did(self.transfers.shown(9)).transfers
        self.assertEqual(("receive", "m4.m", ["x.mp4"], "running"), self.fields(shown))
        incoming.progress(1, 250)
        (shown,) = self.did(self.transfers.shown(9)).transfers
        self.assertEqual((1, 250, 500), (shown.entries, shown.bytes, shown.bytes_total))
        incoming.ended(Outcome.OK, "", 2, 500)
        self.assertEqual(["offered", "done"], self.followed.kinds())
        self.assertEqual({"m4.m": "done"}, self.rows())
        self.clock.advance(1)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_all_names(self) -> None:
        """What is shown and told of it has all names, or as many as there is room for and a count."""
        names = [f"{number:0100}" for number in range(50)]
        for said, listed, more in ((["a.mp3", "b"], ["a.mp3", "b"], 0), (names, names[:10], 40), ([], ["x.mp4"], 0)):
            self.begin(replace(self.OFFER, names=Names.of(said) if said else None))
            shown = self.did(self.transfers.shown(9)).transfers[0]
            told = self.followed.last(Offered)
            self.assertEqual((listed, more), (shown.names, shown.more_names))
            self.assertEqual((listed, more), (told.names, told.more_names))

    def fields(self, shown: Any) -> tuple[str, str, list[str], str]:
        return shown.direction, shown.peer, shown.names, shown.state

    def test_served(self) -> None:
        """What others get from here is told apart from what they send."""
        self.begin(Offer("m4.m", "fetch", id="ab" * 8))
        self.assertEqual("serve", self.did(self.transfers.shown(9)).transfers[0].direction)

    def test_second_session(self) -> None:
        """A session that begins while the end of the one before isn't known yet isn't forgotten with it."""
        first, second = self.begin(), self.begin()
        first.ended(Outcome.RESET, "gone", 0, 0)
        self.assertEqual([second], list(self.transfers._incoming.values()))

    def test_logged(self) -> None:
        """How it ended is in the log, unless the link broke, which is told elsewhere and isn't the end."""
        for outcome, told in (
            (Outcome.OK, "n1.n: transfer abababababababab (receive, m4.m) is complete: 2 entries, 500 bytes"),
            (Outcome.RESET, None),
            (Outcome.REFUSED, "n1.n: transfer abababababababab (receive, m4.m) failed: the disk is full"),
        ):
            incoming = self.begin()
            with capturedLogs() as logs:
                incoming.ended(outcome, "the disk is full", 2, 500)
            self.assertEqual([] if told is None else [told], [formatEvent(one) for one in logs])

    def test_cancelled(self) -> None:
        """It can be cancelled here: the session is stopped, and its sender is told by whom."""
        incoming = self.begin()
        cancelling = Deferred.fromCoroutine(self.transfers.cancel("ab" * 8))
        self.assertEqual(["it was cancelled at n1.n"], self.stopped)
        self.assertNoResult(cancelling)
        incoming.ended(Outcome.REFUSED, "it was cancelled at n1.n", 0, 0)
        (shown,) = self.successResultOf(cancelling).transfers
        self.assertEqual(("cancelled", {"m4.m": "cancelled"}), (shown.state, self.rows()))

    def test_cancelled_later(self) -> None:
        """What its sender hasn't gone on with can be cancelled, and its parts are removed."""
        inbox = self.base / "inbox"
        inbox.mkdir()
        engine = ReceivingEngine(inbox, local_id("m4.m", "ab" * 8))
        engine.have()
        engine.suspend()
        self.begin(folder=inbox).ended(Outcome.RESET, "gone", 0, 0)
        self.cancelled_later()
        self.assertEqual([], list(inbox.iterdir()))

    def cancelled_later(self) -> None:
        """Cancel what doesn't run; the other side is told, and says that it is done."""
        cancelling = Deferred.fromCoroutine(self.transfers.cancel("ab" * 8))
        (session,) = self.sessions
        assert session.request is not None
        self.assertEqual(("m4.m", {"id": "ab" * 8, "cancel": "1"}), (session.target, session.request.more))
        session.end.callback(None)
        self.successResultOf(cancelling)

    def test_given_up(self) -> None:
        """What its sender gives up, whether a session is under way or none, is removed and isn't gone on with."""
        inbox = self.base / "inbox"
        inbox.mkdir()
        for live in (True, False):
            engine = ReceivingEngine(inbox, local_id("m4.m", "ab" * 8))
            engine.have()
            incoming = self.begin(folder=inbox)
            if not live:
                engine.suspend()
                incoming.ended(Outcome.RESET, "gone", 0, 0)
            giving_up = Deferred.fromCoroutine(self.transfers.given_up("n1.n", self.OFFER, inbox))
            if live:
                self.assertNoResult(giving_up)
                engine.suspend()
                incoming.ended(Outcome.RESET, "gone", 0, 0)
            self.successResultOf(giving_up)
            self.assertEqual(({"m4.m": "cancelled"}, []), (self.rows(), list(inbox.iterdir())))
            self.assertEqual(["it was cancelled at m4.m"], self.stopped)

    def test_cancelled_by_those_who_share(self) -> None:
        """What is sent from here, or got, is over when the other side cancels it, whether it runs or waits."""
        (self.base / "inbox").mkdir()
        for live, begin in ((True, self.send), (False, self.send), (True, self.get), (False, self.get)):
            moving = begin()
            session = self.sessions[-1]
            if not live:
                session.fail()
                self.leave(moving)
            offer = Offer("m4.m", "transfer", id=session.transfer)
            self.did(self.transfers.given_up("n1.n", replace(offer, sender="m3.m"), self.base / "inbox"))
            (row,) = self.did(self.journal.find(session.transfer))
            self.assertNotEqual("cancelled", row.state.value, "only who takes part in it can cancel it")
            count = len(self.sessions)
            self.did(self.transfers.given_up("n1.n", offer, self.base / "inbox"))
            if live:
                (ended,) = self.successResultOf(moving).transfers
                told = ended.outcome, ended.error, ended.reason
                self.assertEqual((None, "cancelled", "it was cancelled at m4.m"), told)
            (row,) = self.did(self.journal.find(session.transfer))
            self.assertEqual(("cancelled", "it was cancelled at m4.m"), (row.state.value, row.reason))
            self.assertEqual(count, len(self.sessions), "who cancelled it isn't told of that")

    def test_still_wanted(self) -> None:
        """What was cancelled here while nobody went on with it is over for whoever comes back, and nothing else is."""
        for service in ("transfer", "fetch"):
            offer = Offer("m4.m", service, id="ab" * 8)
            incoming = self.begin(offer)
            incoming.ended(Outcome.RESET, "gone", 0, 0)
            self.did(self.transfers.check_wanted("n1.n", offer))
            cancelling = Deferred.fromCoroutine(self.transfers.cancel("ab" * 8))
            self.sessions[-1].end.callback(None)  # the other side is told at once, if it is there
            self.successResultOf(cancelling)
            checking = Deferred.fromCoroutine(self.transfers.check_wanted("n1.n", offer))
            self.assertEqual("it was cancelled at n1.n", str(self.failureResultOf(checking, CancelledThere).value))
            self.did(self.transfers.check_wanted("n2.n", offer))
            self.did(self.transfers.check_wanted("n1.n", replace(offer, sender="m3.m")))

    def test_given_up_when_done(self) -> None:
        """What has come whole stays; what isn't known doesn't matter."""
        inbox = self.base / "inbox"
        inbox.mkdir()
        self.did(self.transfers.given_up("n1.n", self.OFFER, inbox))
        self.begin(folder=inbox).ended(Outcome.OK, "", 2, 500)
        self.did(self.transfers.given_up("n1.n", self.OFFER, inbox))
        self.assertEqual({"m4.m": "done"}, self.rows())

    def test_cancelled_serving(self) -> None:
        """What others didn't go on getting from here has no parts here."""
        self.begin(Offer("m4.m", "fetch", id="ab" * 8)).ended(Outcome.RESET, "gone", 0, 0)
        self.cancelled_later()
        self.assertEqual({"m4.m": "cancelled"}, self.rows())

    def test_daemon_ends(self) -> None:
        """When the daemon ends, nobody looks after what others had begun any more."""
        incoming = self.begin()
        self.did(self.transfers.stop())
        incoming.ended(Outcome.RESET, "n1.n is stopping", 0, 0)
        self.begin()
        self.did(self.transfers.close())
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_killed(self) -> None:
        """What others had begun waits for them after a restart; this daemon can't go on with it."""
        self.begin()
        self.kill_daemon()
        self.begin_daemon()
        self.assertEqual(({"m4.m": "waiting"}, []), (self.rows(), self.sessions))

    def test_journal_full(self) -> None:
        """A journal that can't be written doesn't keep anything from coming."""

        self.journal.enter = lambda row: fail(LocalFileError("full"))  # type: ignore[method-assign]  # the disk is
        self.begin()

    def test_follow(self) -> None:
        """Who follows is told of all transfers until they leave."""
        self.send()
        self.unfollow()
        self.sessions[0].done()
        self.assertEqual(["offered"], self.followed.kinds())
        self.assertEqual(1, len(self.events.of(Done)))

    def test_shown(self) -> None:
        """The list says of each what it is and how it is."""
        self.send(paths=[str(self.film), str(self.base)])
        (shown,) = self.did(self.transfers.shown(9)).transfers
        self.assertEqual(("send", "m4.m", ["film.mp4", self.base.name], "running"), self.fields(shown))
        self.assertEqual((WALL, WALL + 3600, "n1.n"), (shown.created, shown.deadline, shown.acting))
