"""The service ``chat``: hands what a partner says to the conversations of the peer."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.exchange import Request
from p2p.exchange.service import IContentService, Services
from p2p.link.boxes import encode_box
from p2p.services.chat import CHAT, chat
from p2p.services.chat_room import ChatRoom, Visitor
from test.exchange.doubles import Written, make_context, make_reply

HELLO = Request(CHAT, "text", sender="n1.n")


class ChatTests(SynchronousTestCase):
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
