"""Asking a router, from a fresh port, where it sees that port: a NAT in between may have given it another number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory

from p2p.base.addresses import PORTS
from p2p.base.config import PeerLimits
from p2p.base.errors import P2PError
from p2p.control.commands import Observe
from p2p.identity.tls import CONTROL_ALPN, Credentials
from p2p.peer.registration import RouterAccess, RouterChannel

__all__ = ["OBSERVE_S", "Observation"]

OBSERVE_S: Final = 2.0
"""Seconds that the answer may take, from the first SYN on."""

Connect = Callable[[str, int, IProtocolFactory, float], Deferred[None]]
"""Connects from a fresh port: address, port, the factory of what it becomes, seconds that this may take."""


class Unobserved(P2PError):
    """The router didn't say where it sees the port."""


class Observation:
    """The connection from a fresh port to the router; it is held until :meth:`close`, so that the NAT remembers."""

    def __init__(self, clock: Any, credentials: Credentials, limits: PeerLimits, access: RouterAccess) -> None:
        self._clock = clock
        self._credentials = credentials
        self._access = access
        self._channel = RouterChannel(clock, limits, access.router)
        self._asking: Deferred[int] | None = None

    def ask(self, connect: Connect, ticket: bytes) -> Deferred[int]:
        """Return the port at which the router sees the one from which ``connect`` connects.

        :raises P2PError: if it doesn't say so in time.
        :raises OSError: if it can't be reached from there.
        """
        self._asking = Deferred.fromCoroutine(self._ask(connect, ticket))
        return self._asking.addTimeout(OBSERVE_S, self._clock, onTimeoutCancel=_too_late)

    def close(self) -> None:
        """End the connection, whatever state it is in."""
        if self._asking is not None:
            self._asking.cancel()
        if self._channel.transport is not None:
            self._channel.close()

    async def _ask(self, connect: Connect, ticket: bytes) -> int:
        at = self._access.router_at
        if at is None:
            raise Unobserved("the router isn't connected")
        factory = Factory.forProtocol(lambda: self._channel)
        factory.noisy = False
        await connect(
            *at, self._credentials.wrap(factory, client=True, alpn=CONTROL_ALPN, clock=self._clock), OBSERVE_S
        )
        await self._channel.ready
        answer = await self._channel.call(Observe, ticket=ticket)
        port: int = answer["port"]
        if port not in PORTS:
            raise Unobserved(f"{self._access.router} sees the port at {port!s:.20}, which can't be dialled")
        return port


def _too_late(result: Any, seconds: float) -> int:
    raise Unobserved(f"the router didn't say within {seconds:g} s where it sees the port")
