"""What a person can ask a peer daemon about transfers, offers and chats."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from p2p.base.errors import ExchangeFailed, InvalidRequest, Outcome
from p2p.base.names import parse_peer
from p2p.console.lines import ANSWER_BYTES, encode
from p2p.console.operations import ActingArguments
from p2p.console.server import Emit, Handler, checked, checked_with_file
from p2p.console.transfer_operations import (
    CancelArguments,
    Cancelled,
    ChatArguments,
    ChatSayArguments,
    DecideArguments,
    GetArguments,
    Listed,
    ListedEntry,
    LsArguments,
    Moved,
    Offers,
    OffersArguments,
    PendingOffer,
    SendArguments,
    TransferEvent,
    TransfersArguments,
    TransfersShown,
)
from p2p.exchange.exchange import Request
from p2p.peer.node import HostedPeer
from p2p.services.chat_room import CHAT, Conversation
from p2p.transfer.listing import ListSession

__all__ = ["Consent", "Mover", "TransferConsole", "hold_chat", "list_shared"]

EARLY: Final = 1000
"""Events that are held for one who follows all transfers and hasn't read the list of them yet."""

CERTAINLY_SHORT: Final = 10_000
"""So many entries fit in an answer of the console, however long and odd their names are."""

MARGIN: Final = 65536
"""Bytes that an answer may have besides its entries."""

Tell = Callable[[TransferEvent], object]
"""Passes an event on; what it returns fires when there is room for the next."""


class Mover(Protocol):
    """Moves things, and knows what it has moved; :class:`~p2p.peer.transfers.Transfers` does."""

    async def send(self, peer: HostedPeer, arguments: SendArguments, tell: Tell, file: int | None) -> Moved:
        """Send to one or several peers; the descriptor stays the caller's to close, at any time."""

    async def get(self, peer: HostedPeer, arguments: GetArguments, tell: Tell, file: int | None) -> Moved:
        """Get something from a peer; as :meth:`send`."""

    async def shown(self, count: int) -> TransfersShown:
        """So many transfers, those that changed last first."""

    def follow(self, tell: Tell) -> Callable[[], None]:
        """Tell of all transfers until the function that is returned is called."""

    async def cancel(self, transfer: str) -> Cancelled:
        """Give a transfer up.

        :raises InvalidRequest: if there is none of that id, or it is over.
        """


class Consent(Protocol):
    """Holds the offers about which a person decides."""

    def offers(self) -> Sequence[PendingOffer]:
        """Those that wait, the oldest first."""

    def decide(self, offer: str, accept: bool) -> None:
        """Take one of them, or not.

        :raises InvalidRequest: if none of that id waits.
        """


async def list_shared(peer: HostedPeer, target: str, path: str, planned_ns: int) -> list[ListedEntry]:
    """What is shared at a path, in the order of names; without a path, the names of all that is shared.

    :raises ExchangeFailed: with the outcome; ``refused`` also where the list is too long to be shown.
    """
    session = ListSession(path)
    await peer.exchange(target, session.request, session, session.sink, planned_ns=planned_ns)
    entries = [
        ListedEntry(name=one.name, kind=one.kind.value, size=one.size, mtime=one.mtime / 1e9) for one in session.entries
    ]
    if len(entries) > CERTAINLY_SHORT:
        size = len(encode({"entries": [one.model_dump(mode="json") for one in entries]}))
        if size > ANSWER_BYTES - MARGIN:
            reason = f"{len(entries)} entries with long names are too much to list at once; get the folder as a whole"
            raise ExchangeFailed(Outcome.REFUSED, reason)
    return entries


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


class TransferConsole:
    """The operations that move something, tell of it, or let people talk.

    :param acting: finds the hosted peer that acts.
    :param now_ns: reads the daemon's monotonic clock.
    """

    def __init__(
        self,
        clock: IReactorTime,
        acting: Callable[[ActingArguments], HostedPeer],
        *,
        transfers: Mover,
        consent: Consent,
        now_ns: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._acting = acting
        self._transfers = transfers
        self._consent = consent
        self._now_ns = now_ns

    def handlers(self) -> dict[str, Handler]:
        """The operations by name."""
        return {
            "send": checked_with_file(SendArguments, self._send),
            "get": checked_with_file(GetArguments, self._get),
            "ls": checked(LsArguments, self._ls),
            "transfers": checked(TransfersArguments, self._shown),
            "cancel-transfer": checked(CancelArguments, self._cancel),
            "offers": checked(OffersArguments, self._offers),
            "decide": checked(DecideArguments, self._decide),
            "chat": checked(ChatArguments, self._chat),
            "chat-say": checked(ChatSayArguments, self._chat_say),
        }

    async def _send(self, arguments: SendArguments, emit: Emit, file: int | None) -> Moved:
        _check_file(arguments.stream, file)
        return await self._transfers.send(self._acting(arguments), arguments, _telling(emit), file)

    async def _get(self, arguments: GetArguments, emit: Emit, file: int | None) -> Moved:
        _check_file(arguments.stream, file)
        parse_peer(arguments.peer)
        return await self._transfers.get(self._acting(arguments), arguments, _telling(emit), file)

    async def _ls(self, arguments: LsArguments, emit: Emit) -> Listed:
        parse_peer(arguments.peer)
        peer = self._acting(arguments)
        entries = await list_shared(peer, arguments.peer, arguments.path, self._now_ns())
        return Listed(peer=arguments.peer, path=arguments.path, entries=entries)

    async def _shown(self, arguments: TransfersArguments, emit: Emit) -> TransfersShown:
        if not arguments.follow:
            return await self._transfers.shown(arguments.count)
        # What happens while the list is read is told after it.
        tell, early = _telling(emit), deque[TransferEvent](maxlen=EARLY)
        following = False

        def pass_on(event: TransferEvent) -> object:
            if following:
                return tell(event)
            early.append(event)
            return None

        stop = self._transfers.follow(pass_on)
        try:
            known = await self._transfers.shown(arguments.count)
            await emit("transfers", **known.model_dump(mode="json"))
            while early:
                await tell(early.popleft())
            following = True
            return await Deferred[TransfersShown]()  # until the client leaves
        finally:
            stop()

    async def _cancel(self, arguments: CancelArguments, emit: Emit) -> Cancelled:
        return await self._transfers.cancel(arguments.transfer)

    async def _offers(self, arguments: OffersArguments, emit: Emit) -> Offers:
        return Offers(offers=list(self._consent.offers()))

    async def _decide(self, arguments: DecideArguments, emit: Emit) -> Mapping[str, Any]:
        self._consent.decide(arguments.offer, arguments.accept)
        return {"offer": arguments.offer, "accepted": arguments.accept}

    async def _chat(self, arguments: ChatArguments, emit: Emit) -> Mapping[str, Any]:
        parse_peer(arguments.peer)
        peer = self._acting(arguments)
        await hold_chat(peer, arguments.peer, emit, self._clock, self._now_ns())
        return {"peer": arguments.peer}

    async def _chat_say(self, arguments: ChatSayArguments, emit: Emit) -> Mapping[str, Any]:
        conversation = self._acting(arguments).chats.conversation(arguments.peer)
        if arguments.line is None:
            conversation.end()
        else:
            await conversation.say(arguments.line)
        return {"peer": arguments.peer}


def _telling(emit: Emit) -> Callable[[TransferEvent], Awaitable[None]]:
    """Pass events of transfers on to the client; whoever awaits that tells no faster than the client reads."""

    def tell(event: TransferEvent) -> Awaitable[None]:
        return emit("transfer", transfer=event.model_dump(mode="json"))

    return tell


def _check_file(stream: bool, file: int | None) -> None:
    """See that there is a file descriptor where one is needed.

    :raises InvalidRequest: if there isn't.
    """
    if stream and file is None:
        raise InvalidRequest("no file descriptor came along; pass it with the bytes of the request (SCM_RIGHTS)")
