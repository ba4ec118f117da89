"""Where a reply goes of which only the digest is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blake3 import blake3
from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from p2p.link.boxes import Box

__all__ = ["DigestSink"]


@implementer(IConsumer)
class DigestSink:
    """Takes the body of a reply and keeps its digest alone.

    It comes in pieces of a TLS record, far less than what would be worth the way to a thread and back.
    """

    def __init__(self) -> None:
        self._hasher = blake3()

    @property
    def digest(self) -> str:
        """The BLAKE3 digest of what came, in hex."""
        return self._hasher.hexdigest()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Nothing pauses it."""

    def unregisterProducer(self) -> None:
        """Nothing paused it."""

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes in."""
        self._hasher.update(data)

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Nothing is left to do."""
        return {}

    def abandon(self) -> None:
        """Nothing is kept."""
