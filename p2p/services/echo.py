"""The services that answer with what comes, as it comes: ``echo`` as it is, ``uppercase`` text in upper case.

Neither keeps anything, however long a body is and wherever it is cut.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any

from zope.interface import implementer

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.exchange import MessageWriter, Request
from p2p.exchange.request import BaseSink
from p2p.exchange.service import Context, IContentService
from p2p.link.boxes import Box
from p2p.link.pieces import owned

__all__ = ["EchoSink", "UppercaseSink", "echo", "uppercase"]


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
        self.reply.write(owned(data))

    def abandon(self) -> None:
        """Nothing is kept, nothing is undone."""
        self.reply.unregisterProducer()


@implementer(IContentService)
class _Echo:
    name = "echo"

    def receive(self, request: Request, reply: MessageWriter, context: Context) -> EchoSink:
        return EchoSink(reply)


echo = _Echo()


class UppercaseSink(EchoSink):
    """Decodes UTF-8 as it comes, and replies in upper case.

    Upper case is Unicode's full mapping (``str.upper``), which looks at one character at a time, so it doesn't matter
    where the text is cut.
    """

    def __init__(self, reply: MessageWriter) -> None:
        super().__init__(reply)
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._taken = 0

    def write(self, data: bytes | memoryview) -> None:
        """Reply to as much as is whole characters."""
        self._upper(bytes(data), final=False)

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Refuse a text that ends within a character."""
        self._upper(b"", final=True)
        return {}

    def _upper(self, data: bytes, *, final: bool) -> None:
        pending = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            at = self._taken - pending + error.start
            raise ExchangeFailed(
                Outcome.REFUSED,
                f"the text isn't UTF-8: {error.reason} at byte {at}; convert it, or send it with the service store",
            ) from error
        self._taken += len(data)
        if text:
            super().write(memoryview(text.upper().encode()))


@implementer(IContentService)
class _Uppercase:
    name = "uppercase"

    def receive(self, request: Request, reply: MessageWriter, context: Context) -> UppercaseSink:
        if request.encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
            raise ExchangeFailed(
                Outcome.REFUSED,
                f"{context.peer}'s service uppercase takes text in utf-8, not in {request.encoding[:40]!r}",
            )
        return UppercaseSink(reply)


uppercase = _Uppercase()
