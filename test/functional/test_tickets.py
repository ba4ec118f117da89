"""Who may open a direct link: a real peer daemon asks, and the peer that is told to dial is made by hand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, DeferredQueue, DeferredSemaphore, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, clientFromString, connectProtocol
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from p2p.base.config import PeerLimits
from p2p.base.ticket import NONCE_BYTES, Ticket
from p2p.console.operations import Connected
from p2p.identity.lab import issue_name
from p2p.link.flow import Stream
from p2p.link.hello import LinkTerms
from p2p.link.protocol import DirectLink
from p2p.peer.dialling import Wiring
from p2p.peer.registration import Registration
from test.functional.cases import SharedLabCase
from test.functional.lab import RunningLab, reactor, until
from test.peer.pair import Obeying

LIMITS = PeerLimits()


class Caller:
    """One connection to a fresh listener, and how it fared.

    :ivar opened: fires when it is a link; never, if it doesn't become one.
    :ivar ended: fires with the reason when it is gone.
    """

    def __init__(self) -> None:
        self.link: DirectLink | None = None
        self.opened: Deferred[None] = Deferred()
        self.ended: Deferred[str] = Deferred()

    def link_established(self, link: DirectLink) -> None:
        self.opened.callback(None)

    def link_stream(self, link: DirectLink, stream: Stream) -> None:
        stream.reset()

    def link_closed(self, link: DirectLink, reason: str) -> None:
        self.ended.callback(reason)


class HandMadePeer:
    """Registers at the real router, is told to dial, and then dials what and how a test wants.

    :ivar told: the instructions that came, as the ticket and the port.
    """

    def __init__(self, lab: RunningLab, name: str) -> None:
        self.credentials = lab.credentials(name)
        self.told: DeferredQueue[tuple[Ticket, int]] = DeferredQueue()
        router = clientFromString(reactor, f"tcp:127.0.0.1:{lab.ports[name[-1]]}")
        self.registration = Registration(reactor, router, self.credentials, LIMITS, DeferredSemaphore(1))

    async def instructed(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        ticket = Ticket(arguments["ticket"], arguments["initiator"], self.credentials.name, float("inf"))
        self.told.put((ticket, arguments["port"]))
        return {"dialling": True, "plain": False}

    async def dial(self, ticket: Ticket, port: int) -> Caller:
        """Connect to a listener with a ticket, true or not; what comes of it, the caller tells."""
        caller = Caller()
        wiring = Wiring(reactor, self.credentials, LIMITS, caller)
        caller.link = link = wiring.link(LinkTerms(ticket, dialler=True, plain=False))
        factory = wiring.factory(lambda: link, client=True, plain=False)
        await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(factory)
        return caller


class Stranger(Protocol):
    """Connects and says whatever it likes."""

    def __init__(self, says: bytes) -> None:
        self.says = says
        self.ended: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self.says)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(None)


class TicketTests(SharedLabCase):
    """n1.n asks for x1.m, which is made by hand; x2.m is another peer with a good certificate."""

    async def prepare(self) -> None:
        """Register x1.m."""
        await super().prepare()
        self.peer = self.hand_made("x1.m")
        self.peer.registration.start(Obeying(self.peer.instructed))
        self.addCleanup(lambda: Deferred.fromCoroutine(self.peer.registration.stop()))
        await self.peer.registration.when_registered()
        self.callers: list[Caller] = []
        self.addCleanup(lambda: Deferred.fromCoroutine(self._hang_up()))

    def hand_made(self, name: str) -> HandMadePeer:
        """A hand-made peer of this name, with a certificate of the lab."""
        if not (self.lab.folder / "certificates" / f"{name}.pem").exists():
            issue_name(self.lab.folder, name)
        return HandMadePeer(self.lab, name)

    async def asked(self) -> tuple[Deferred[Connected], Ticket, int]:
        """Have n1.n ask; the answer to come, the ticket and the port of its fresh listener."""
        answer = Deferred.fromCoroutine(self.clients["n"].link("x1.m", acting="n1.n"))
        ticket, port = await self.peer.told.get()
        return answer, ticket, port

    async def dial(self, ticket: Ticket, port: int, peer: HandMadePeer | None = None) -> Caller:
        """Dial, and hang up when the test ends."""
        caller = await (peer or self.peer).dial(ticket, port)
        self.callers.append(caller)
        return caller

    async def _hang_up(self) -> None:
        for caller in self.callers:
            if not caller.ended.called:
                assert caller.link is not None
                caller.link.abort("the test is over")
                await caller.ended

    async def stands(self, answer: Deferred[Connected], ticket: Ticket, port: int) -> None:
        """The true ticket opens the link, whatever was tried before."""
        caller = await self.dial(ticket, port)
        await caller.opened
        link = await answer
        self.assertEqual((link.peer, link.initiator, link.reused), ("x1.m", "n1.n", False))

    def assert_logged(self, text: str) -> None:
        """The daemon of n1.n has said so."""
        self.assertIn(text, self.lab.log("peers-n"))

    async def test_forged(self) -> None:
        """A forged ticket is refused, whoever shows it, and doesn't use up the true one."""
        answer, ticket, port = await self.asked()
        forged = await self.dial(replace(ticket, nonce=os.urandom(NONCE_BYTES)), port)
        await forged.ended
        self.assertFalse(forged.opened.called)
        self.assertFalse(answer.called)
        self.assert_logged("no valid ticket of n1.n for x1.m")
        await self.stands(answer, ticket, port)

    async def test_somebody_else(self) -> None:
        """The true ticket opens nothing for a peer with another name in its certificate."""
        answer, ticket, port = await self.asked()
        thief = await self.dial(ticket, port, self.hand_made("x2.m"))
        await thief.ended
        self.assertFalse(thief.opened.called)
        self.assert_logged("expected x1.m, but the certificate at the other end is for x2.m")
        await self.stands(answer, ticket, port)

    async def test_replayed(self) -> None:
        """A ticket opens one link: not a second at the same listener, which is gone, nor one at the next."""
        answer, ticket, port = await self.asked()
        two = await gatherResults([Deferred.fromCoroutine(self.dial(ticket, port)) for _ in range(2)])
        await answer
        await DeferredList([one.ended for one in two], fireOnOneCallback=True)
        self.assertEqual([one.opened.called for one in two].count(True), 1)
        await self.assertFailure(Deferred.fromCoroutine(self.peer.dial(ticket, port)), ConnectionRefusedError)
        await self.clients["n"].disconnect(acting="n1.n")
        for one in two:
            await one.ended
        answer, fresh, port = await self.asked()
        again = await self.dial(ticket, port)
        await again.ended
        self.assertFalse(again.opened.called)
        await self.stands(answer, fresh, port)

    async def test_strangers_first(self) -> None:
        """Strangers who connect to the fresh listener first, silent or not, don't stop the link, and are cut off.

        The system may keep a silent one to itself; then nobody is there any more when it speaks."""
        answer, ticket, port = await self.asked()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        strangers = [Stranger(b""), Stranger(b"GET / HTTP/1.1\r\n\r\n"), Stranger(os.urandom(2000))]
        for stranger in strangers:
            await connectProtocol(endpoint, stranger)
        await strangers[1].ended
        await strangers[2].ended
        await self.stands(answer, ticket, port)
        assert strangers[0].transport is not None
        strangers[0].transport.write(b"x")
        await strangers[0].ended

    async def test_nobody_comes(self) -> None:
        """A request that is withdrawn closes its listener, and its ticket is worthless."""
        answer, ticket, port = await self.asked()
        self.assertEqual((await self.lab.peer_status("peers-n")).open.listeners, 1)
        answer.addErrback(lambda failure: None)
        answer.cancel()

        async def closed() -> bool:
            return (await self.lab.peer_status("peers-n")).open.listeners == 0

        await until(closed, "the listener to close")
        await self.assertFailure(Deferred.fromCoroutine(self.peer.dial(ticket, port)), ConnectionRefusedError)
