"""What was asked for, as the journal keeps it, and how it becomes what moves: at first, or once more.

The journal's ``what`` is all that makes a transfer this one and no other, ``how`` the rest; both are JSON.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from p2p.base.errors import InvalidRequest
from p2p.console.transfer_operations import Direction, GetArguments, SendArguments
from p2p.exchange.service import Threads
from p2p.peer.node import HostedPeer
from p2p.peer.transfers.getting import Getting
from p2p.peer.transfers.interfaces import Moving
from p2p.peer.transfers.journal import Journal, TransferRow, names_of
from p2p.peer.transfers.peer_way import PeerWay, Pipe
from p2p.peer.transfers.sender_leaves import KeptState
from p2p.peer.transfers.sending import Content, Sending
from p2p.peer.transfers.sources import checked_folder, checked_sources
from p2p.transfer.answers import Asked
from p2p.transfer.interfaces import Sender
from p2p.transfer.sharing import Shared
from p2p.transfer.walking import SourceRoot, entry_names

__all__ = ["GetPlan", "Plan", "SendPlan", "plan_again"]

TOGETHER: Final = 32
"""Peers that share one reading of a source: each of them may hold a thread while it waits for the others."""


class Plan(ABC):
    """What was asked for.

    :ivar what: what makes it this transfer.
    :ivar how: with which limits.
    """

    direction: Direction

    def __init__(self, what: Mapping[str, Any], how: Mapping[str, Any], threads: Threads, clock: IReactorTime) -> None:
        self.what = what
        self.how = how
        self._threads = threads
        self._clock = clock

    @property
    def is_stream(self) -> bool:
        """Whether it goes through a pipe."""
        return bool(self.what.get("stream"))

    async def check(self) -> None:
        """See that this machine can do its part.

        :raises LocalFileError: if a path can't be used.
        """
        await self._threads(self._check)

    @abstractmethod
    async def share(self, count: int) -> None:
        """So many new transfers of the same begin together."""

    @abstractmethod
    def _check(self) -> None:
        """As :meth:`check`, in a thread."""

    @abstractmethod
    def moving(self, row: TransferRow, peer: HostedPeer, *, fresh: bool) -> Moving:
        """Make what moves for one of the transfers."""


class SendPlan(Plan):
    """Something is to be sent."""

    direction = "send"

    def __init__(
        self,
        acting: str,
        what: Mapping[str, Any],
        how: Mapping[str, Any],
        pipe: Pipe | None,
        kept: KeptState,
        threads: Threads,
        clock: IReactorTime,
    ) -> None:
        super().__init__(what, how, threads, clock)
        self._content = Content(what, kept.folder(acting, what), pipe, threads, clock)
        self._senders: deque[Sender] = deque()

    @classmethod
    def asked(
        cls,
        acting: str,
        arguments: SendArguments,
        pipe: Pipe | None,
        kept: KeptState,
        threads: Threads,
        clock: IReactorTime,
    ) -> SendPlan:
        """The plan for what a client asks for.

        :raises InvalidRequest: if it makes no sense.
        """
        if arguments.name is not None and len(arguments.paths) > 1:
            raise InvalidRequest("these are several things, and a name is for one; leave it out")
        what: dict[str, Any] = {"links": arguments.links, "type": arguments.type}
        if arguments.stream:
            what |= {"stream": True, "names": [arguments.name]}
        else:
            what |= {"paths": arguments.paths, "name": arguments.name}
        return cls(acting, what, _how(arguments), pipe, kept, threads, clock)

    async def share(self, count: int) -> None:
        """Have the source read and hashed once for all of them."""
        while count > 1:
            together = min(count, TOGETHER)
            engine = await self._threads(self._content.engine)
            self._senders += Shared(engine, together).members
            count -= together

    def moving(self, row: TransferRow, peer: HostedPeer, *, fresh: bool) -> Moving:
        """Make what sends for one of the transfers."""
        return Sending(
            PeerWay(peer, row.peer, self._clock),
            row,
            self._content,
            names=names_of(row),
            content_type=self.what["type"],
            limit=row.how["limit"],
            first=self._senders.popleft() if fresh and self._senders else None,
            threads=self._threads,
            clock=self._clock,
        )

    def _check(self) -> None:
        if self.is_stream:
            entry_names([SourceRoot(name=self.what["names"][0], stream=-1)])
        else:
            checked_sources(self.what["paths"], self.what["name"])


class GetPlan(Plan):
    """Something is to be got.

    :param seal: enters in the journal, from a thread, that all of a transfer is in its place.
    """

    direction = "get"

    def __init__(
        self,
        what: Mapping[str, Any],
        how: Mapping[str, Any],
        pipe: Pipe | None,
        seal: Callable[[TransferRow], None],
        threads: Threads,
        clock: IReactorTime,
    ) -> None:
        super().__init__(what, how, threads, clock)
        self._pipe = pipe
        self._seal = seal

    @classmethod
    def asked(
        cls,
        arguments: GetArguments,
        pipe: Pipe | None,
        seal: Callable[[TransferRow], None],
        threads: Threads,
        clock: IReactorTime,
    ) -> GetPlan:
        """The plan for what a client asks for."""
        names = [name.rstrip("/") or name for name in arguments.names]
        folders = [name for name, typed in zip(names, arguments.names, strict=True) if name != typed]
        what: dict[str, Any] = {"names": names, "links": arguments.links, "exists": arguments.exists}
        if arguments.folder is None:
            what |= {"stream": True}
        else:
            what |= {"folder": arguments.folder}
        return cls(what, {**_how(arguments), "folders": folders}, pipe, seal, threads, clock)

    async def share(self, count: int) -> None:
        """There is only one peer to get something from."""

    def moving(self, row: TransferRow, peer: HostedPeer, *, fresh: bool) -> Moving:
        """Make what gets it."""
        return Getting(
            PeerWay(peer, row.peer, self._clock),
            row,
            None if self.is_stream else Path(self.what["folder"]),
            exists=self.what["exists"],
            links=self.what["links"],
            limit=row.how["limit"],
            pipe=self._pipe,
            seal=self._seal,
            threads=self._threads,
            clock=self._clock,
        )

    def _check(self) -> None:
        Asked(self.what["names"])
        if not self.is_stream:
            checked_folder(self.what["folder"])


def plan_again(row: TransferRow, journal: Journal, kept: KeptState, threads: Threads, clock: IReactorTime) -> Plan:
    """The plan of a transfer that the journal has; it must not be one through a pipe."""
    if row.direction == "send":
        return SendPlan(row.acting, row.what, row.how, None, kept, threads, clock)
    return GetPlan(row.what, row.how, None, journal.seal, threads, clock)


def _how(arguments: SendArguments | GetArguments) -> dict[str, Any]:
    return {"limit": arguments.limit, "deadline_s": arguments.deadline_s}
