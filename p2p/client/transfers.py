"""Transfers from Python: send and get files and folders, see what is under way, decide about offers, and chat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from p2p.client.console import ANSWER_S, NETWORK_S, ConsoleClient, OnEvent, acting_as, not_understood, read_answer
from p2p.console.operations import ContentType
from p2p.console.transfer_operations import (
    DEADLINE_S,
    EVENTS,
    Cancelled,
    ChatLine,
    Exists,
    Links,
    Listed,
    Moved,
    Offers,
    TransferEvent,
    TransfersShown,
    read_event,
)

__all__ = ["OnChat", "OnTransferEvent", "TransferClient"]

OnTransferEvent = Callable[[TransferEvent], object]
"""Is called with each event of a transfer; what it raises ends the request with that error."""

OnChat = Callable[[ChatLine], object]
"""Is called with what happens in a chat."""

FOLLOW_COUNT: Final = 50
"""Transfers that are shown, unless somebody asks for more or fewer."""


class TransferClient(ConsoleClient):
    """What a client can ask about transfers, offers and chats."""

    async def send(
        self,
        peers: str | Iterable[str],
        paths: Path | Iterable[Path],
        *,
        name: str | None = None,
        content_type: ContentType = "data",
        links: Links = "keep",
        limit: int | None = None,
        deadline_s: float = DEADLINE_S,
        detach: bool = False,
        on_event: OnTransferEvent | None = None,
        acting: str | None = None,
    ) -> Moved:
        """Send files and folders into the inbox of one or several peers; the sources are read once for all of them.

        What an earlier ``send`` of the same didn't bring to its end goes on where it was. How it ended with each peer
        is in the answer, and raises nothing.

        :param peers: names, or patterns such as ``*.m``.
        :param paths: absolute paths, which the daemon opens.
        :param name: what to call the one path, if not by the last part of it.
        :param content_type: what the content is, for the other side's rules.
        :param links: whether symbolic links inside folders go as links or are left out.
        :param limit: bytes a second at most, for each peer.
        :param deadline_s: seconds for which it is tried again after a link has broken.
        :param detach: return as soon as the transfers are written down; the daemon goes on with them.
        :param on_event: is called with each event.
        :raises LocalFileError: if a source can't be used; nothing is sent then.
        """
        answer = await self.request(
            "send",
            on_event=_events(on_event),
            peers=[peers] if isinstance(peers, str) else list(peers),
            paths=[str(path) for path in ([paths] if isinstance(paths, Path) else paths)],
            name=name,
            type=content_type,
            links=links,
            limit=limit,
            deadline_s=float(deadline_s),
            detach=detach,
            **acting_as(acting),
        )
        return read_answer(Moved, answer)

    async def send_stream(
        self,
        peers: str | Iterable[str],
        file: int,
        name: str,
        *,
        content_type: ContentType = "data",
        limit: int | None = None,
        deadline_s: float = DEADLINE_S,
        on_event: OnTransferEvent | None = None,
        acting: str | None = None,
    ) -> Moved:
        """Send what the daemon reads from a file descriptor, to its end, as a file of this name.

        :param file: an open file descriptor, of a pipe for example; the daemon gets a copy of it.
        """
        answer = await self.request(
            "send",
            on_event=_events(on_event),
            file=file,
            stream=True,
            peers=[peers] if isinstance(peers, str) else list(peers),
            name=name,
            type=content_type,
            limit=limit,
            deadline_s=float(deadline_s),
            **acting_as(acting),
        )
        return read_answer(Moved, answer)

    async def get(
        self,
        peer: str,
        names: str | Iterable[str],
        folder: Path,
        *,
        exists: Exists = "rename",
        links: Links = "keep",
        limit: int | None = None,
        deadline_s: float = DEADLINE_S,
        detach: bool = False,
        on_event: OnTransferEvent | None = None,
        acting: str | None = None,
    ) -> Moved:
        """Get files and folders that a peer shares, as :meth:`list_shared` shows them, into a folder.

        :param folder: an absolute path, into which the daemon writes.
        :param exists: what to do where a name is taken.
        :param links: whether symbolic links are made or left out.
        """
        answer = await self.request(
            "get",
            on_event=_events(on_event),
            peer=peer,
            names=[names] if isinstance(names, str) else list(names),
            folder=str(folder),
            exists=exists,
            links=links,
            limit=limit,
            deadline_s=float(deadline_s),
            detach=detach,
            **acting_as(acting),
        )
        return read_answer(Moved, answer)

    async def get_stream(
        self,
        peer: str,
        name: str,
        file: int,
        *,
        limit: int | None = None,
        deadline_s: float = DEADLINE_S,
        on_event: OnTransferEvent | None = None,
        acting: str | None = None,
    ) -> Moved:
        """Get one shared file, and have the daemon write it to a file descriptor, each chunk once it is verified."""
        answer = await self.request(
            "get",
            on_event=_events(on_event),
            file=file,
            stream=True,
            peer=peer,
            names=[name],
            limit=limit,
            deadline_s=float(deadline_s),
            **acting_as(acting),
        )
        return read_answer(Moved, answer)

    async def list_shared(self, peer: str, path: str = "", *, acting: str | None = None) -> Listed:
        """What a peer shares, or what is in one of its shared folders."""
        answer = await self.request("ls", peer=peer, path=path, deadline=NETWORK_S, **acting_as(acting))
        return read_answer(Listed, answer)

    async def transfers(self, count: int = FOLLOW_COUNT) -> TransfersShown:
        """The transfers that the daemon knows, those that changed last first."""
        return read_answer(TransfersShown, await self.request("transfers", count=count, deadline=ANSWER_S))

    async def follow_transfers(
        self,
        on_event: OnTransferEvent,
        *,
        on_shown: Callable[[TransfersShown], object] | None = None,
        count: int = FOLLOW_COUNT,
    ) -> None:
        """Be told of all transfers of the daemon; goes on until it is cancelled or the daemon ends.

        Who takes long over an event may miss some of those that come meanwhile.

        :param on_shown: is called first, with the transfers that the daemon knows.
        """
        transfer = _events(on_event)

        def passed_on(event: Mapping[str, Any]) -> None:
            if event["event"] == "transfers" and on_shown is not None:
                on_shown(read_answer(TransfersShown, event))
            elif transfer is not None:
                transfer(event)

        await self.request("transfers", on_event=passed_on, follow=True, count=count)

    async def cancel_transfer(self, transfer: str) -> Cancelled:
        """Give a transfer up for good; what has arrived of an unfinished file is removed."""
        return read_answer(Cancelled, await self.request("cancel-transfer", transfer=transfer, deadline=NETWORK_S))

    async def offers(self) -> Offers:
        """What waits for a person's consent."""
        return read_answer(Offers, await self.request("offers", deadline=ANSWER_S))

    async def decide(self, offer: str, *, accept: bool) -> None:
        """Take what was offered, or not.

        :raises InvalidRequest: if there is no such offer (any more).
        """
        await self.request("decide", offer=offer, accept=accept, deadline=ANSWER_S)

    async def chat(self, peer: str, on_chat: OnChat, *, acting: str | None = None) -> None:
        """Hold a conversation with a peer, until both sides have ended it."""

        def passed_on(event: Mapping[str, Any]) -> None:
            if event["event"] == "chat":
                on_chat(read_answer(ChatLine, event))

        await self.request("chat", on_event=passed_on, peer=peer, **acting_as(acting))

    async def chat_say(self, peer: str, line: str | None, *, acting: str | None = None) -> None:
        """Say a line in the conversation that :meth:`chat` holds; None ends one's own side of it.

        It returns when there is room for the next line.
        """
        await self.request("chat-say", peer=peer, line=line, **acting_as(acting))


def _events(on_event: OnTransferEvent | None) -> OnEvent | None:
    """Make a listener of raw events from one of those of transfers; kinds that a newer daemon may have are left out."""
    if on_event is None:
        return None

    def passed_on(event: Mapping[str, Any]) -> None:
        fields = event.get("transfer")
        if event["event"] != "transfer" or not isinstance(fields, dict) or fields.get("event") not in EVENTS:
            return
        try:
            read = read_event(fields)
        except ValidationError as error:
            raise not_understood(error, str(fields["event"])) from error
        on_event(read)

    return passed_on
