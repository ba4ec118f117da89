"""What a person can ask a peer daemon about tunnels and pipes: to join a socket of this machine with the other end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2p.base.errors import ExchangeFailed, InvalidRequest, Outcome
from p2p.console.operations import ActingArguments
from p2p.console.server import Emit, Handler, checked_with_file
from p2p.console.tunnel_operations import PipeArguments, PipeListenArguments, ProgramJoined, TunnelArguments, TunnelTold
from p2p.exchange.duplex import Duplex
from p2p.exchange.exchange import Request
from p2p.exchange.request import DigestSink
from p2p.link.flow import NotTaken, Stream
from p2p.link.mux import TooManyStreams
from p2p.peer.node import TRIES, HostedPeer
from p2p.services.pipe import PIPE
from p2p.services.splice import Splice
from p2p.services.store import BytesSource
from p2p.services.tunnel import DIAL, TUNNEL
from p2p.wire.adopted import NotConnected, adopt, is_connected

__all__ = ["TunnelConsole"]


class TunnelConsole:
    """The operations ``tunnel``, ``pipe`` and ``pipe-listen``.

    :param reactor: provides ``IReactorSocket`` and time.
    :param acting: finds the hosted peer that acts.
    :param adopt: gives a protocol the connection that a descriptor stands for.
    """

    def __init__(
        self, reactor: Any, acting: Callable[[ActingArguments], HostedPeer], adopt: Callable[..., None] = adopt
    ) -> None:
        self._reactor = reactor
        self._acting = acting
        self._adopt = adopt

    def handlers(self) -> dict[str, Handler]:
        """The operations by name."""
        return {
            "tunnel": checked_with_file(TunnelArguments, self._tunnel),
            "pipe": checked_with_file(PipeArguments, self._pipe),
            "pipe-listen": checked_with_file(PipeListenArguments, self._listen),
        }

    async def _tunnel(self, arguments: TunnelArguments, emit: Emit, file: int | None) -> ProgramJoined | TunnelTold:
        peer, more = self._acting(arguments), {"port": str(arguments.port)}
        if arguments.stream:
            return await self._join(peer, arguments.peer, Request(TUNNEL, more=more), _checked(file), emit)
        request = Request(TUNNEL, more={**more, DIAL: "no"})
        asked = await peer.exchange(arguments.peer, request, BytesSource(b""), DigestSink, planned_ns=0)
        return TunnelTold(peer=arguments.peer, to=asked.tail.get("to", ""))

    async def _pipe(self, arguments: PipeArguments, emit: Emit, file: int | None) -> ProgramJoined:
        return await self._join(self._acting(arguments), arguments.peer, Request(PIPE), _checked(file), emit)

    async def _listen(self, arguments: PipeListenArguments, emit: Emit, file: int | None) -> ProgramJoined:
        descriptor = _checked(file)
        visitor = await self._acting(arguments).pipes.listen(arguments.senders)
        splice = Splice()
        splice.carrier = visitor.answer
        visitor.answer.end = splice
        if visitor.answer.failure is not None:
            raise visitor.answer.failure
        return await self._spliced(visitor.sender, splice, descriptor, emit)

    async def _join(
        self, peer: HostedPeer, target: str, request: Request, descriptor: int, emit: Emit
    ) -> ProgramJoined:
        for _ in range(TRIES):
            link, _ = await peer.link_to(target)
            try:
                stream = await link.turns.next(link.open_stream)
            except TooManyStreams as full:
                if link.reusable:
                    raise ExchangeFailed(Outcome.REFUSED, f"{full}; try again when others have ended") from full
                continue
            try:
                splice = await self._asked(peer, stream, request)
            except NotTaken:
                continue  # the link began to close at the other end
            return await self._spliced(target, splice, descriptor, emit)
        raise ExchangeFailed(Outcome.RESET, f"the links to {target} closed as fast as they stood")

    async def _asked(self, peer: HostedPeer, stream: Stream, request: Request) -> Splice:
        """Send the request, and wait until everything stands at the other end."""
        splice = Splice()
        joined: Deferred[None] = Deferred()

        def told(failure: Failure) -> Failure | None:
            if joined.called:
                return failure
            joined.errback(failure)
            return None

        splice.over.addErrback(told)
        splice.carrier = Duplex(
            stream,
            request,
            splice,
            clock=self._reactor,
            silence_s=peer.limits.exchange_silence_s,
            header_bytes=peer.limits.header_bytes,
            joined=lambda: joined.callback(None),
        )
        try:
            await joined
        except BaseException:
            splice.break_off()
            raise
        return splice

    async def _spliced(self, other: str, splice: Splice, descriptor: int, emit: Emit) -> ProgramJoined:
        """Give the connection to the exchange, and wait for the end of both."""
        try:
            self._adopt(self._reactor, descriptor, splice)
        except NotConnected as error:
            splice.break_off()
            raise InvalidRequest(f"the program's connection is gone: {error}") from error
        emit("joined", peer=other)
        await splice.over
        return ProgramJoined(peer=other, sent=splice.sent, received=splice.received)


def _checked(file: int | None) -> int:
    """The descriptor of a connection.

    :raises InvalidRequest: if it is none, or none came.
    """
    if file is None or not is_connected(file):
        raise InvalidRequest('this needs the descriptor of a connected stream socket, sent along with "stream": true')
    return file
