"""The service ``echo``: what is sent comes back as it is, at the pace at which it is taken."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.exchange.exchange import Request
from p2p.exchange.message import Body, MessageDecoder
from p2p.services.echo import EchoSink, echo
from test.exchange.doubles import Written, make_context, make_reply

CONTEXT = make_context(Path("/nowhere"))


class EchoTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Begin a request."""
        self.stream = Written()
        reply = make_reply(self.stream)
        self.sink = echo.receive(Request("echo"), reply, CONTEXT)

    def test_echo(self) -> None:
        """The body comes back, and nothing else."""
        self.assertIsInstance(self.sink, EchoSink)
        self.assertTrue(verifyObject(IConsumer, self.sink))
        self.sink.write(b"one")
        self.sink.write(memoryview(b"two" * 5000))
        self.assertEqual({}, self.successResultOf(Deferred.fromCoroutine(self.sink.complete({}))))
        events = MessageDecoder(100).feed(memoryview(b"".join(self.stream.pieces)))
        body = b"".join(bytes(event.data) for event in events if isinstance(event, Body))
        self.assertEqual(b"one" + b"two" * 5000, body)

    def test_pace(self) -> None:
        """The reply's stream paces the request's, until the request has ended or failed."""
        self.sink.registerProducer(self, True)
        self.sink.unregisterProducer()
        self.sink.registerProducer(self, True)
        self.sink.abandon()
        self.assertEqual([(self, True), None, (self, True), None], self.stream.producers)
