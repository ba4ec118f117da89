"""Replies of which only the digest is wanted."""

from __future__ import annotations

from blake3 import blake3
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.exchange.digest_sink import DigestSink


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
