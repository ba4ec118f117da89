"""Requests, and what takes a body of which only the digest is wanted."""

from __future__ import annotations

from blake3 import blake3
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.base.errors import ProtocolViolation
from p2p.exchange.exchange import Request
from p2p.exchange.request import DigestSink


class RequestTests(SynchronousTestCase):
    """Heads of requests."""

    def test_round_trip(self) -> None:
        """What is sent is what is read, with the sender that the certificate proves."""
        for request in (Request("store", "audio", "a\u00e4.wav", 10**17), Request("echo", encoding="latin-1")):
            box = {key: value.encode() for key, value in request.fields().items() if isinstance(value, str)}
            read = Request.parse(box, "m4.m")
            self.assertEqual((request.fields(), "m4.m"), (read.fields(), read.sender))

    def test_defaults(self) -> None:
        """What a head leaves out has its default."""
        self.assertEqual(Request("", "data", "", None, "utf-8", "m4.m"), Request.parse({}, "m4.m"))

    def test_wrong_length(self) -> None:
        """A length that is no number of bytes breaks the protocol."""
        for wrong in (b"", b"-1", b"1.5", b"0x10", b" 1", "\u0661".encode()):
            with self.assertRaises(ProtocolViolation):
                Request.parse({"length": wrong}, "m4.m")


class DigestSinkTests(SynchronousTestCase):
    def test_digest(self) -> None:
        """However it is cut, the digest is that of the whole; nothing else is kept, and the tail needs no fields."""
        sink = DigestSink()
        verifyObject(IConsumer, sink)
        sink.registerProducer(None, True)
        for piece in (b"one", memoryview(b"two"), b""):
            sink.write(piece)
        sink.unregisterProducer()
        self.assertEqual({}, self.successResultOf(Deferred.fromCoroutine(sink.complete({}))))
        sink.abandon()
        self.assertEqual(blake3(b"onetwo").hexdigest(), sink.digest)
