"""Stand-ins for what moves things and for what holds offers, for the tests of consoles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from p2p.base.errors import InvalidRequest
from p2p.console.transfer_operations import (
    Cancelled,
    GetArguments,
    Moved,
    PendingOffer,
    SendArguments,
    TransferEvent,
    TransfersShown,
)
from test.moves import ID, OFFER, moved, shown


class Mover:
    """Notes what it is asked, and tells what the test says.

    :ivar list: fires with the list of transfers.
    :ivar told: the followers.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any, int | None]] = []
        self.events: list[TransferEvent] = []
        self.waits: list[object] = []
        self.list: Deferred[TransfersShown] = Deferred()
        self.told: list[Callable[[TransferEvent], object]] = []

    async def send(self, peer: Any, arguments: SendArguments, tell: Any, file: int | None) -> Moved:
        self.asked.append((peer.name, arguments, file))
        self.waits = [tell(event) for event in self.events]
        return moved()

    async def get(self, peer: Any, arguments: GetArguments, tell: Any, file: int | None) -> Moved:
        self.asked.append((peer.name, arguments, file))
        return moved()

    async def shown(self, count: int) -> TransfersShown:
        return await self.list

    def follow(self, tell: Callable[[TransferEvent], object]) -> Callable[[], None]:
        self.told.append(tell)
        return lambda: self.told.remove(tell)

    async def cancel(self, transfer: str) -> Cancelled:
        return Cancelled(transfers=[shown(transfer=transfer, state="cancelled")])


class Consent:
    """One offer waits."""

    def __init__(self) -> None:
        self.decided: list[tuple[str, bool]] = []

    def offers(self) -> list[PendingOffer]:
        return [OFFER]

    def decide(self, offer: str, accept: bool) -> None:
        if offer != ID:
            raise InvalidRequest("no such offer")
        self.decided.append((offer, accept))
