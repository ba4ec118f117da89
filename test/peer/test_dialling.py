"""The two ends of a connection that shall become a link: strangers at the gate, plain and TLS, and what is left."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ClientFactory
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerLimits
from p2p.base.errors import Outcome
from p2p.base.ticket import TicketBook
from p2p.control.door import FIRST_BYTE_S
from p2p.link.hello import LinkTerms
from p2p.peer.dialling import MAX_CALLERS, REMEMBERED, Gate, Wiring
from test.identities import credentials
from test.link.links import Hand, Owner
from test.network import FRESH, Network
from test.peer.pair import M4, N1, NodeCase

STRANGER = "198.51.100.9"


class CallerCase(NodeCase):
    """Callers by hand."""

    def call(self, network: Network, port: int, host: str = N1) -> Hand:
        """Connect a stranger to a port."""
        hand = Hand()
        factory = ClientFactory.forProtocol(lambda: hand)
        factory.noisy = False
        network.connectTCP(host, port, factory, source=STRANGER)
        network.settle()
        return hand


class OpenTests(NodeCase):
    """Binding the fresh socket."""

    def opened(self, endpoint: str, number: int) -> Deferred[int]:
        """Bind one on a machine whose system says this to sockets of IPv6."""
        network = Network()
        machine = network.on(N1)
        listen = machine.listenTCP

        def listen_tcp(port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
            if ":" in interface:
                raise CannotListenError(interface, port, OSError(number, "no IPv6"))
            return listen(port, factory, backlog, interface)

        self.patch(machine, "listenTCP", listen_tcp)
        wiring = Wiring(machine, credentials("n1.n"), PeerLimits(), Owner(), sockets=FRESH)
        gate = Gate(wiring, lambda plain: LinkTerms(None, dialler=False, plain=plain), decided=True)  # type: ignore[arg-type]  # nobody calls
        opening = Deferred.fromCoroutine(gate.open(endpoint))
        self.addCleanup(gate.close)
        return opening

    def test_without_ipv6(self) -> None:
        """The default takes both IP versions; on a machine that has no IPv6 it takes IPv4, and nothing else does."""
        for number in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            self.successResultOf(self.opened("tcp6:0", number))
            self.failureResultOf(self.opened(r"tcp:0:interface=2001\:db8\:\:1", number), CannotListenError)
        self.failureResultOf(self.opened("tcp6:0", errno.EMFILE), CannotListenError)


class ListenerTests(CallerCase):
    """The fresh listener of an attempt."""

    def attempted(self, *, plain: tuple[bool, bool] = (False, False)) -> tuple[Deferred[None], Deferred[Any], int]:
        """Begin an attempt whose request waits; return what lets it go, who waits for the link, and its port."""
        pair = self.make_pair(plain=plain)
        held: Deferred[None] = Deferred()
        pair.routers.before = lambda initiator, target: held
        waiting = pair.start(pair.n1.link_to("m4.m"))
        port = pair.n1.attempts["m4.m"].port
        return held, waiting, port

    def test_stranger_first(self) -> None:
        """Strangers that come first, say nothing, say nonsense or leave again don't keep the right one out."""
        for plain in (False, True):
            for said in (None, b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + bytes(300)):
                held, waiting, port = self.attempted(plain=(plain, plain))
                strangers = [self.call(self.pair.network, port) for _ in range(MAX_CALLERS - 1)]
                for stranger in strangers:
                    if said is None:
                        stranger.transport.abortConnection()
                    else:
                        stranger.say(said)
                self.pair.network.settle()
                held.callback(None)
                self.pair.network.settle()
                self.successResultOf(waiting)
                self.assertTrue(all(stranger.lost is not None for stranger in strangers))
                self.assert_nothing_left(self.pair)

    def test_silent_stranger(self) -> None:
        """Strangers that say nothing make way for others, and are cut off after 2 s; who speaks has ``handshake_s``.

        Whoever asks why there is no link learns of them."""
        _, waiting, port = self.attempted()
        strangers = [self.call(self.pair.network, port) for _ in range(MAX_CALLERS)]
        speaking = self.call(self.pair.network, port)
        self.assertIsNotNone(strangers[0].lost)
        speaking.say(b"\x16\x03\x01")
        self.pair.network.advance(FIRST_BYTE_S + 0.1)
        self.assertTrue(all(stranger.lost is not None for stranger in strangers))
        self.assertIsNone(speaking.lost)
        self.pair.network.advance(10)
        self.assertIsNotNone(speaking.lost)
        setup = self.pair.n1.under_way("m4.m")
        assert setup is not None
        assert setup.moments is not None
        reasons = [steps.reason for steps in setup.moments.callers]
        self.assertEqual(
            ["another one needs its place", "no hello within 10 s"] + 3 * ["it said nothing for 2 s"], reasons
        )
        waiting.cancel()
        self.failureResultOf(waiting)
        self.pair.network.settle()
        self.assertEqual({}, self.pair.leftovers())

    def test_flood_of_strangers(self) -> None:
        """Strangers who hold all the connections they can, and come again when one is closed, don't stop the link."""
        for plain in (False, True):
            held, waiting, port = self.attempted(plain=(plain, plain))
            for _ in range(10 * MAX_CALLERS):
                self.call(self.pair.network, port)
            held.callback(None)
            self.pair.network.settle()
            self.successResultOf(waiting)
            self.assert_nothing_left(self.pair)

    def test_closed_with_the_attempt(self) -> None:
        """When the attempt is given up its listener is closed, and so are all who are at it."""
        for plain in (False, True):
            _, waiting, port = self.attempted(plain=(plain, plain))
            strangers = [self.call(self.pair.network, port) for _ in range(3)]
            waiting.cancel()
            self.failureResultOf(waiting)
            self.pair.network.settle()
            self.assertTrue(all(stranger.lost is not None for stranger in strangers))
            self.assertIsNone(self.call(self.pair.network, port).transport)
            self.assertEqual({}, self.pair.leftovers())

    def test_remembered(self) -> None:
        """How far callers came is remembered for whoever asks why there is no link, of the latest of them."""
        _, waiting, port = self.attempted()
        for _ in range(3):
            for _ in range(MAX_CALLERS):
                self.call(self.pair.network, port).say(b"nonsense" * 100)
                self.pair.network.settle()
        setup = self.pair.n1.under_way("m4.m")
        assert setup is not None
        assert setup.moments is not None
        self.assertEqual(REMEMBERED, len(setup.moments.callers))
        self.assertTrue(all("TLS" in steps.reason for steps in setup.moments.callers))
        waiting.cancel()
        self.failureResultOf(waiting)

    def test_reason_of_a_stranger(self) -> None:
        """When nobody but strangers came, the failure says how the last of them failed."""
        pair = self.make_pair()
        pair.network.pull(N1, M4)
        waiting = pair.start(pair.n1.link_to("m4.m"))
        port = pair.n1.attempts["m4.m"].port
        self.call(pair.network, port).say(b"nonsense" * 100)
        pair.network.advance(31)
        self.assertIn("no link to m4.m: TLS: ", self.failed(waiting, Outcome.CONNECT_FAILED))

    def test_reason_of_an_earlier_attempt(self) -> None:
        """How a caller of an earlier attempt ended isn't told of the next one."""
        pair = self.make_pair()
        pair.network.pull(N1, M4)
        first = pair.start(pair.n1.link_to("m4.m"))
        port = pair.n1.attempts["m4.m"].port
        self.call(pair.network, port)
        first.cancel()
        self.failureResultOf(first)
        second = Deferred.fromCoroutine(pair.n1.link_to("m4.m"))
        pair.network.advance(31)
        self.assertIn("let a firewall", self.failed(second, Outcome.CONNECT_FAILED))
        self.assertEqual({}, pair.leftovers())


class PlainTests(CallerCase):
    """Links without TLS, where both peers allow them."""

    def test_who_decides(self) -> None:
        """A link is plain if both peers allow it, and has TLS if either doesn't."""
        for plain in ((False, False), (True, False), (False, True), (True, True)):
            for asking, target in (("n1.n", "m4.m"), ("m4.m", "n1.n")):
                pair = self.make_pair(plain=plain)
                link, _ = pair.run(pair.peers[asking].link_to(target))
                self.assertEqual(all(plain), link.terms.plain)
                self.assert_nothing_left(pair)

    def test_held(self) -> None:
        """A caller that comes before the answer of the routers waits, unread, and is let in when it is known."""
        for plain in (True, False):
            pair = self.make_pair(plain=(True, plain))
            answer: Deferred[None] = Deferred()
            request = pair.routers.request

            async def slow(
                initiator: str,
                arguments: dict[str, Any],
                request: Callable[..., Any] = request,
                answer: Deferred[None] = answer,
            ) -> Any:
                result = await request(initiator, arguments)
                await answer
                return result

            self.patch(pair.routers, "request", slow)
            waiting = pair.start(pair.n1.link_to("m4.m"))
            (wire,) = [wire for wire in pair.network.wires if wire.host.host == N1]
            self.assertFalse(wire.reading)
            self.assertNoResult(waiting)
            answer.callback(None)
            pair.network.settle()
            link, _ = self.successResultOf(waiting)
            self.assertEqual(plain, link.terms.plain)
            self.assert_nothing_left(pair)

    def test_ticket_guards(self) -> None:
        """On a plain link the ticket alone keeps strangers out."""
        pair = self.make_pair(plain=(True, True))
        request = pair.routers.request

        async def answer_only(initiator: str, arguments: dict[str, Any]) -> dict[str, Any]:
            await request(initiator, {**arguments, "ticket": bytes(32)})
            return {"address": M4, "table_lookup_ns": 0, "router_lookup_ns": 0, "dialling": True, "plain": True}

        self.patch(pair.routers, "request", answer_only)
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.advance(31)
        self.assertIn("shows no valid ticket", self.failed(waiting, Outcome.CONNECT_FAILED))
        self.assertEqual({}, pair.leftovers())


class GateTests(SynchronousTestCase):
    """A gate and a dial by themselves."""

    def setUp(self) -> None:
        """Make what a peer's links are made of."""
        self.network = Network()
        self.owner = Owner()
        self.wiring = Wiring(self.network.on(N1), credentials("n1.n"), PeerLimits(), self.owner, sockets=FRESH)
        self.ticket = TicketBook().issue(bytes(32), "n1.n", "m4.m", 30.0)
        self.gate = Gate(self.wiring, lambda plain: LinkTerms(self.ticket, dialler=False, plain=plain), decided=True)

    def test_addresses(self) -> None:
        """A gate names the address that it is bound to, unless it is bound to all of them."""
        for endpoint, addresses in (("tcp:0", []), ("tcp:0:interface=192.0.2.7", ["192.0.2.7"])):
            gate = Gate(self.wiring, lambda plain: LinkTerms(self.ticket, dialler=False, plain=plain), decided=True)
            port = self.successResultOf(Deferred.fromCoroutine(gate.open(endpoint)))
            self.assertEqual(addresses, gate.addresses)
            self.assertIn(port, {number for _, number in self.network.ports})
            gate.close()
            self.assertEqual({}, self.network.ports)

    def test_closed_while_it_opens(self) -> None:
        """A gate that is closed before its socket is bound closes that at once."""
        self.gate.close()
        self.successResultOf(Deferred.fromCoroutine(self.gate.open("tcp:0")))
        self.assertEqual({}, self.network.ports)

    def test_failing_close(self) -> None:
        """A listener that can't be closed properly is logged."""
        self.successResultOf(Deferred.fromCoroutine(self.gate.open("tcp:0")))
        (port,) = self.network.ports.values()
        failing: Deferred[None] = Deferred()
        self.patch(port, "stopListening", lambda: failing)
        self.gate.close()
        failing.errback(OSError("bad"))
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))

    def test_close_without_a_word(self) -> None:
        """Some ports close without a Deferred."""
        self.successResultOf(Deferred.fromCoroutine(self.gate.open("tcp:0")))
        (port,) = self.network.ports.values()
        self.patch(port, "stopListening", lambda: None)
        self.gate.close()

    def test_somebody_elses_link(self) -> None:
        """A gate knows which links came through it."""
        terms = LinkTerms(self.ticket, dialler=False, plain=False)
        self.assertFalse(self.gate.left(self.wiring.link(terms)))
