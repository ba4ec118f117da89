"""The services ``echo`` and ``uppercase``: what is sent comes back, at the pace at which it is taken."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.exchange import Request
from p2p.exchange.message import Body, MessageDecoder
from p2p.services.echo import EchoSink, echo, uppercase
from test.exchange.doubles import Written, make_context, make_reply
from test.properties import PROPERTY

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


def upper(*pieces: bytes, encoding: str = "utf-8") -> bytes:
    """What comes back for a text that arrives in these pieces."""
    stream = Written()
    reply = make_reply(stream)
    sink = uppercase.receive(Request("uppercase", encoding=encoding), reply, CONTEXT)
    for piece in pieces:
        sink.write(memoryview(piece))
    for _ in sink.complete({}).__await__():
        raise AssertionError("it waits for nothing")
    reply.end({})
    events = MessageDecoder(100).feed(memoryview(b"".join(stream.pieces)))
    return b"".join(bytes(event.data) for event in events if isinstance(event, Body))


class UppercaseTests(SynchronousTestCase):
    def refused(self, *pieces: bytes, encoding: str = "utf-8") -> str:
        """The reason for which a text is refused."""
        with self.assertRaises(ExchangeFailed) as raised:
            upper(*pieces, encoding=encoding)
        self.assertEqual(Outcome.REFUSED, raised.exception.outcome)
        return str(raised.exception)

    @given(st.text(), st.data())
    @PROPERTY
    def test_cuts(self, text: str, data: st.DataObject) -> None:
        """A text comes back in upper case, wherever its bytes are cut."""
        encoded = text.encode()
        cuts = sorted(data.draw(st.lists(st.integers(0, len(encoded)), max_size=8)))
        pieces = [encoded[start:end] for start, end in zip([0, *cuts], [*cuts, len(encoded)], strict=True)]
        self.assertEqual(text.upper().encode(), upper(*pieces))

    def test_every_cut(self) -> None:
        """Characters of one to four bytes, and those that become longer, survive every cut."""
        text = "aß√€𐐨ŉ\u0345ﬃ"
        encoded = text.encode()
        for cut in range(len(encoded) + 1):
            self.assertEqual(text.upper().encode(), upper(encoded[:cut], encoded[cut:]))
        self.assertEqual(text.upper().encode(), upper(*[bytes([byte]) for byte in encoded]))

    def test_empty(self) -> None:
        """An empty text is a text."""
        self.assertEqual(b"", upper())

    def test_not_text(self) -> None:
        """What isn't UTF-8 is refused with the place of the first wrong byte and a way out."""
        reason = self.refused(b"ab\xffcd")
        self.assertIn("invalid start byte at byte 2", reason)
        self.assertIn("store", reason)

    def test_not_text_late(self) -> None:
        """The place is right in a long text as well, and when the wrong character is cut."""
        long = "ä".encode() * 100_000
        self.assertIn("at byte 200000;", self.refused(long, b"\xff"))
        self.assertIn("at byte 200000;", self.refused(long + b"\xe2\x82", b"x"))
        self.assertIn("at byte 200003;", self.refused(long + b"\xe2\x82", b"\xac\xff"))

    def test_unfinished(self) -> None:
        """A text that ends within a character is refused with the place where that begins."""
        self.assertIn("unexpected end of data at byte 3;", self.refused(b"abc\xe2\x82"))

    def test_encodings(self) -> None:
        """UTF-8 has a few spellings; every other encoding is refused by its name, cut and harmless."""
        for name in ("utf-8", "UTF-8", "utf8", "utf_8"):
            self.assertEqual(b"A", upper(b"a", encoding=name))
        self.assertIn("not in 'latin-1'", self.refused(encoding="latin-1"))
        reason = self.refused(encoding="\x1b\n" * 1000)
        self.assertTrue(reason.isprintable())
        self.assertLess(len(reason), 300)
