"""The service ``chat``: two people exchange lines for as long as both want to, whoever begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.base.errors import ExchangeFailed, InvalidRequest, Outcome
from p2p.base.scopes import STREAM_COST
from p2p.exchange.exchange import MessageWriter, Request, Result, Serving, perform
from p2p.exchange.message import encode_chunk, encode_head
from p2p.exchange.service import IContentService, Services
from p2p.link.boxes import encode_box
from p2p.link.flow import Stream
from p2p.link.protocol import DirectLink
from p2p.services.chat_room import (
    ALIVE_S,
    CHAT,
    HELD,
    LINE_BYTES,
    VISITORS,
    WAIT_S,
    ChatRoom,
    Conversation,
    Visitor,
    chat,
)
from test.exchange.doubles import Written, make_context, make_reply
from test.exchange.exchanges import HEADER_BYTES, SILENCE_S, ExchangeCase
from test.link.test_flow import Carrier
from test.scopes import stream_scope


class Side:
    """One of the two: its room, its end of the link, and what it was told.

    :ivar told: states and lines.
    :ivar room_for_lines: what telling a line returns, None while lines are taken at once.
    """

    def __init__(self, case: ChatTests, name: str, partner: str, link: DirectLink) -> None:
        self.network = case.network
        self.room = ChatRoom(case.network, name)
        self.told: list[str] = []
        self.room_for_lines: Deferred[None] | None = None
        self._partner = partner
        self._link = link

    def serve(self, stream: Stream) -> None:
        def accept(request: Request, reply: MessageWriter) -> Visitor:
            visitor = Visitor(self.network, request.sender, reply, self.room.peer)
            self.room.arrived(visitor)
            return visitor

        Serving(stream, self._partner, accept, clock=self.network, silence_s=SILENCE_S, header_bytes=HEADER_BYTES)

    def join(self) -> Conversation:
        """Begin to read."""

        def tell(state: str, line: str) -> Deferred[None] | None:
            self.told.append(f"line {line}" if state == "line" else state)
            return self.room_for_lines if state == "line" else None

        self.conversation = self.room.join(self._partner, tell)
        return self.conversation

    def speak(self) -> Deferred[Result]:
        """Begin to write; returns how this side's exchange ends."""
        running = Deferred.fromCoroutine(
            perform(
                self._link.open_stream(),
                Request("chat", "text"),
                self.conversation,
                self.conversation.replies(),
                clock=self.network,
                now_ns=lambda: 0,
                planned_ns=0,
                silence_s=SILENCE_S,
                header_bytes=HEADER_BYTES,
            )
        )
        self.network.settle()
        return running

    def say(self, line: str) -> Deferred[None]:
        """Say a line."""
        saying = Deferred.fromCoroutine(self.conversation.say(line))
        self.network.settle()
        return saying


class ChatTests(ExchangeCase):
    def setUp(self) -> None:
        """Have two sides that are linked."""
        super().setUp()
        self.m4 = Side(self, "m4.m", "n1.n", self.near_link)
        self.n1 = Side(self, "n1.n", "m4.m", self.far_link)
        self.ends.dialling.serve = self.m4.serve
        self.ends.listening.serve = self.n1.serve

    def both(self) -> tuple[Deferred[Result], Deferred[Result]]:
        """Have both sides in the chat."""
        self.m4.join()
        self.n1.join()
        return self.m4.speak(), self.n1.speak()

    def test_lines_both_ways(self) -> None:
        """Lines arrive at the other side in their order, until each side ends."""
        ours, theirs = self.both()
        self.successResultOf(self.m4.say("hello"))
        self.successResultOf(self.n1.say("good day"))
        self.successResultOf(self.m4.say("how are you?\u2003Ä"))
        self.m4.conversation.end()
        self.network.settle()
        self.successResultOf(ours)
        self.successResultOf(self.n1.say("still here"))
        self.n1.conversation.end()
        self.network.settle()
        self.successResultOf(theirs)
        self.assertEqual(["joined", "line hello", "line how are you?\u2003Ä", "left"], self.n1.told)
        self.assertEqual(["joined", "line good day", "line still here", "left"], self.m4.told)
        self.successResultOf(self.m4.conversation.left)
        self.assert_settled()

    def test_silence_is_no_end(self) -> None:
        """People may think for as long as they like."""
        ours, theirs = self.both()
        self.network.advance(20 * SILENCE_S)
        self.successResultOf(self.n1.say("ah"))
        self.assertIn("line ah", self.m4.told)
        self.assertNoResult(ours)
        self.assertNoResult(theirs)

    def test_first_waits(self) -> None:
        """Who comes first is told to wait, once, and what was said is there when the other one comes."""
        self.m4.join()
        ours = self.m4.speak()
        self.m4.say("are you there?")
        self.network.advance(10 * ALIVE_S)
        self.assertEqual(["waiting"], self.m4.told)
        self.assertFalse(self.m4.conversation.joined)
        self.assertEqual(["m4.m"], self.n1.room.waiting)
        self.n1.join()
        self.network.settle()
        self.assertEqual(["line are you there?"], self.n1.told)
        self.assertEqual(["waiting", "joined"], self.m4.told)
        self.assertTrue(self.m4.conversation.joined)
        self.assertEqual([], self.n1.room.waiting)
        self.assertNoResult(ours)

    def test_all_said_before_anybody_reads(self) -> None:
        """Lines from a file wait for their reader after their end, too."""
        self.m4.join()
        ours = self.m4.speak()
        self.m4.say("a note")
        self.m4.conversation.end()
        self.network.advance(3 * SILENCE_S)
        self.assertNoResult(ours)
        self.n1.join()
        self.network.settle()
        self.successResultOf(ours)
        self.assertEqual(["line a note", "left"], self.n1.told)

    def test_nobody_comes(self) -> None:
        """Lines wait for ten minutes; then their sender is told that nobody answered, and how it would be done."""
        for ended in (False, True):
            self.m4.join()
            ours = self.m4.speak()
            if ended:
                self.m4.conversation.end()
            self.network.advance(WAIT_S + 3 * ALIVE_S)
            failure = self.failureResultOf(ours, ExchangeFailed).value
            self.assertEqual(Outcome.TIMEOUT, failure.outcome)
            self.assertIn("p2p chat m4.m", str(failure))
            self.assertEqual([], self.n1.room.waiting)
            self.m4.room.leave(self.m4.conversation)

    def test_many_lines_wait(self) -> None:
        """Only so many lines are held for nobody: then the sender is paused, however much he has to say."""
        self.m4.join()
        self.m4.speak()
        line = "x" * LINE_BYTES
        saying = [self.m4.say(line) for _ in range(4 * HELD)]
        self.assertNoResult(saying[-1])
        self.network.advance(SILENCE_S * 2)
        self.n1.join()
        self.network.settle()
        self.successResultOf(saying[-1])
        self.assertEqual(4 * HELD, self.n1.told.count(f"line {line}"))

    def test_slow_reader(self) -> None:
        """Lines go at the pace at which the reader takes them, and all of them come before the end."""
        ours, _ = self.both()
        self.n1.room_for_lines = Deferred()
        for number in range(3):
            self.m4.say(str(number))
        self.m4.conversation.end()
        self.network.settle()
        self.assertEqual(["joined", "line 0"], self.n1.told)
        self.assertNoResult(ours)
        room, self.n1.room_for_lines = self.n1.room_for_lines, None
        room.callback(None)
        self.network.settle()
        self.successResultOf(ours)
        self.assertEqual(["joined", "line 0", "line 1", "line 2", "left"], self.n1.told)

    def test_leaving_in_the_middle(self) -> None:
        """Whoever is left is told, and what he says afterwards is refused with the reason."""
        ours, theirs = self.both()
        self.n1.room.leave(self.n1.conversation)
        self.network.advance(2 * ALIVE_S)
        failure = self.failureResultOf(ours, ExchangeFailed).value
        self.assertEqual("n1.n has left the chat", str(failure))
        self.assertEqual(["joined", "left"], self.m4.told)
        self.successResultOf(theirs)

    def test_broken_link(self) -> None:
        """When the link breaks, the other side has left, whether it was heard or waited."""
        ours, theirs = self.both()
        self.near_link.abort("cable pulled")
        self.network.settle()
        self.failureResultOf(ours, ExchangeFailed)
        self.failureResultOf(theirs, ExchangeFailed)
        self.assertEqual(["joined", "left"], self.n1.told)
        self.assertEqual(["joined", "left"], self.m4.told)

    def test_broken_link_while_waiting(self) -> None:
        """Who waited and is gone waits no more."""
        self.m4.join()
        ours = self.m4.speak()
        self.near_link.abort("cable pulled")
        self.network.settle()
        self.failureResultOf(ours, ExchangeFailed)
        self.assertEqual([], self.n1.room.waiting)

    def test_one_chat_at_a_time(self) -> None:
        """A pair has one chat; a second is refused at either end."""
        self.both()
        with self.assertRaisesRegex(InvalidRequest, "already"):
            self.m4.join()
        another = Side(self, "m4.m", "n1.n", self.near_link)
        another.join()
        again = another.speak()
        self.assertEqual(Outcome.REFUSED, self.failureResultOf(again, ExchangeFailed).value.outcome)
        self.assertIs(self.m4.conversation, self.m4.room.conversation("n1.n"))
        self.m4.room.leave(self.m4.conversation)
        with self.assertRaisesRegex(InvalidRequest, "begin one with: p2p chat n1.n"):
            self.m4.room.conversation("n1.n")

    def test_visitors(self) -> None:
        """No more than so many conversations wait for a peer."""
        stream: Any = Written()
        for number in range(VISITORS):
            self.n1.room.arrived(Visitor(self.network, f"m{number}.m", MessageWriter(stream, {}), "n1.n"))
        with self.assertRaisesRegex(ExchangeFailed, "try again later"):
            self.n1.room.arrived(Visitor(self.network, "late.m", MessageWriter(stream, {}), "n1.n"))

    def test_account(self) -> None:
        """Lines that nobody has read count with the stream that they came over."""
        stream = Stream(Carrier(), 1, stream_scope())
        visitor = Visitor(self.network, "m4.m", MessageWriter(stream, {}), "n1.n")
        visitor.registerProducer(stream, True)
        for _ in range(4):
            visitor.write(encode_box({"line": "ü" * 5_000}))
        self.assertGreater(stream.scope.memory, STREAM_COST + 40_000)
        read: list[str] = []
        visitor.join(read.append, lambda: None)
        self.assertEqual((4, STREAM_COST), (len(read), stream.scope.memory))
        stuck: Deferred[None] = Deferred()
        visitor = Visitor(self.network, "m4.m", MessageWriter(stream, {}), "n1.n")
        visitor.registerProducer(stream, True)
        visitor.join(lambda line: stuck, lambda: None)
        for _ in range(3):
            visitor.write(encode_box({"line": "x" * 9_000}))
        self.assertGreater(stream.scope.memory, STREAM_COST + 18_000)
        visitor.abandon()
        self.assertEqual(STREAM_COST, stream.scope.memory)

    def test_lines_before_the_stream(self) -> None:
        """What is said while the link comes to be goes first, and only so much of it is held."""
        self.m4.join()
        self.n1.join()
        saying = [self.m4.say(str(number)) for number in range(HELD + 1)]
        self.assertNoResult(saying[-1])
        self.m4.speak()
        self.successResultOf(saying[-1])
        self.assertEqual([f"line {number}" for number in range(HELD + 1)], self.n1.told)

    def test_lines_that_cant_be_said(self) -> None:
        """A line that is too long, no Unicode, or comes after the end is refused where it was typed."""
        self.both()
        for line, reason in {"x" * (LINE_BYTES + 1): "as a file", "\udcff": "isn't Unicode"}.items():
            self.assertIn(reason, str(self.failureResultOf(self.m4.say(line), InvalidRequest).value))
        self.m4.conversation.end()
        self.m4.conversation.end()
        self.assertIn("ended", str(self.failureResultOf(self.m4.say("late"), InvalidRequest).value))

    def test_rubbish(self) -> None:
        """A side that sends no boxes, or boxes without sense, ends its exchange alone."""
        self.n1.join()
        for rubbish in (b"\xff" * 400, encode_box({"line": b"\xff"})):
            stream = self.near_link.open_stream()
            stream.write(encode_head({"service": "chat"}) + b"".join(encode_chunk(rubbish)))
            self.network.settle()
            self.assertEqual(["left"], self.n1.told)
            stream.reset()
            self.network.settle()
            self.n1.room.leave(self.n1.conversation)
            self.n1.told.clear()
            self.n1.join()
        self.assertTrue(self.near_link.reusable)


HELLO = Request(CHAT, "text", sender="n1.n")


class ServiceTests(SynchronousTestCase):
    """The service at m4.m."""

    def setUp(self) -> None:
        """Have a room for conversations."""
        self.clock = Clock()
        self.room = ChatRoom(self.clock, "m4.m")
        self.context = make_context(Path("/nowhere"), clock=self.clock, beside={ChatRoom: self.room})

    def receive(self) -> Visitor:
        return chat.receive(HELLO, make_reply(Written()), self.context)

    def test_service(self) -> None:
        """It is a service like the others, and among those that are installed."""
        self.assertTrue(verifyObject(IContentService, chat))
        self.assertTrue(IContentService.extends(IPlugin))
        self.assertIn(CHAT, Services.installed().names)

    def test_waits(self) -> None:
        """Who comes first waits, under the name that its certificate proves, until somebody answers."""
        visitor = self.receive()
        self.assertEqual(["n1.n"], self.room.waiting)
        visitor.write(encode_box({"line": "hello"}))
        told: list[tuple[str, str]] = []
        self.room.join("n1.n", lambda state, line: told.append((state, line)))
        self.assertEqual([("line", "hello")], told)
        visitor.abandon()
        self.assertEqual(([], []), (self.room.waiting, self.clock.getDelayedCalls()))

    def test_twice(self) -> None:
        """A second conversation of the same pair is refused."""
        visitor = self.receive()
        refusal = self.assertRaises(ExchangeFailed, self.receive)
        self.assertIs(Outcome.REFUSED, refusal.outcome)
        visitor.abandon()
