"""The service ``chat``: takes what a partner says, for whoever reads it here."""

from __future__ import annotations

from typing import Final

from zope.interface import implementer

from p2p.exchange.exchange import MessageWriter, Request
from p2p.exchange.service import Context, IContentService
from p2p.services.chat_room import ChatRoom, Visitor

__all__ = ["CHAT", "chat"]

CHAT: Final = "chat"


@implementer(IContentService)
class _Chat:
    name = CHAT

    def receive(self, request: Request, reply: MessageWriter, context: Context) -> Visitor:
        visitor = Visitor(context.clock, request.sender, reply, context.peer)
        context.of(ChatRoom).arrived(visitor)
        return visitor


chat = _Chat()
