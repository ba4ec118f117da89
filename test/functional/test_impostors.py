"""Certificates of another authority, and a router that isn't one."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory

from p2p.control.channel import Channel
from p2p.identity.tls import CONTROL_ALPN
from test.functional.cases import SharedLabCase
from test.functional.lab import RunningLab, reactor, until
from test.ports import free_ports


class ImpostorTests(SharedLabCase):
    """Daemons that try to join the shared lab without being of it."""

    async def logged(self, lab: RunningLab, daemon: str, text: str) -> None:
        """A daemon says so, sooner or later."""

        async def has_said() -> bool:
            return text in lab.log(daemon)

        await until(has_said, f"{daemon} to log {text!r}")

    def foreign_lab(self, **ports: int) -> RunningLab:
        """A lab of the same names with another authority, whose members trust this lab all the same."""
        foreign = self.own_lab("nmk", ports={**self.lab.ports, **ports})
        authority = foreign.folder / "ca.pem"
        authority.write_bytes(authority.read_bytes() + (self.lab.folder / "ca.pem").read_bytes())
        return foreign

    async def test_foreign_peer(self) -> None:
        """A peer with a certificate of another authority can't register, though it trusts the lab; both sides say why,
        and the peer of that name stays registered."""
        foreign = self.foreign_lab()
        await foreign.start_peers("foreign", "n1.n", registered=False)
        await self.logged(foreign, "foreign", "n1.n: can't register at router.n: ")
        await self.logged(self.lab, "router-n", "control: no TLS with 127.0.0.1:")
        self.assertIn("certificate verify failed", self.lab.log("router-n"))
        status = await foreign.peer_status("foreign")
        self.assertFalse(status.peers[0].registered)
        self.assertEqual((await self.lab.router_status("n")).peers, 4)
        self.assertEqual((await self.clients["m"].message("n1.n", "hello", acting="m1.m")).text, "HELLO")

    async def test_foreign_router(self) -> None:
        """A router with a certificate of another authority gets no link to the lab's routers and serves none of its
        peers, who go on as before."""
        foreign = self.foreign_lab(k=free_ports(1)[0])
        await foreign.start_router("k")
        await self.logged(foreign, "router-k", "federation: router.n doesn't link")
        self.assertFalse(any((await foreign.router_status("k")).neighbours.values()))
        self.assertTrue(all((await self.lab.router_status("n")).neighbours.values()))
        self.assertEqual((await self.clients["m"].message("n1.n", "hello", acting="m1.m")).text, "HELLO")

    async def test_peer_as_router(self) -> None:
        """A peer that listens where a router should, with its good certificate, is no router to anybody."""
        (port,) = free_ports(1)
        channels: list[Channel] = []
        router = self.lab.credentials("n2.n")

        def channel() -> Channel:
            channels.append(Channel(reactor, silence_s=60, call_s=10, handshake_s=10))
            return channels[-1]

        factory = Factory.forProtocol(channel)
        wrapped: Any = router.wrap(factory, client=False, alpn=CONTROL_ALPN, clock=reactor)
        listening = reactor.listenTCP(port, wrapped, interface="127.0.0.1")
        self.addCleanup(lambda: maybeDeferred(listening.stopListening))
        path = self.lab.folder / "misled.yaml"
        if not path.exists():
            self.lab.peers_file("misled", "n7.n")
        path.write_text(path.read_text().replace(f":{self.lab.ports['n']}", f":{port}"))
        misled = await self.lab.start_peers("misled", registered=False)
        self.addCleanup(lambda: Deferred.fromCoroutine(misled.stop()))
        await self.logged(self.lab, "misled", "expected router.n, but the certificate at the other end is for n2.n")
        self.assertFalse((await self.lab.peer_status("misled")).peers[0].registered)
