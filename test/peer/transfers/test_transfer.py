"""One transfer with one peer, from its first session to its end."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import CancelledThere, ExchangeFailed, InvalidName, LocalFileError, Outcome, P2PError
from p2p.console.transfer_operations import Done, Failed, MovedOne, Resumed, Waiting
from p2p.peer.transfers.interfaces import BeginAnew
from p2p.peer.transfers.journal import State
from p2p.peer.transfers.transfer import Ending, Transfer
from p2p.transfer.records import Have
from p2p.transfer.walking import Totals
from test.peer.transfers.journals import row
from test.peer.transfers.moving_doubles import WALL, Events, ScriptedMoving, shared


class TransferCase(SynchronousTestCase):
    """A transfer of a film, whose sessions go as the test says."""

    def make(
        self,
        *,
        known: bool = False,
        stream: bool = False,
        slots: int = 8,
        patience_s: float = 3600.0,
        **changes: Any,
    ) -> Transfer:
        self.clock = Clock()
        self.ahead_s = 0.0  # how far somebody has set the wall clock
        self.saved: list[dict[str, Any]] = []
        self.followed = Events()
        self.shared = shared(self.clock, self.saved, self.followed, slots=slots, ahead=lambda: self.ahead_s)
        self.moving = ScriptedMoving(stream=stream)
        self.over: list[Transfer] = []
        self.events = Events()
        made = row(**{"created": WALL, "deadline": WALL + 3600, **changes})
        self.transfer = Transfer(made, self.moving, self.shared, patience_s=patience_s, known=known)
        self.leave = self.transfer.attach(self.events.append, made.deadline - WALL)
        return self.transfer

    def begin(self, **how: Any) -> Transfer:
        transfer = self.make(**how)
        transfer.start(self.over.append)
        return transfer

    def fail_session(self, outcome: Outcome = Outcome.RESET, reason: str = "the link broke") -> None:
        self.moving.end.errback(Failure(ExchangeFailed(outcome, reason)))

    def result(self) -> MovedOne:
        return self.successResultOf(self.transfer.when_over())


class EndTests(TransferCase):
    """How a transfer ends."""

    def test_done(self) -> None:
        """A session that goes through is the whole transfer; the journal has it before anybody hears of it."""
        transfer = self.begin()
        self.moving.told.on_have(Have())
        self.moving.done_bytes = 500
        self.clock.advance(2)
        self.moving.end.callback(Totals(3, 500, 1))
        done = self.events.last(Done)
        self.assertEqual((3, 500, 1, 500, 1, 2.0), (done.entries, done.bytes, done.refused, *self.of_sessions(done)))
        self.assertEqual(State.DONE, self.saved[-1]["state"])
        self.assertEqual(("ok", 3, 500, 1), self.moved())
        self.assertEqual(([transfer], 1), (self.over, self.moving.closed))
        self.assertEqual(self.events, self.followed)

    def of_sessions(self, done: Done) -> tuple[int, int, float]:
        return done.sent_bytes, done.sessions, done.seconds

    def moved(self) -> tuple[str | None, int, int, int]:
        result = self.result()
        return result.outcome, result.entries, result.bytes, result.refused

    def test_asked_later(self) -> None:
        """Who asks how it ended after its end is told, too; who doesn't wait any more disturbs nobody."""
        self.begin()
        gone = self.transfer.when_over()
        gone.cancel()
        self.failureResultOf(gone)
        waiting = self.transfer.when_over()
        self.moving.end.callback(Totals(1, 1))
        self.assertEqual(self.successResultOf(waiting), self.result())

    def test_refused(self) -> None:
        """What was refused isn't tried again, and its reason is told."""
        self.begin()
        self.fail_session(Outcome.REFUSED, "m4.m takes nothing from n1.n")
        failed = self.events.last(Failed)
        self.assertEqual(("refused", "outcome", False), (failed.outcome, failed.error, failed.resumable))
        self.assertEqual("m4.m takes nothing from n1.n", failed.reason)
        self.assertEqual(("refused", State.FAILED), (self.result().outcome, self.transfer.row.state))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_own_disk(self) -> None:
        """What this machine's disk can't do isn't tried again; the same command goes on with it."""
        self.begin()
        self.moving.told.on_have(Have())
        self.moving.end.errback(Failure(LocalFileError("disk full")))
        failed = self.events.last(Failed)
        self.assertEqual((None, "file", True), (failed.outcome, failed.error, failed.resumable))
        self.assertEqual(("file", "disk full"), (self.result().error, self.result().reason))

    def test_no_name(self) -> None:
        """A name that is none is told as such."""
        self.begin()
        self.moving.end.errback(Failure(InvalidName("no name")))
        self.assertEqual("usage", self.result().error)

    def test_fault(self) -> None:
        """A fault of ours is logged, and ends this transfer alone."""
        self.begin()
        self.moving.end.errback(Failure(KeyError("fault")))
        self.assertEqual("internal", self.result().error)
        self.assertEqual(1, len(self.flushLoggedErrors(KeyError)))
        self.assertEqual([self.transfer], self.over)

    def test_fault_at_the_end(self) -> None:
        """Even if it can't be ended as it should, nobody waits for ever."""
        self.begin()
        self.moving.close = None  # type: ignore[method-assign, assignment]  # a fault
        self.moving.end.callback(Totals(1, 1))
        self.assertEqual("internal", self.result().error)
        self.assertEqual(1, len(self.flushLoggedErrors(TypeError)))
        self.assertEqual([self.transfer], self.over)


class RetryTests(TransferCase):
    """Links break."""

    def test_goes_on(self) -> None:
        """After a broken link the next session begins by itself, and knows that there is something already."""
        self.begin()
        self.moving.told.on_have(Have())
        self.fail_session()
        waiting = self.events.last(Waiting)
        self.assertEqual(("reset", "the link broke", 0.5), (waiting.outcome, waiting.reason, waiting.retry_s))
        self.assertEqual(3600.0, waiting.left_s)
        self.assertEqual(State.WAITING, self.saved[-1]["state"])
        self.clock.advance(0.5)
        self.assertEqual([False, True], [known for known, *_ in self.moving.sessions])
        self.assertEqual(State.RUNNING, self.saved[-1]["state"])
        self.moving.end.callback(Totals(1, 1))
        self.assertEqual("ok", self.result().outcome)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_before_it_could_say_so(self) -> None:
        """Even if the peer never said that it agreed, the next session asks what it has already."""
        self.begin()
        self.fail_session(Outcome.RESET)
        self.clock.advance(1)
        self.assertEqual([False, True], [known for known, *_ in self.moving.sessions])

    def test_unknown_peer(self) -> None:
        """A peer that was there and isn't registered now is waited for, even by another daemon's transfer."""
        self.begin(sessions=1, known=True)
        self.fail_session(Outcome.UNKNOWN_PEER)
        self.clock.advance(1)
        self.assertEqual(2, len(self.moving.sessions))
        self.begin()
        self.fail_session(Outcome.UNKNOWN_PEER)
        self.assertEqual("unknown-peer", self.result().outcome)

    def test_link_stands(self) -> None:
        """When a link to the peer stands, nobody waits for the end of the pause."""
        self.begin()
        for _ in range(8):
            self.fail_session()
            self.transfer.wake()
        self.assertEqual(9, len(self.moving.sessions))
        self.assertEqual(0.0, self.clock.seconds())
        self.assertEqual([], self.clock.getDelayedCalls())
        self.transfer.wake()  # nobody waits now

    def test_deadline(self) -> None:
        """At the deadline it is tried once more, and then given up, with what broke it last."""
        self.begin(deadline=WALL + 10)
        while not self.over:
            self.fail_session()
            self.clock.advance(20)
        self.assertGreaterEqual(self.clock.seconds(), 10.0)
        self.assertEqual("reset", self.result().outcome)
        self.assertIn("; its deadline, 3600 s without progress, is over", self.result().reason)

    def test_progress_renews(self) -> None:
        """As long as content moves, broken links aren't counted against the transfer."""
        self.begin(deadline=WALL + 10)
        for size in range(1, 20):
            self.moving.told.on_have(Have())
            self.moving.told.on_progress(0, size)
            self.clock.advance(5)
            self.fail_session()
            self.clock.advance(1)
        self.assertEqual([], self.over)
        self.assertGreater(self.saved[-1]["deadline"], WALL + 3600)

    def test_longer_for_another(self) -> None:
        """Somebody who asks for the same and has more time gives it to the transfer, and is told of it."""
        self.begin(deadline=WALL + 10)
        self.transfer.attach(self.events.append, 100.0)
        self.fail_session()
        self.assertEqual(100.0, self.events.last(Waiting).left_s)

    def test_deadline_in_a_session(self) -> None:
        """A session in which nothing moves doesn't outlast the deadline, unless a person or a limit holds it up."""
        self.begin(patience_s=3.0, deadline=WALL + 3)
        self.moving.told.on_have(Have())
        self.clock.advance(2.5)
        self.transfer.look()
        self.moving.told.on_progress(0, 10)
        for excused, seconds in ((False, 2.5), (True, 3.0), (False, 2.5)):
            self.moving.excused = excused
            self.clock.advance(seconds)
            self.transfer.look()
            self.assertEqual([], self.over)
        self.clock.advance(0.5)
        self.transfer.look()
        self.assertEqual(([self.transfer], "timeout"), (self.over, self.result().outcome))
        self.assertIn("its deadline, 3 s without progress, is over", self.result().reason)
        self.assertTrue(self.events.last(Failed).resumable)

    def test_clock_is_set(self) -> None:
        """However the wall clock is set, a transfer has the time that it was given; people see by their clock when
        that is over."""
        self.begin(deadline=WALL + 100)
        for step in (1e6, -1e6):
            self.ahead_s = step
            self.moving.told.on_have(Have())
            self.fail_session()
            left_s = self.events.last(Waiting).left_s
            self.assertEqual(100.0 - self.clock.seconds(), left_s)
            self.assertEqual(WALL + step + 100, self.transfer.row.deadline)
            self.clock.advance(1)
        self.ahead_s = 1e6
        self.transfer.attach(self.events.append, 200.0)
        self.fail_session()
        self.assertEqual(200.0, self.events.last(Waiting).left_s)

    def test_begin_anew(self) -> None:
        """A session that began in the wrong way is followed by the next at once."""
        self.begin()
        self.moving.end.errback(Failure(BeginAnew("the receiver has a part")))
        self.assertEqual([False, True], [known for known, *_ in self.moving.sessions])
        self.assertEqual([], self.events.of(Waiting))

    def test_pipe(self) -> None:
        """What came from a pipe is gone: as soon as it was read, a broken link ends the transfer."""
        self.begin(stream=True)
        self.fail_session()
        self.clock.advance(1)
        self.moving.told.on_have(Have())
        self.moving.spent = True
        self.fail_session()
        self.assertEqual((2, "reset"), (len(self.moving.sessions), self.result().outcome))
        self.assertFalse(self.events.last(Failed).resumable)

    def test_sent_bytes(self) -> None:
        """What went over the network is counted over all sessions, without what didn't go again."""
        self.begin()
        self.moving.told.on_have(Have())
        self.moving.done_bytes = 700
        self.fail_session()
        self.clock.advance(1)
        self.moving.told.on_have(Have(partial="film.mp4", offset=600))
        self.moving.done_bytes = 1000
        self.moving.end.callback(Totals(1, 1000))
        done = self.events.last(Done)
        self.assertEqual((1100, 2), (done.sent_bytes, done.sessions))
        self.assertEqual([600], [event.offset for event in self.events.of(Resumed)])

    def test_slots(self) -> None:
        """Only so many sessions take place at a time; a transfer that waits for the network leaves its place."""
        self.begin(slots=1)
        second_moving = ScriptedMoving()
        second = Transfer(row("11" * 8, deadline=WALL + 3600), second_moving, self.shared, patience_s=9.0, known=False)
        second.start(self.over.append)
        self.assertEqual([], second_moving.sessions)
        self.fail_session()
        self.assertEqual(1, len(second_moving.sessions))
        self.clock.advance(1)
        self.assertEqual(1, len(self.moving.sessions))
        second_moving.end.callback(Totals(1, 1))
        self.assertEqual(2, len(self.moving.sessions))


class FromHereTests(TransferCase):
    """A transfer that is ended from here."""

    def end(self, ending: Ending) -> MovedOne:
        self.transfer.end(ending)
        return self.result()

    def test_paused(self) -> None:
        """When its client leaves, it is paused: the parts stay for the same command."""
        self.begin()
        result = self.end(Ending.PAUSED)
        self.assertEqual((State.PAUSED, 0, "cancelled"), (self.saved[-1]["state"], self.moving.removed, result.error))
        self.assertTrue(self.events.last(Failed).resumable)
        self.assertEqual(1, self.moving.closed)

    def test_stopped(self) -> None:
        """When the daemon stops, it waits for the next start."""
        self.begin()
        self.end(Ending.STOPPING)
        self.assertEqual((State.WAITING, "the daemon was stopped"), (self.saved[-1]["state"], self.saved[-1]["reason"]))

    def test_cancelled(self) -> None:
        """When it is cancelled, what isn't finished is removed."""
        self.begin()
        self.end(Ending.CANCELLED)
        self.assertEqual((State.CANCELLED, 1), (self.saved[-1]["state"], self.moving.removed))
        self.assertFalse(self.events.last(Failed).resumable)

    def test_cancelled_there(self) -> None:
        """When the other side cancels it, it is over here as well, and nobody needs to be told."""
        for refused in (False, True):
            self.begin()
            if refused:
                self.moving.end.errback(CancelledThere("it was cancelled at m4.m"))
            else:
                self.end(Ending.CANCELLED_THERE)
            saved, failed = self.saved[-1], self.events.last(Failed)
            self.assertEqual((State.CANCELLED, ""), (saved["state"], saved["outcome"]))
            self.assertEqual("it was cancelled at m4.m", failed.reason)
            self.assertEqual((None, "cancelled", False), (failed.outcome, failed.error, failed.resumable))
            self.assertEqual([False], self.moving.telling)

    def test_parts_stay(self) -> None:
        """If they can't be removed, it is cancelled all the same, and that is told."""
        self.begin()
        self.moving.cannot_remove = P2PError("no permission")
        self.end(Ending.CANCELLED)
        saved = self.saved[-1]
        self.assertEqual((State.CANCELLED, "it was cancelled here; no permission"), (saved["state"], saved["reason"]))

    def test_pipe(self) -> None:
        """What went through a pipe can't be paused."""
        for ending in Ending:
            with self.subTest(ending):
                self.begin(stream=True)
                self.end(ending)
                self.assertEqual(State.CANCELLED, self.saved[-1]["state"])

    def test_failed_pipe(self) -> None:
        """Nobody can go on with a pipe that failed: the other side, if it is there, needn't keep its part."""
        for link, removed in ((None, 0), (object(), 1)):
            self.begin(stream=True)
            self.moving.link = link
            self.moving.end.errback(ExchangeFailed(Outcome.REFUSED, "the disk is full"))
            self.assertEqual((State.FAILED, removed), (self.saved[-1]["state"], self.moving.removed))

    def test_while_waiting(self) -> None:
        """It can be ended while it waits for its next session, and no timer stays."""
        self.begin()
        self.fail_session()
        self.end(Ending.PAUSED)
        self.assertEqual((State.PAUSED, []), (self.saved[-1]["state"], self.clock.getDelayedCalls()))

    def test_before_its_start(self) -> None:
        """One that is ended before it begins asks nobody anything."""
        transfer = self.make()
        transfer.end(Ending.PAUSED)
        transfer.start(self.over.append)
        self.assertEqual(([], State.PAUSED), (self.moving.sessions, self.saved[-1]["state"]))

    def test_once(self) -> None:
        """The first reason counts, and after its end there is nothing to end."""
        self.begin()
        self.transfer.end(Ending.STOPPING)
        self.transfer.end(Ending.CANCELLED)
        self.assertEqual(0, self.moving.removed)
        self.transfer.end(Ending.CANCELLED)
        self.assertEqual(State.WAITING, self.saved[-1]["state"])

    def test_session_that_fails_instead(self) -> None:
        """A session that ends with its own failure when it is cancelled doesn't begin again."""
        self.begin()

        def instead(end: Any) -> None:
            end.errback(ExchangeFailed(Outcome.RESET, "reset"))

        self.moving.end._canceller = instead
        self.end(Ending.PAUSED)
        self.assertEqual((1, State.PAUSED), (len(self.moving.sessions), self.saved[-1]["state"]))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_session_that_was_complete(self) -> None:
        """What was complete before it could be ended is done."""
        self.begin()
        self.moving.end._canceller = lambda end: end.callback(Totals(1, 5))
        self.end(Ending.PAUSED)
        self.assertEqual(State.DONE, self.saved[-1]["state"])
