"""An exchange that flows both ways at once: each direction ends by itself, and its end is told once."""

from __future__ import annotations

from p2p.base.errors import ExchangeFailed
from p2p.exchange.duplex import Duplex
from p2p.exchange.exchange import Request
from p2p.exchange.message import encode_chunk, encode_head, encode_tail
from p2p.link.flow import Stream
from test.exchange.exchanges import HEADER_BYTES, SILENCE_S, ExchangeCase
from test.link.links import Collector


class End:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ends: list[str] = []

    def came(self, data: memoryview) -> None:
        self.data += data

    def ended(self) -> None:
        self.ends.append("ended")

    def broken(self, failure: ExchangeFailed) -> None:
        self.ends.append(f"{failure.outcome}: {failure}")


class DuplexTests(ExchangeCase):
    def begin(self) -> tuple[Duplex, End, Stream, Collector]:
        """Begin one; the other end is a stream by hand."""
        end = End()
        duplex = Duplex(
            self.near_link.open_stream(),
            Request("any"),
            end,
            clock=self.network,
            silence_s=SILENCE_S,
            header_bytes=HEADER_BYTES,
        )
        self.network.settle()
        far = self.ends.listening.streams[-1]
        return duplex, end, far, Collector(far)

    def test_both_ways(self) -> None:
        """Both directions flow before either has ended, and each ends by itself."""
        duplex, end, far, came = self.begin()
        duplex.write(b"question")
        far.write(b"".join([encode_head({}), *encode_chunk(b"answer")]))
        self.network.settle()
        self.assertIn(b"question", came.data)
        self.assertEqual((b"answer", []), (bytes(end.data), end.ends))
        far.write(encode_tail({"outcome": "ok"}))
        far.finish()
        duplex.write(b"more")
        self.network.settle()
        self.assertEqual(["ended"], end.ends)
        self.assertIn(b"more", came.data)
        duplex.finish()
        duplex.write(b"late")
        self.network.settle()
        self.assertNotIn(b"late", came.data)
        self.assert_settled()

    def test_refused(self) -> None:
        """Another outcome breaks both directions off, with its reason."""
        duplex, end, far, _ = self.begin()
        far.write(encode_head({}) + encode_tail({"outcome": "refused", "reason": "not here"}))
        self.network.settle()
        duplex.abort()
        self.assertEqual(["refused: not here"], end.ends)
        self.network.settle()
        self.assert_settled()

    def test_nonsense(self) -> None:
        """What is no message, or has no outcome, breaks it off."""
        for said in (b"\xff" * 600, encode_head({}) + encode_tail({"outcome": "maybe"})):
            _, end, far, _ = self.begin()
            far.write(said)
            self.network.settle()
            (told,) = end.ends
            self.assertIn("makes no sense", told)
        self.assert_settled()

    def test_silence(self) -> None:
        """It is given up when nothing moves for too long, unless it is kept open."""
        _, end, _, _ = self.begin()
        kept, other, _, _ = self.begin()
        kept.keep_open()
        for _ in range(8):
            self.network.advance(SILENCE_S / 4)
        self.assertEqual(([f"timeout: nothing moved for {SILENCE_S:g} s"], []), (end.ends, other.ends))

    def test_aborted(self) -> None:
        """Given up here, nothing is told, not even what was on its way."""
        duplex, end, far, _ = self.begin()
        far.write(b"".join([encode_head({}), *encode_chunk(b"answer")]))
        duplex.abort()
        self.network.settle()
        self.assertEqual((b"", []), (bytes(end.data), end.ends))
        self.assert_settled()

    def test_lost(self) -> None:
        """A link that breaks is told."""
        duplex, end, _, _ = self.begin()
        duplex.pauseProducing()
        duplex.resumeProducing()
        self.near_link.abort("cut")
        self.network.settle()
        self.assertEqual(1, len(end.ends))
        self.assertIn("broke: cut", end.ends[0])
