"""What a transfer asks of the part of it that differs between sending and getting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from p2p.base.errors import P2PError
from p2p.link.protocol import DirectLink
from p2p.peer.transfers.stalls import Own
from p2p.transfer.session_requests import SessionTold
from p2p.transfer.walking import Totals

__all__ = ["BeginAnew", "Moving", "Told"]


class BeginAnew(P2PError):
    """A session can't go on as it was begun, and another can begin at once."""


class Told(SessionTold, Protocol):
    """Whoever is told what happens in a session."""

    def on_begun(self) -> None:
        """The other side is asked now."""


class Moving(Protocol):
    """What moves, and how.

    :ivar names: what to show.
    :ivar stream: whether it comes from or goes to a pipe, so that another command can't go on with it.
    """

    names: Sequence[str]
    stream: bool

    @property
    def own(self) -> Own:
        """What is to blame if this machine holds the session up."""

    @property
    def spent(self) -> bool:
        """Whether something went through a pipe that can't be had again, so that no other session is of use."""

    @property
    def totals(self) -> Totals | None:
        """How much it is, if that is known yet."""

    @property
    def current(self) -> str | None:
        """The path of the entry under way."""

    @property
    def restarted(self) -> Sequence[str]:
        """Paths that begin anew in this session although a part of them was there."""

    @property
    def done_bytes(self) -> int:
        """Bytes of content that went to the link or came from it, those of earlier sessions among them."""

    @property
    def moved(self) -> int:
        """A number that grows with every byte of the session under way."""

    @property
    def excused(self) -> bool:
        """Whether a limit that was asked for holds the session up now."""

    @property
    def own_since(self) -> float | None:
        """Since when this machine has been reading or writing; None if it isn't."""

    @property
    def superseded(self) -> bool:
        """Whether the session under way would go over a better link if it began now, and may begin again."""

    @property
    def link(self) -> DirectLink | None:
        """The link to the peer, if one stands."""

    async def session(self, told: Told, *, known: bool) -> Totals:
        """Run one session; when it is left, for whatever reason, nothing of it is open or runs any more.

        :param known: whether the receiver may have something already.
        :raises ExchangeFailed: with the outcome, if the transfer isn't complete then.
        :raises LocalFileError: if this machine's disk is the reason.
        :raises BeginAnew: if the next one shall begin at once, with ``known``.
        """

    async def close(self) -> None:
        """No session follows: let go of everything."""

    async def remove_parts(self, *, tell: bool) -> None:
        """The transfer was cancelled: remove what isn't finished.

        :param tell: whether the other side has to be told.
        :raises P2PError: if it can't be removed, or the other side can't be told.
        """
