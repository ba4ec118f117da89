"""What the sessions of both directions have in common: the way to the peer, the threads, the pipe at an end."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from p2p.base.errors import InvalidRequest
from p2p.exchange.exchange import Request, Result, Sink, Source
from p2p.exchange.service import Threads
from p2p.link.flow import Stream
from p2p.link.protocol import DirectLink
from p2p.peer.node import HostedPeer

__all__ = ["Engaged", "PeerWay", "Pipe"]


class Pipe:
    """A copy of the file descriptor that a client passed along, closed when the last who uses it has let go.

    :param file: the client's descriptor; None if it passed none.
    :raises InvalidRequest: if it passed none.
    """

    def __init__(self, file: int | None) -> None:
        if file is None:
            raise InvalidRequest("a stream needs the file descriptor of one, passed along with the request")
        self.file = os.dup(file)
        self._users = 1

    def hold(self) -> None:
        """Somebody more uses it."""
        self._users += 1

    def release(self) -> None:
        """Somebody doesn't use it any more."""
        self._users -= 1
        if not self._users:
            os.close(self.file)


class Engaged:
    """Runs the calls of one engine in threads, and knows since when it has been at it.

    :ivar since: since when a call has been under way, seconds; None if none is.
    """

    def __init__(self, threads: Threads, clock: IReactorTime) -> None:
        self._threads = threads
        self._clock = clock
        self.since: float | None = None

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Run a function in a thread."""
        self.since = self._clock.seconds()
        return self._threads(function, *arguments).addBoth(self._done)

    def _done(self, result: Any) -> Any:
        self.since = None
        return result


class PeerWay:
    """The way to a peer, and what goes over it in the session under way."""

    def __init__(self, peer: HostedPeer, target: str, clock: IReactorTime) -> None:
        self._peer = peer
        self._target = target
        self._clock = clock
        self._stream: Stream | None = None

    @property
    def link(self) -> DirectLink | None:
        """The link to the peer, if one stands."""
        link = self._peer.links.get(self._target)
        return link if link is not None and link.reusable else None

    @property
    def superseded(self) -> bool:
        """Whether what goes over a relayed link would go over a direct one now."""
        carrier, link = None if self._stream is None else self._stream.carrier, self.link
        relayed = isinstance(carrier, DirectLink) and bool(carrier.relayed_by)
        return relayed and link is not None and not link.relayed_by

    @property
    def sent(self) -> int:
        """Bytes that went over the stream."""
        return 0 if self._stream is None else self._stream.sent

    @property
    def received(self) -> int:
        """Bytes that came over the stream."""
        return 0 if self._stream is None else self._stream.received

    async def exchange(self, request: Request, source: Source, sink: Callable[[], Sink]) -> Result:
        """Send a request to the peer and take its reply; see :meth:`p2p.peer.node.HostedPeer.exchange`."""
        self._stream = None
        planned_ns = int(self._clock.seconds() * 1e9)
        return await self._peer.exchange(self._target, request, source, sink, planned_ns=planned_ns, watch=self._watch)

    def _watch(self, stream: Stream) -> None:
        self._stream = stream
