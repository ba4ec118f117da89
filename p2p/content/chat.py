"""The service ``chat``: takes what a partner says, for whoever reads it here."""

from __future__ import annotations

from typing import Final

from zope.interface import implementer

from p2p.content.chat_room import Visitor
from p2p.content.exchange import MessageWriter, Request
from p2p.content.services import Context, IContentService

__all__ = ["CHAT", "chat"]

CHAT: Final = "chat"


@implementer(IContentService)
class _Chat:
    name = CHAT

    def receive(self, request: Request, reply: MessageWriter, context: Context) -> Visitor:
        visitor = Visitor(context.clock, request.sender, reply, context.peer)
        context.chats.arrived(visitor)
        return visitor


chat = _Chat()
