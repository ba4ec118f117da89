"""The service ``echo``: the body comes back as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from p2p.exchange.exchange import MessageWriter, Request
from p2p.exchange.service import Context, IContentService
from p2p.link.boxes import Box
from p2p.link.pieces import owned

__all__ = ["EchoSink", "echo"]


@implementer(IConsumer)
class EchoSink:
    """Passes a body on to the reply; the reply's congestion pauses the request."""

    def __init__(self, reply: MessageWriter) -> None:
        self.reply = reply

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let the reply's stream pause the request's."""
        self.reply.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """The request has ended."""
        self.reply.unregisterProducer()

    def write(self, data: bytes | memoryview) -> None:
        """Send the bytes back."""
        self.reply.write(owned(data))

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Nothing is left to do."""
        return {}

    def abandon(self) -> None:
        """Nothing is kept, nothing is undone."""
        self.reply.unregisterProducer()


@implementer(IContentService)
class _Echo:
    name = "echo"

    def receive(self, request: Request, reply: MessageWriter, context: Context) -> EchoSink:
        return EchoSink(reply)


echo = _Echo()
