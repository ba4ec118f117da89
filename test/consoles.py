"""Daemons' consoles in memory, for the tests of what talks to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.console.operations import (
    Connected,
    Direct,
    DisconnectArguments,
    Disconnected,
    ExchangeArguments,
    HostedStatus,
    Link,
    Mean,
    NoArguments,
    OpenSockets,
    PeerArguments,
    PeersArguments,
    PeersListed,
    PeerStatus,
    Pinged,
    Registered,
    RouterConnection,
    RouterStatus,
    SocketBytes,
    WaitRegisteredArguments,
)
from p2p.console.server import ConsoleServer, Handler, checked
from test.moves import transfer_operations

_T = TypeVar("_T")

DIGEST = "1a2b3c4d" * 8
"""A BLAKE3 digest in hex, as far as its form goes."""

HOSTILE = "evil\x1b[2J\u202egpj.exe"
"""A name that would clear a terminal and turn the reading direction."""


class _UNIXTransport(FakeTransport):
    """A client's end over which file descriptors go as well: at once, and so before what is written after them."""

    def __init__(self, client: Any, server: Any) -> None:
        super().__init__(client, False)
        self._server = server

    def sendFileDescriptor(self, file: int) -> None:
        """The other end gets a copy, as from the system."""
        self._server.fileDescriptorReceived(os.dup(file))


class ConsoleReactor(MemoryReactorClock):
    """A reactor on which connecting to any UNIX socket reaches the console of the given operations."""

    def __init__(self, handlers: Mapping[str, Handler], **limits: int) -> None:
        super().__init__()
        self.console = ConsoleServer(self, Path("/run/p2p/console"), handlers, **limits)
        self.pumps: list[IOPump] = []

    def connectUNIX(self, address: Any, factory: Factory[Any], timeout: float = 30, checkPID: int = 0) -> Any:
        """Join a client and a server at once."""
        client: Any = factory.buildProtocol(UNIXAddress(address))
        server = self.console.factory.buildProtocol(None)
        near = _UNIXTransport(client, server)
        self.pumps.append(connect(server, FakeTransport(server, True), client, near))

    def settle(self) -> None:
        """Carry bytes both ways until there are none."""
        while any([pump.pump() for pump in self.pumps]):
            pass

    def run_work(self, work: Callable[[Any], Coroutine[Any, Any, _T]], /) -> _T:
        """Run a coroutine to its end, carrying bytes, and letting time pass when nothing else happens."""
        ended: list[_T | Failure] = []
        Deferred.fromCoroutine(work(self)).addBoth(ended.append)
        for _second in range(1000):
            self.settle()
            if ended:
                break
            self.advance(0.1)
        (result,) = ended
        if isinstance(result, Failure):
            result.raiseException()
        return result


def peer_operations(**changed: Handler) -> dict[str, Handler]:
    """The operations of a peer daemon that hosts n1.n, answered without any network."""

    async def status(arguments: NoArguments, emit: object) -> PeerStatus:
        direct = Direct(local="127.0.0.1:41234", remote="127.0.0.1:50022")
        link = Link(
            peer="m4.m",
            initiator="n1.n",
            direct=direct,
            security="tls",
            streams=2,
            sent_bytes=1_500_000,
            received_bytes=120,
            age_s=12.25,
        )
        return PeerStatus(
            version="0.1.0",
            pid=4711,
            cluster="n",
            router=RouterConnection(endpoint="tcp:127.0.0.1:5555", connected=True),
            security="tls",
            peers=[HostedStatus(name="n1.n", registered=True, links=[link], observed="192.0.2.11")],
            open=OpenSockets(listeners=0, links=1, attempts=0, control=1, console=1),
        )

    async def wait_registered(arguments: WaitRegisteredArguments, emit: object) -> Registered:
        return Registered(peers=1, registered=1)

    async def peers(arguments: PeersArguments, emit: object) -> PeersListed:
        if arguments.cluster == "x":
            raise ExchangeFailed(Outcome.UNKNOWN_CLUSTER, "router.n knows no cluster x")
        return PeersListed(cluster=arguments.cluster, names=[f"{arguments.cluster}{i}.m" for i in range(1, 4)])

    async def ping(arguments: PeerArguments, emit: object) -> Pinged:
        return Pinged(
            peer=arguments.peer,
            rtt_ns=420_000,
            reused=False,
            setup_ns=12_300_000,
            local="127.0.0.1:41234",
            remote="127.0.0.1:50022",
        )

    async def link(arguments: PeerArguments, emit: object) -> Connected:
        return Connected(peer=arguments.peer, reused=True, initiator="n1.n")

    async def disconnect(arguments: DisconnectArguments, emit: object) -> Disconnected:
        return Disconnected(closed=1 if arguments.peer else 3)

    async def exchange(arguments: ExchangeArguments, emit: Any) -> Mapping[str, Any]:
        if arguments.show == "text":
            for part in (arguments.text or "").upper().splitlines(keepends=True):
                await emit("text", text=part)
        size = len(arguments.text.encode()) if arguments.text is not None else 4000
        if arguments.path is not None:
            for done in (1000, 4000):
                await emit("progress", bytes=done, length=4000)
        receipt = {"name": arguments.name, "size": size, "digest": DIGEST, "received_s": 0.5}
        return {
            "peer": arguments.peer,
            "service": arguments.service,
            "type": arguments.type,
            "name": arguments.name,
            "outcome": "ok",
            "bytes": size,
            "digest": DIGEST,
            "reply_bytes": size,
            "reply_digest": DIGEST,
            "receipt": receipt if arguments.service == "store" else None,
            "planned_ns": 1_000_000_000,
            "first_byte_ns": 1_200_000_000,
            "end_ns": 1_500_000_000,
        }

    return {
        "status": checked(NoArguments, status),
        "wait-registered": checked(WaitRegisteredArguments, wait_registered),
        "peers": checked(PeersArguments, peers),
        "ping": checked(PeerArguments, ping),
        "connect": checked(PeerArguments, link),
        "disconnect": checked(DisconnectArguments, disconnect),
        "exchange": checked(ExchangeArguments, exchange),
        **transfer_operations(),
        **changed,
    }


def router_operations() -> dict[str, Handler]:
    """The operations of a router daemon."""

    async def status(arguments: NoArguments, emit: object) -> RouterStatus:
        return RouterStatus(
            version="0.1.0",
            pid=4712,
            cluster="n",
            listening="tcp:5555",
            peers=2,
            neighbours={"o": False, "m": True},
            neighbour_problems={"o": "router.o said: router.n isn't a neighbour"},
            connections=4,
            socket_bytes=SocketBytes(received=2_000_000, sent=1000),
            lookups=7,
            table_lookup_ns=Mean(count=7, mean=900.0, max=2100),
        )

    return {"status": checked(NoArguments, status)}


def failing(error: Exception) -> Handler:
    """An operation that fails like this."""

    async def fail(request: Mapping[str, Any], emit: object) -> Mapping[str, Any]:
        raise error

    return fail


def pending(begun: list[Deferred[None]]) -> Handler:
    """An operation that ends when the test fires the Deferred that it adds to the list."""

    async def wait(request: Mapping[str, Any], emit: object) -> Mapping[str, Any]:
        waiting: Deferred[None] = Deferred()
        begun.append(waiting)
        await waiting
        return dict(request)

    return wait
