"""What a transfer tells of itself while it runs."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import LocalFileError, Outcome
from p2p.console.transfer_operations import Done, Failed, Offered, Pending, Progress, Resumed, Stalled, Verified
from p2p.peer.transfers.account import Account, IncomingTransfer
from p2p.peer.transfers.journal import State, TransferRow
from p2p.peer.transfers.retry import Retries
from p2p.peer.transfers.stalls import Own
from p2p.transfer.final_names import Receipt
from p2p.transfer.records import Have
from p2p.transfer.walking import Totals
from test.peer.transfers.journals import row
from test.peer.transfers.moving_doubles import Events, Link, ScriptedMoving, look_after, shared


class AccountCase(SynchronousTestCase):
    """A transfer of a film in its first session."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.saved: list[dict[str, Any]] = []
        self.followed = Events()
        self.moving = ScriptedMoving()
        self.row: TransferRow = row()
        self.retries = Retries(10.0, 3600.0, stood=False)
        self.make()

    def make(self) -> None:
        self.account = Account(self.row, self.moving, shared(self.clock, self.saved, self.followed), self.retries)
        self.events = Events()
        self.account.audience.add(self.events.append, patient=True)
        self.account.session_begins()

    def pass_time(self, seconds: float) -> None:
        look_after(self.clock, self.account.look, seconds)


class TellingTests(AccountCase):
    """Events."""

    def test_offered(self) -> None:
        """The beginning says what it is and how much, if that is known."""
        self.account.on_begun()
        self.moving.totals = Totals(3, 500)
        self.account.on_begun()
        first, second = self.events.of(Offered)
        self.assertEqual((["film.mp4"], None, None), (first.names, first.entries, first.bytes))
        self.assertEqual((3, 500, 500), (second.entries, second.bytes, self.row.bytes_total))
        self.assertEqual((self.row.id, "m4.m", "send"), (first.transfer, first.peer, first.direction))

    def test_pending(self) -> None:
        """That a person is asked is told once, however often it comes."""
        for reason in ("n1.n asks", "n1.n asks", "still"):
            self.account.on_pending(reason)
        self.assertEqual(["n1.n asks", "still"], [event.reason for event in self.events.of(Pending)])

    def test_progress(self) -> None:
        """How far it is is told a few times a second, with rate and totals; the last word isn't held back for long."""
        self.account.on_have(Have())
        self.moving.totals = Totals(3, 5000)
        for step in range(1, 19):
            self.clock.advance(1 / 16)
            self.account.on_progress(0, step * 100)
        self.assertEqual(4, len(self.events))
        self.account.look()
        self.pass_time(0.5)
        told = self.events.last(Progress)
        self.assertEqual((0, 3, 1800, 5000), (told.entries, told.entries_total, told.bytes, told.bytes_total))
        self.assertEqual("film.mp4", told.path)
        self.assertAlmostEqual(1800 / 1.625, told.rate)
        self.assertEqual(5, len(self.events))

    def test_the_same_again(self) -> None:
        """What doesn't change isn't told again."""
        self.account.on_have(Have())
        self.clock.advance(1)
        self.account.on_progress(0, 0)
        self.pass_time(1.0)
        self.assertEqual([], self.events)

    def test_progress_is_life(self) -> None:
        """What moves has the peer wait as long as at first when the link breaks later."""
        self.account.on_have(Have())
        self.assertTrue(self.retries.stood)
        self.clock.advance(9)
        self.account.on_progress(0, 1)
        self.assertEqual(3609.0, self.retries.deadline)

    def test_verified(self) -> None:
        """Each finished entry is told, whether it got through or not."""
        receipts = [
            Receipt("film.mp4", "film (1).mp4", 5, "ab"),
            Receipt("x", "", outcome=Outcome.REFUSED, reason="no room"),
        ]
        self.assertIsNone(self.account.on_receipts(receipts))
        good, bad = self.events.of(Verified)
        self.assertEqual(("film.mp4", "film (1).mp4", 5, "ab", "ok"), (*self.names(good), good.size, good.root, "ok"))
        self.assertEqual(("refused", "no room"), (bad.outcome, bad.reason))

    def names(self, event: Verified) -> tuple[str, str]:
        return event.path, event.name

    def test_slow_reader(self) -> None:
        """The transfer waits for a client that hasn't read what became of its entries."""
        room: Deferred[None] = Deferred()
        self.account.audience.add(lambda event: room, patient=True)
        waiting = self.account.on_receipts([Receipt("a", "a"), Receipt("b", "b")])
        assert waiting is not None
        self.assertNoResult(waiting)
        room.callback(None)
        self.successResultOf(waiting)

    def test_session_without_progress(self) -> None:
        """Outside a session nothing is looked for."""
        self.account.session_ended()
        self.pass_time(60)
        self.assertEqual([], self.events)


class ResumingTests(AccountCase):
    """What is said of what was there before."""

    HAVE = Have(last="a", partial="film.mp4", offset=2048, entries=2, bytes=1000)

    def resumed(self) -> tuple[int, int, str | None, int, list[str]]:
        (event,) = self.events.of(Resumed)
        return event.entries, event.bytes, event.path, event.offset, event.restarted

    def test_goes_on(self) -> None:
        """It is told once, when the first byte shows that the part is of use."""
        self.account.on_have(self.HAVE)
        self.assertEqual(([], 3048), (self.events, self.row.bytes))
        self.account.on_progress(2, 4096)
        self.account.on_progress(2, 5096)
        self.assertEqual((2, 3048, "film.mp4", 2048, []), self.resumed())

    def test_source_changed(self) -> None:
        """If the source changed meanwhile, that is said, and its part doesn't count."""
        self.account.on_have(self.HAVE)
        self.moving.restarted = ["film.mp4"]
        self.account.on_receipts([])
        self.assertEqual((2, 1000, "film.mp4", 0, ["film.mp4"]), self.resumed())

    def test_nothing_moved(self) -> None:
        """If the session ends before anything moved, it is told at its end."""
        self.account.on_have(self.HAVE)
        self.account.session_ended()
        self.assertEqual(2048, self.resumed()[3])

    def test_fresh(self) -> None:
        """A transfer that begins isn't resumed."""
        self.account.on_have(Have())
        self.account.on_progress(0, 1)
        self.assertEqual([], self.events.of(Resumed))


class StallTests(AccountCase):
    """A session that stands still."""

    def setUp(self) -> None:
        super().setUp()
        self.link = Link()
        self.moving.link = self.link

    def stalls(self) -> list[str]:
        return [event.text for event in self.events.of(Stalled)]

    def test_shared(self) -> None:
        """A source that turns out in the session to be shared isn't taken for a slow disk."""
        self.moving.own, self.moving.own_since = Own.SHARED, 0.0
        self.pass_time(5)
        self.assertEqual(
            ["nothing went for 5 s: the source waits for the slowest of the peers that it goes to"], self.stalls()
        )

    def test_their_disk(self) -> None:
        """The link is pinged, and what it says is told within five seconds."""
        self.pass_time(2.0)
        self.link.pings[0](0.002)
        self.pass_time(3.0)
        self.assertEqual(
            ["m4.m has taken nothing for 5 s; the link answers pings in 2 ms: its disk is slow"], self.stalls()
        )
        self.assertEqual(2_000_000, self.events.last(Stalled).rtt_ns)

    def test_no_answer(self) -> None:
        """A link that ends, or doesn't answer, answers nothing."""
        self.pass_time(2.0)
        self.link.pings[0](None)
        self.pass_time(3.0)
        self.assertEqual(["m4.m has taken nothing for 5 s; no ping answered: waiting for m4.m"], self.stalls())
        self.assertIsNone(self.events.last(Stalled).rtt_ns)

    def test_no_link(self) -> None:
        """Without a link there is nothing to ping."""
        self.moving.link = None
        self.pass_time(5.0)
        self.assertIn("no link to m4.m", self.stalls()[0])

    def test_getting(self) -> None:
        """Of what is got, it is told who sends nothing."""
        self.row = row(direction="get")
        self.make()
        self.pass_time(5.0)
        self.assertIn("m4.m has sent nothing", self.stalls()[0])

    def test_excused(self) -> None:
        """While a person is asked, or a limit holds it up, nothing is said."""
        self.account.on_pending("n1.n asks")
        self.pass_time(60)
        self.account.on_have(Have())
        self.moving.excused = True
        self.pass_time(60)
        self.assertEqual([], self.stalls())

    def test_moving(self) -> None:
        """Bytes on the link, verified bytes and entries are all movement."""
        self.account.on_have(Have())
        for step in range(20):
            self.pass_time(2.0)
            self.moving.moved += step % 3 == 0
            self.account.on_progress(step // 3, step)
        self.assertEqual([], self.stalls())


class SavingTests(AccountCase):
    """The journal."""

    def test_once_a_second(self) -> None:
        """How far it is is written once a second at most, and not if nothing has changed."""
        self.account.on_have(Have())
        del self.saved[:]
        for step in range(1, 41):
            self.account.on_progress(0, step)
            self.pass_time(0.5)
        self.assertTrue(19 <= len(self.saved) <= 21, len(self.saved))
        self.pass_time(60)
        self.assertLessEqual(len(self.saved), 21)
        self.assertEqual(40, self.saved[-1]["bytes"])

    def test_disk_full(self) -> None:
        """A journal that can't be written is told in the log, and the transfer goes on."""
        broken: Any = lambda one: fail(LocalFileError("disk full"))  # noqa: E731 - it stands in for a method
        object.__setattr__(self.account._context, "save", broken)
        self.account.save()
        entering = Deferred.fromCoroutine(self.account.enter())
        self.successResultOf(entering)


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
