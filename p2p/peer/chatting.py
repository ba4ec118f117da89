"""Holding a chat for a client of the console: from this side's first line until both sides have ended."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.console.server import Emit
from p2p.exchange.exchange import Request
from p2p.peer.node import HostedPeer
from p2p.services.chat_room import CHAT, Conversation

__all__ = ["hold_chat"]


async def hold_chat(peer: HostedPeer, partner: str, emit: Emit, clock: Any, planned_ns: int) -> None:
    """Chat with a partner; the events ``chat`` tell what it says.

    :raises InvalidRequest: if there is a chat with this partner already.
    :raises ExchangeFailed: with the outcome, if it can't be reached, doesn't answer, or the link breaks.
    """

    def tell(state: str, line: str) -> Awaitable[None]:
        return emit("chat", state=state, line=line)

    conversation = peer.chats.join(partner, tell)
    try:
        request = Request(service=CHAT, type="text")
        await peer.exchange(partner, request, conversation, conversation.replies, planned_ns=planned_ns)
        await _until_left(conversation, peer, clock)
        link = peer.links.get(partner)
        if conversation.broken_off and (link is None or not link.reusable):  # else somebody there pressed Ctrl-C
            reason = f"the link to {partner} broke before the other side of the chat had ended"
            raise ExchangeFailed(Outcome.RESET, reason)
    except ExchangeFailed as error:
        # Who leaves first takes no more lines; that is how a chat may end. A broken link isn't.
        if error.outcome is not Outcome.REFUSED or not conversation.left.called:
            raise
    finally:
        peer.chats.leave(conversation)


async def _until_left(conversation: Conversation, peer: HostedPeer, clock: Any) -> None:
    """Wait for the partner's end.

    The partner reads, so its own lines are on their way, unless its side broke before it began.
    """
    silence_s = peer.limits.exchange_silence_s

    def look() -> None:
        if not conversation.hears and not conversation.left.called:
            reason = f"{conversation.partner} joined the chat, but nothing came from there for {silence_s:g} s"
            conversation.left.errback(ExchangeFailed(Outcome.TIMEOUT, reason))

    looking = clock.callLater(silence_s, look)
    try:
        await conversation.left
    finally:
        if looking.active():
            looking.cancel()
