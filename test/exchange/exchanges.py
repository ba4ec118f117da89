"""What the tests of both sides of an exchange share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerLimits
from p2p.exchange.message import encode_chunk, encode_head, encode_tail
from test.link.links import Ends

__all__ = ["HEADER_BYTES", "SILENCE_S", "ExchangeCase", "message", "raiser"]

SILENCE_S: Final = 30.0
HEADER_BYTES: Final = 4096


class ExchangeCase(SynchronousTestCase):
    """A link that stands, plain to be quick."""

    def setUp(self) -> None:
        """Make the link."""
        self.ends = Ends(PeerLimits(), plain=True)
        self.network = self.ends.network
        self.near_link, self.far_link = self.ends.stand()

    def assert_settled(self) -> None:
        """Both ends have forgotten the stream, the link still stands and isn't waiting for anything."""
        self.assertEqual((0, 0), (self.near_link.stream_count, self.far_link.stream_count))
        self.assertTrue(self.near_link.reusable)
        self.assertEqual(2, len(self.network.getDelayedCalls()), "only the timers of the link's two ends run")


def message(head: Mapping[str, str], body: bytes, tail: Mapping[str, str | bytes]) -> bytes:
    """A whole message in bytes."""
    return b"".join([encode_head(head), *encode_chunk(body), encode_tail(tail)])


def raiser(error: Exception) -> Callable[..., Any]:
    """Stands in for what fails."""

    def fail(*arguments: Any) -> Any:
        raise error

    return fail
