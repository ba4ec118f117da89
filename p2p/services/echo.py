"""The service ``echo``: the body comes back as it is."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from p2p.exchange.exchange import MessageWriter, Request
from p2p.exchange.request import BaseSink
from p2p.exchange.service import Context, IContentService

__all__ = ["EchoSink", "echo"]


class EchoSink(BaseSink):
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
        self.reply.write(data)

    def abandon(self) -> None:
        """Nothing is kept, nothing is undone."""
        self.reply.unregisterProducer()


@implementer(IContentService)
class _Echo:
    name = "echo"

    def receive(self, request: Request, reply: MessageWriter, context: Context) -> EchoSink:
        return EchoSink(reply)


echo = _Echo()
