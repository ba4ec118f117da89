"""Tests of what a control channel does with an end that errs, floods it, or falls silent."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.texts import TEXT_CHARACTERS
from p2p.control.channel import BOX_KEYS, ControlLost
from p2p.control.commands import Busy, LookupPeer, Refused, UnknownPeer
from test.control.conversation import (
    FOUND,
    SILENCE_S,
    Line,
    Lookups,
    a_channel,
    box,
    new_channel,
)


class ViolationTests(SynchronousTestCase):
    """What the other end does wrong ends its connection, with one line in the log."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.channel, self.transport = a_channel(self.clock, locator=Lookups())

    def cut_off(self, data: bytes) -> str:
        """The reason for which these bytes end the connection."""
        with capturedLogs() as logs:
            self.channel.dataReceived(data)
        self.assertTrue(self.transport.aborted, "the connection goes on")
        (warning,) = [one for one in logs if one["log_level"] is LogLevel.warn]
        return str(warning["reason"]).removeprefix("it broke the protocol: ")

    def test_unasked_answers(self) -> None:
        """An answer to a question that nobody asked."""
        for number, tag in enumerate((b"1", b"0", b"-1", b"ffffffffffffffffffff", b"", b"x", b"\xff")):
            with self.subTest(tag=tag):
                self.setUp()
                data = box(answer_=tag) if number % 2 else box(error_=tag)
                self.assertEqual("an answer to a question that wasn't asked", self.cut_off(data))

    def test_both(self) -> None:
        """A box that is an answer and a question is an answer."""
        self.assertEqual(
            "an answer to a question that wasn't asked", self.cut_off(box(answer_=b"1", ask_=b"1", command_=b"Ping"))
        )

    def test_unfit_answers(self) -> None:
        """An answer without what the command declares; its question fails at once."""
        whole = {"address": b"x", "table_lookup_ns": b"1"}
        no_number = "table_lookup_ns isn't a whole number of at most 18 digits"
        for reason, fields in (
            ("address is missing", {}),
            ("table_lookup_ns is missing", {"address": b"x"}),
            ("address isn't UTF-8", {**whole, "address": b"\xff"}),
            (no_number, {**whole, "table_lookup_ns": b"many"}),
            (no_number, {**whole, "table_lookup_ns": b"9" * 5000}),
        ):
            with self.subTest(reason=reason):
                self.setUp()
                asked = self.channel.ask(LookupPeer, name="m4.m")
                told = f"an answer to LookupPeer that doesn't fit: {reason}"
                self.assertEqual(told, self.cut_off(box(answer_=b"1", **fields)))
                error = self.failureResultOf(asked, ControlLost).value
                self.assertEqual(f"n1.n at 192.0.2.7:40000 sent {told}", str(error))

    def test_undeclared_errors(self) -> None:
        """An error that the command doesn't declare; its question fails as if the connection had ended."""
        for code in (b"UNKNOWN", b"UNHANDLED", b"REFUSED", b""):
            with self.subTest(code=code):
                self.setUp()
                asked = self.channel.ask(LookupPeer, name="m4.m")
                data = box(error_=b"1", error_code_=code, error_description_=b"well")
                self.assertEqual(f"an undeclared error to LookupPeer: {code.decode()}: well", self.cut_off(data))
                self.failureResultOf(asked, ControlLost)

    def test_neither(self) -> None:
        """A box that is neither a question nor an answer, also one without any pair."""
        for data in (box(name=b"m4.m"), box(ask_=b"1", name=b"m4.m"), b"\0\0"):
            self.setUp()
            self.assertEqual("a box that is neither a question nor an answer", self.cut_off(data))

    def test_unfit_questions(self) -> None:
        """A question whose arguments aren't those of its command."""
        for reason, fields in (("is missing", {}), ("isn't UTF-8", {"name": b"\xff"})):
            with self.subTest(fields=fields):
                self.setUp()
                data = box(ask_=b"1", command_=b"LookupPeer", **fields)
                self.assertEqual(f"arguments that don't fit LookupPeer: name {reason}", self.cut_off(data))

    def test_long_key(self) -> None:
        """A key longer than AMP has them: this isn't AMP at all."""
        self.assertEqual("a key of 5635 bytes", self.cut_off(b"\x16\x03\x01\x02\x00"))

    def test_endless_box(self) -> None:
        """A box of ever more keys is cut off before it takes memory."""
        data = b"".join(b"\0\3%03d\0\1x" % number for number in range(3 * BOX_KEYS))
        self.assertEqual(f"a box of more than {BOX_KEYS} keys", self.cut_off(data))

    def test_repeated_key(self) -> None:
        """A key that stands twice in a box is cut off as it comes, before its value, whatever the key means."""
        self.assertEqual("the key name stands twice in a box", self.cut_off(b"\0\4name\0\0" + b"\0\4name"))
        for key in (b"_ask", b"_command", b"unknown"):
            with self.subTest(key=key):
                self.setUp()
                pair = len(key).to_bytes(2) + key + b"\0\1x"
                data = box(ask_=b"1", command_=b"LookupPeer", name=b"m4.m")[:-2] + pair * 2 + b"\0\0"
                self.assertEqual(f"the key {key.decode()} stands twice in a box", self.cut_off(data))
                self.assertEqual([], self.transport.boxes())

    def test_repeated_key_without_end(self) -> None:
        """A box that never ends and repeats one key is over at the second, not when it has taken memory."""
        pair = b"\0\4name\xff\xff" + bytes(65535)
        taken = 0
        while not self.transport.aborted and taken < 100:
            self.channel.dataReceived(pair)
            taken += 1
        self.assertEqual(2, taken)

    def test_key_again_in_the_next_box(self) -> None:
        """Boxes have the same keys, one after another."""
        for tag in (b"1", b"2"):
            self.channel.dataReceived(box(ask_=tag, command_=b"Ping"))
        self.assertFalse(self.transport.aborted)

    def test_largest_box(self) -> None:
        """As many keys as are allowed, one box after another, are no reason."""
        fields = {f"key_{number}": b"x" for number in range(BOX_KEYS - 2)}
        for tag in (b"1", b"2"):
            self.channel.dataReceived(box(ask_=tag, command_=b"Ping", **fields))
        self.assertFalse(self.transport.aborted)
        self.assertEqual(2, len(self.transport.boxes()))

    def test_nothing_after(self) -> None:
        """What follows in the same bytes, or later, is ignored once the connection is given up."""
        question = box(ask_=b"1", command_=b"Ping")
        self.transport.clear()
        self.cut_off(box(name=b"m4.m") + question)
        self.channel.dataReceived(question)
        self.assertEqual(b"", self.transport.value())


class AnsweringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.lookups = Lookups()
        self.channel, self.transport = a_channel(self.clock, locator=self.lookups)
        self.question = box(ask_=b"a", command_=b"LookupPeer", name=b"m4.m")

    def test_not_allowed(self) -> None:
        """A command that this role doesn't answer is told so, logged, and ends the connection politely."""
        for command in (b"ListPeers", b"StartTLS", b"NoSuchCommand\n"):
            with self.subTest(command=command):
                self.setUp()
                with capturedLogs() as logs:
                    self.channel.dataReceived(box(ask_=b"a", command_=command))
                (answer,) = self.transport.boxes()
                self.assertEqual((b"a", b"UNHANDLED"), (answer[b"_error"], answer[b"_error_code"]))
                self.assertTrue(self.transport.disconnecting)
                self.assertEqual(command.decode().strip(), logs[-1]["command"])

    def test_fault_of_ours(self) -> None:
        """A responder that fails otherwise than declared is logged with its traceback and ends the connection."""
        self.channel.dataReceived(self.question)
        self.lookups.waiting[0].errback(ZeroDivisionError())
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        (answer,) = self.transport.boxes()
        self.assertEqual((b"a", b"UNKNOWN"), (answer[b"_error"], answer[b"_error_code"]))
        self.assertEqual(b"internal error", answer[b"_error_description"])
        self.assertTrue(self.transport.disconnecting)

    def test_unfit_answer_of_ours(self) -> None:
        """So does one whose answer isn't what the command declares."""
        self.channel.dataReceived(self.question)
        self.lookups.waiting[0].callback({"address": "198.51.100.4"})
        self.assertEqual(1, len(self.flushLoggedErrors()))
        self.assertTrue(self.transport.disconnecting)

    def test_too_long_answer(self) -> None:
        """So does one whose answer no AMP value can hold."""
        self.channel.dataReceived(self.question)
        self.lookups.waiting[0].callback({**FOUND, "address": "x" * 65536})
        self.assertEqual(1, len(self.flushLoggedErrors()))
        self.assertTrue(self.transport.disconnecting)

    def test_undeclared_error_of_ours(self) -> None:
        """An error of another command counts as a fault: the other end couldn't understand it."""
        self.channel.dataReceived(self.question)
        self.lookups.waiting[0].errback(Refused("no"))
        self.assertEqual(1, len(self.flushLoggedErrors(Refused)))
        self.assertTrue(self.transport.disconnecting)

    def test_long_text(self) -> None:
        """The text of an error is cut before it is sent."""
        self.channel.dataReceived(self.question)
        self.lookups.waiting[0].errback(Busy("ü" * 60_000))
        (answer,) = self.transport.boxes()
        self.assertEqual("ü" * TEXT_CHARACTERS, answer[b"_error_description"].decode())

    def test_no_answer_wanted(self) -> None:
        """A question that wants no answer gets none, not even an error."""
        for outcome in (FOUND, UnknownPeer("no")):
            self.channel.dataReceived(box(command_=b"LookupPeer", name=b"m4.m"))
            waiting = self.lookups.waiting.pop()
            if isinstance(outcome, Exception):
                waiting.errback(outcome)
            else:
                waiting.callback(outcome)
        self.channel.dataReceived(box(command_=b"Ping"))
        self.assertEqual(b"", self.transport.value())
        self.assertTrue(self.channel.is_open)

    def test_answer_after_the_end(self) -> None:
        """An answer that is ready when the connection has ended goes nowhere, and does no harm."""
        self.channel.dataReceived(self.question * 2)
        self.channel.connectionLost(Failure(ConnectionDone()))
        self.lookups.waiting[0].callback(FOUND)
        self.lookups.waiting[1].errback(UnknownPeer("no"))

    def test_box_in_pieces(self) -> None:
        """A box may arrive byte by byte."""
        for byte in self.question:
            self.channel.dataReceived(bytes([byte]))
        self.lookups.waiting[0].callback(FOUND)
        (answer,) = self.transport.boxes()
        self.assertEqual(b"198.51.100.4", answer[b"address"])


class SilenceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.channel, self.transport = a_channel(self.clock)

    def pings(self) -> int:
        return [one[b"_command"] for one in self.transport.boxes()].count(b"Ping")

    def test_pings(self) -> None:
        """An idle channel is pinged every third of the silence that is allowed."""
        for _ in range(2):
            self.clock.advance(SILENCE_S / 3 - 0.2)
            self.assertEqual(0, self.pings())
            self.clock.advance(0.2)
            self.assertEqual(1, self.pings())

    def test_silence(self) -> None:
        """An end from which nothing is heard for 60 s is cut off, and what waits for it fails."""
        asked = self.channel.ask(LookupPeer, deadline=300, name="m4.m")
        self.clock.pump([1.0] * 59)
        self.assertFalse(self.transport.aborted)
        with capturedLogs() as logs:
            self.clock.advance(1.0)
        self.assertTrue(self.transport.aborted)
        self.assertEqual("it was silent for 60 s", logs[-1]["reason"])
        self.channel.connectionLost(Failure(ConnectionDone()))
        self.assertIn("was silent", str(self.failureResultOf(asked, ControlLost).value))

    def test_any_byte_counts(self) -> None:
        """Whatever arrives shows that the other end is alive; it needn't be an answer to a ping."""
        for _ in range(20):
            self.clock.advance(SILENCE_S / 3 - 1)
            self.channel.dataReceived(box(command_=b"Ping"))
        self.assertEqual(0, self.pings())
        self.assertFalse(self.transport.aborted)

    def test_both_ends_alive(self) -> None:
        """Two idle ends keep one another alive for as long as the wire carries."""
        one, other = new_channel(self.clock), new_channel(self.clock)
        line = Line(one, other)
        for _ in range(1000):
            self.clock.advance(1.0)
            line.settle()
        self.assertTrue(one.is_open and other.is_open)
        self.assertLessEqual(len(self.clock.getDelayedCalls()), 3)

    def test_slept(self) -> None:
        """After a sleep the other end is pinged at once, and has at least a third of the time to answer; one that
        must have given up meanwhile is cut off."""
        self.clock.advance(10)
        self.channel.slept(SILENCE_S - 1)
        self.clock.advance(0)
        self.assertEqual(1, self.pings())
        self.clock.advance(SILENCE_S / 3 - 1)
        self.assertFalse(self.transport.aborted)
        self.channel.dataReceived(box(command_=b"Ping"))
        self.clock.advance(SILENCE_S - 1)
        self.assertFalse(self.transport.aborted)
        self.channel.slept(SILENCE_S)
        self.assertTrue(self.transport.aborted)
        self.assertEqual("this machine slept for 60 s", self.channel.end_reason)
        self.channel.slept(1.0)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_doubted(self) -> None:
        """When the way to the other end may be gone, it is pinged at once, and cut off unless it answers soon."""
        self.clock.advance(10)
        self.channel.doubted(3.0)
        self.clock.advance(0)
        self.assertEqual(1, self.pings())
        self.channel.dataReceived(box(command_=b"Ping"))
        self.channel.doubted(3.0)
        self.clock.advance(2.9)
        self.assertFalse(self.transport.aborted)
        self.clock.advance(0.2)
        self.assertTrue(self.transport.aborted)
        self.assertIn("didn't answer within 3 s", self.channel.end_reason)
        self.channel.doubted(3.0)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_slept_before_it_stood(self) -> None:
        """A connection whose handshake is under way isn't pinged after a short sleep."""
        channel = new_channel(self.clock)
        channel.slept(1.0)
        self.assertFalse(channel.is_open)
        Line(channel, new_channel(self.clock)).settle()
        self.assertTrue(channel.is_open)

    def test_pings_leave_nothing(self) -> None:
        """Pings wait for no answer, so none of them is left."""
        self.clock.pump([1.0] * 59)
        self.assertEqual(0, len(self.channel._questions))


class BacklogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.channel, self.transport = a_channel(self.clock, backlog_bytes=1000)
        self.ping = box(ask_=b"1", command_=b"Ping")

    def test_never_reads(self) -> None:
        """An end that asks and doesn't read the answers is cut off, before they fill the memory."""
        self.transport.producer.pauseProducing()
        with capturedLogs() as logs:
            for _ in range(1000):
                self.channel.dataReceived(self.ping)
        self.assertTrue(self.transport.aborted)
        self.assertLessEqual(len(self.transport.value()), 1000)
        self.assertIn("doesn't read", logs[-1]["reason"])

    def test_reads_slowly(self) -> None:
        """One that reads now and then may go on for ever."""
        for _ in range(100):
            self.transport.producer.pauseProducing()
            self.transport.producer.pauseProducing()
            for _ in range(20):
                self.channel.dataReceived(self.ping)
            self.transport.producer.resumeProducing()
        self.transport.producer.stopProducing()
        self.assertFalse(self.transport.aborted)

    def test_reads(self) -> None:
        """As long as the transport takes it, there is no limit to what is written."""
        for _ in range(1000):
            self.channel.dataReceived(self.ping)
        self.assertFalse(self.transport.aborted)
