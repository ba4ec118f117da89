"""A peer that gives the same answers whatever it is asked: what it shares is a lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zope.interface import implementer

from p2p.exchange.message_streams import ReplyWriter
from p2p.exchange.request import Request
from p2p.exchange.service import Context, IContentService
from p2p.transfer.asking import AskingSink
from p2p.transfer.records import Buffer

__all__ = ["LyingService"]


@implementer(IContentService)
class LyingService:
    """A service whose requests are boxes, ``fetch`` or ``list``.

    :ivar answer: the body of each of its replies.
    """

    def __init__(self, name: str, *answer: Sequence[Buffer]) -> None:
        self.name = name
        self.answer = answer

    def receive(self, request: Request, reply: ReplyWriter, context: Context) -> _Lies:
        return _Lies(reply, context, b"".join(bytes(buffer) for part in self.answer for buffer in part))


class _Lies(AskingSink):
    """Answers one request."""

    def __init__(self, reply: ReplyWriter, context: Context, answer: bytes) -> None:
        super().__init__(reply, context, most=100, limit=16384)
        self._lie = answer

    async def answer(self) -> Mapping[str, str | bytes]:
        """Write the body, and say that it went well."""
        self.reply.write(self._lie)
        return {"entries": "1", "bytes": "1", "refused": "0"}

    def let_go(self) -> None:
        """Nothing is open."""
