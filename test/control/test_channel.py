"""Tests of the control channel: deadlines, keep-alive, limits, and who is at the other end."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import Outcome
from p2p.base.texts import TEXT_CHARACTERS
from p2p.control.channel import FAREWELL_S, ControlLost, ControlTimeout, reason_of
from p2p.control.commands import ListPeers, LookupPeer, Ping, UnknownPeer
from p2p.identity.tls import LINK_ALPN
from test.control.conversation import (
    CALL_S,
    FOUND,
    HANDSHAKE_S,
    FakeTLS,
    Line,
    Lookups,
    a_channel,
    box,
    new_channel,
)


class HandshakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.channel = new_channel(self.clock)

    def test_name(self) -> None:
        """Once the handshake is done, the channel says whose certificate it saw, and is open."""
        self.channel.makeConnection(FakeTLS("n1.n"))
        self.assertFalse(self.channel.is_open)
        self.channel.handshakeCompleted()
        self.assertEqual("n1.n", self.channel.remote_name)
        self.assertEqual(["authenticated n1.n"], self.channel.notes)
        self.assertTrue(self.channel.is_open)
        self.assertEqual("n1.n at 192.0.2.7:40000", self.channel.who)

    def test_deadline(self) -> None:
        """A handshake that isn't done 10 s after the TCP connection ends it."""
        transport = FakeTLS("n1.n")
        self.channel.makeConnection(transport)
        self.clock.advance(HANDSHAKE_S - 0.01)
        self.assertFalse(transport.aborted)
        with capturedLogs() as logs:
            self.clock.advance(0.01)
        self.assertTrue(transport.aborted)
        self.assertEqual("the TLS handshake isn't done after 10 s", logs[-1]["reason"])
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_deadline_is_over(self) -> None:
        """The deadline of the handshake is gone with the handshake."""
        _, transport = a_channel(self.clock)
        self.clock.advance(HANDSHAKE_S + 1)
        self.assertFalse(transport.aborted)

    def refused(self, transport: FakeTLS, *, told: bool = False) -> str:
        """The reason that is logged when this end is cut off at the handshake, at once or when it was told why."""
        self.channel.makeConnection(transport)
        with capturedLogs() as logs:
            self.channel.handshakeCompleted()
        self.assertEqual(not told, transport.aborted)
        self.assertFalse(self.channel.is_open)
        self.assertEqual(LogLevel.warn, logs[-1]["log_level"])
        return str(logs[-1]["reason"])

    def test_other_protocol(self) -> None:
        """Who speaks another application protocol, or none, is cut off."""
        self.assertEqual("the other end doesn't speak p2p-control/1", self.refused(FakeTLS("n1.n", alpn=LINK_ALPN)))
        self.channel = new_channel(self.clock)
        self.assertEqual("the other end doesn't speak p2p-control/1", self.refused(FakeTLS("n1.n", alpn=None)))

    def test_no_certificate(self) -> None:
        """Who shows no certificate is cut off, even if TLS let it through."""
        self.assertEqual("the other end showed no certificate", self.refused(FakeTLS()))

    def test_two_names(self) -> None:
        """A certificate with two names says not who it is."""
        self.assertIn("exactly one DNS name", self.refused(FakeTLS("n1.n", "router.n")))

    def test_refused_by_the_role(self) -> None:
        """``authenticated`` may refuse the other end, with its reason in the log; that end is told it, and cut off."""
        self.channel.refuse = "not you"
        transport = FakeTLS("n1.n")
        self.assertEqual("not you", self.refused(transport, told=True))
        (said,) = transport.boxes()
        self.assertEqual({b"_command": b"Farewell", b"reason": b"not you"}, dict(said))
        self.assertTrue(transport.disconnecting)
        self.channel.dataReceived(box(ask_=b"1", command_=b"Ping"))
        self.assertEqual([], transport.boxes(), "nothing it says matters any more")
        self.clock.advance(FAREWELL_S)
        self.assertTrue(transport.aborted)

    def test_farewell(self) -> None:
        """What the other end says before it goes is why the connection ended, in a person's words, however long."""
        for said, kept in ((b"you\x1b[2J know", "you[2J know"), (b"x" * 5000, "x" * TEXT_CHARACTERS)):
            channel, transport = a_channel(self.clock)
            asked = channel.ask(Ping)
            channel.dataReceived(box(command_=b"Farewell", reason=said))
            self.assertEqual([b"Ping"], [one[b"_command"] for one in transport.boxes()], "there is no answer to it")
            channel.connectionLost(Failure(ConnectionDone()))
            self.assertEqual((f"n1.n said: {kept}", channel.farewell), (channel.end_reason, channel.end_reason))
            self.assertIn(f"n1.n said: {kept}", str(self.failureResultOf(asked, ControlLost).value))

    def test_nothing_before(self) -> None:
        """Before the handshake is done, nothing is answered and nothing can be asked."""
        transport = FakeTLS("n1.n")
        self.channel.makeConnection(transport)
        self.failureResultOf(self.channel.ask(Ping), ControlLost)
        self.channel.dataReceived(box(ask_=b"1", command_=b"Ping"))
        self.assertEqual(b"", transport.value())
        self.assertTrue(transport.aborted)

    def test_handshake_after_the_end(self) -> None:
        """A handshake that comes when the connection is given up already changes nothing."""
        transport = FakeTLS("n1.n")
        self.channel.makeConnection(transport)
        self.clock.advance(HANDSHAKE_S)
        self.channel.handshakeCompleted()
        self.assertEqual("", self.channel.remote_name)

    def test_failed_handshake(self) -> None:
        """A handshake that TLS refuses is logged with OpenSSL's reason."""
        self.channel.makeConnection(FakeTLS())
        with capturedLogs() as logs:
            self.channel.connectionLost(Failure(SSL.Error([("SSL routines", "", "certificate verify failed")])))
        self.assertEqual("TLS: certificate verify failed", logs[-1]["reason"])
        self.assertEqual(["closed"], self.channel.notes)
        self.assertEqual("nowhere", self.channel.who)

    def test_close_before(self) -> None:
        """Closing before the handshake is done cuts off, because there is nobody to be polite to."""
        transport = FakeTLS("n1.n")
        self.channel.makeConnection(transport)
        self.channel.close()
        self.assertTrue(transport.aborted)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_expected_steps(self) -> None:
        """A role may expect a next step, such as the registration, within its own time."""
        channel, transport = a_channel(self.clock)
        channel.expect("Register", 3)
        self.clock.advance(2)
        channel.settled()
        self.clock.advance(5)
        self.assertFalse(transport.aborted)
        channel.expect("Register", 3)
        late = channel.ask(LookupPeer, deadline=1, name="m4.m")
        self.clock.advance(1)
        self.failureResultOf(late, ControlTimeout)
        self.assertFalse(transport.aborted)
        self.clock.advance(2)
        self.assertTrue(transport.aborted)


class AskingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asking, self.answering = new_channel(self.clock), new_channel(self.clock)
        self.lookups = self.answering.locator = Lookups()
        self.line = Line(self.asking, self.answering)

    def test_call(self) -> None:
        """``call`` is a coroutine that returns the answer with text keys."""
        answer: Deferred[dict[str, Any]] = Deferred.fromCoroutine(self.asking.call(LookupPeer, name="m4.m"))
        self.line.settle()
        self.lookups.waiting[0].callback(FOUND)
        self.line.settle()
        self.assertEqual(FOUND, self.successResultOf(answer))

    def test_pipelined(self) -> None:
        """Questions leave before any of them is answered, and answers may come in another order."""
        asked = [self.asking.ask(LookupPeer, name=f"m{number}.m") for number in range(3)]
        self.assertEqual(3, len(self.line.ends[0][1].value().split(b"LookupPeer")) - 1)
        self.line.settle()
        for number in (2, 0, 1):
            self.lookups.waiting[number].callback({**FOUND, "table_lookup_ns": number})
        self.line.settle()
        self.assertEqual([0, 1, 2], [self.successResultOf(one)["table_lookup_ns"] for one in asked])

    def test_deadline(self) -> None:
        """A question without an answer fails after ``call_s``, and says what wasn't answered by whom."""
        asked = self.asking.ask(LookupPeer, name="m4.m")
        self.clock.advance(CALL_S - 0.01)
        self.assertNoResult(asked)
        self.clock.advance(0.01)
        error = self.failureResultOf(asked, ControlTimeout).value
        self.assertEqual("n1.n at 192.0.2.7:40000 didn't answer LookupPeer within 10 s", str(error))
        self.assertIs(Outcome.TIMEOUT, ControlTimeout.outcome)

    def test_own_deadlines(self) -> None:
        """Each question may have its own deadline, kept to a tenth of a second, in whatever order they were asked."""
        asked = {wait: self.asking.ask(LookupPeer, deadline=wait, name="m4.m") for wait in (5.0, 0.02, 1.0, 30.0)}
        ended: dict[float, float] = {}
        for wait, one in asked.items():
            one.addErrback(lambda failure, wait=wait: ended.update({wait: self.clock.seconds()}))
        self.clock.pump([0.01] * 1000)
        self.assertEqual([0.02, 1.0, 5.0], sorted(ended))
        for wait, when in ended.items():
            self.assertTrue(wait <= when + 1e-9 <= wait + 0.12, f"{wait} ended at {when}")

    def test_late_answer(self) -> None:
        """An answer after the deadline is dropped, the connection goes on, and nothing of the question is left."""
        asked = self.asking.ask(LookupPeer, deadline=1.0, name="m4.m")
        self.line.settle()
        self.clock.advance(1.0)
        self.failureResultOf(asked, ControlTimeout)
        self.assertEqual(0, len(self.asking._questions))
        self.lookups.waiting[0].callback(FOUND)
        self.line.settle()
        self.assertTrue(self.asking.is_open)
        again = self.asking.ask(LookupPeer, name="m4.m")
        self.line.settle()
        self.lookups.waiting[1].errback(UnknownPeer("gone"))
        self.line.settle()
        self.failureResultOf(again, UnknownPeer)
        self.assertEqual({}, self.asking._outstandingRequests)

    def test_late_error(self) -> None:
        """An error after the deadline is dropped likewise."""
        asked = self.asking.ask(LookupPeer, deadline=1.0, name="m4.m")
        self.line.settle()
        self.clock.advance(1.0)
        self.failureResultOf(asked, ControlTimeout)
        self.lookups.waiting[0].errback(UnknownPeer("gone"))
        self.line.settle()
        self.assertTrue(self.asking.is_open)

    def test_one_timer(self) -> None:
        """However many questions wait, a channel has one timer, and none when it has ended."""
        asked = [self.asking.ask(LookupPeer, name="m4.m") for _ in range(1000)]
        self.assertEqual(2, len(self.clock.getDelayedCalls()))
        self.line.cut()
        for one in asked:
            self.failureResultOf(one, ControlLost)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_end_of_the_connection(self) -> None:
        """At the end, everything that waits fails with the reason, after the channel was told."""
        asked = self.asking.ask(LookupPeer, name="m4.m")
        seen: list[str] = []
        asked.addErrback(lambda failure: seen.append(f"{self.asking.notes[-1]}, then {failure.value}"))
        self.line.cut(ConnectionDone("bye"))
        self.assertEqual(
            ["closed, then the control channel to n1.n at 192.0.2.7:40000 ended: closed"],
            seen,
        )
        self.failureResultOf(self.asking.ask(Ping), ControlLost)
        self.assertIs(Outcome.CLUSTER_UNREACHABLE, ControlLost.outcome)

    def test_when_ended(self) -> None:
        """Whoever waits for the end is told of it, also later; each may give up alone."""
        first, second = self.asking.when_ended(), self.asking.when_ended()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertNoResult(second)
        self.line.cut()
        self.successResultOf(second)
        self.successResultOf(self.asking.when_ended())

    def test_fault_at_the_end(self) -> None:
        """Questions fail even if being told of the end goes wrong."""
        asked = self.asking.ask(LookupPeer, name="m4.m")

        def closed(reason: Failure) -> None:
            raise ZeroDivisionError

        self.asking.closed = closed
        self.assertRaises(ZeroDivisionError, self.asking.connectionLost, Failure(ConnectionDone()))
        self.failureResultOf(asked, ControlLost)
        self.successResultOf(self.asking.when_ended())

    def test_cancelled(self) -> None:
        """A question that its asker gives up doesn't disturb the others when its answer comes."""
        asked = self.asking.ask(LookupPeer, name="m4.m")
        asked.addErrback(lambda failure: None)
        self.line.settle()
        asked.cancel()
        self.lookups.waiting[0].callback(FOUND)
        self.line.settle()
        self.assertTrue(self.asking.is_open)
        self.assertEqual(0, len(self.asking._questions))

    def test_remote_text(self) -> None:
        """The text of an error is cut to 500 characters, without anything that steers a terminal."""
        asked = self.asking.ask(LookupPeer, name="m4.m")
        self.line.settle()
        text = "\x1b[31mred\nfake log line\u202e" + "x" * 10_000
        self.asking.dataReceived(
            box(error_=b"1", error_code_=b"UNKNOWN_PEER", error_description_=text.encode() + b"\xff")
        )
        shown = str(self.failureResultOf(asked, UnknownPeer).value)
        self.assertTrue(shown.startswith("[31mredfake log linexxx"), shown)
        self.assertLessEqual(len(shown), TEXT_CHARACTERS)

    def test_call_remote(self) -> None:
        """Twisted's own ``callRemote`` has a deadline too."""
        asked = self.asking.callRemote(LookupPeer, name="m4.m")
        self.clock.advance(CALL_S)
        self.failureResultOf(asked, ControlTimeout)


class ClosingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.channel, self.transport = a_channel(self.clock, locator=Lookups())

    def test_polite(self) -> None:
        """Closing sends what is written and then ends the connection; no question is taken or asked any more."""
        self.channel.close()
        self.assertTrue(self.transport.disconnecting)
        self.assertIsNone(self.transport.producer)
        self.failureResultOf(self.channel.ask(Ping), ControlLost)
        self.channel.dataReceived(box(ask_=b"1", command_=b"LookupPeer", name=b"m4.m"))
        self.assertEqual(b"", self.transport.value())
        self.channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_answers_still_come(self) -> None:
        """What was asked before may be answered while the connection closes."""
        asked = self.channel.ask(LookupPeer, name="m4.m")
        self.channel.close()
        self.channel.dataReceived(box(answer_=b"1", address=b"198.51.100.4", table_lookup_ns=b"512"))
        self.assertEqual(FOUND, self.successResultOf(asked))

    def test_impolite_other_end(self) -> None:
        """An end that doesn't let go is cut off after ``call_s``."""
        self.channel.close()
        self.clock.pump([0.1] * 99)
        self.assertFalse(self.transport.aborted)
        self.clock.pump([0.1] * 2)
        self.assertTrue(self.transport.aborted)

    def test_own_deadline(self) -> None:
        """Whoever is in a hurry may say so."""
        self.channel.close(2.0)
        self.clock.advance(2.0)
        self.assertTrue(self.transport.aborted)

    def test_twice(self) -> None:
        """Closing or cutting off what is closed already does nothing."""
        self.channel.close()
        self.channel.close()
        self.channel.abort("enough")
        with capturedLogs() as logs:
            self.channel.abort("enough")
            self.channel.close()
        self.assertEqual([], logs)


class ReasonTests(SynchronousTestCase):
    def test_one_line(self) -> None:
        """A reason is one line without control characters."""
        self.assertEqual("two lines", reason_of(Failure(OSError("two\n lines."))))

    def test_unused_commands(self) -> None:
        """A locator of one role answers nothing of another."""
        self.assertIsNone(Lookups().locateResponder(ListPeers.commandName))
