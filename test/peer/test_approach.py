"""The target's side of a request: it dials and listens, and both ends are told what came of it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ClientFactory, Factory, Protocol

from p2p.base.errors import Outcome
from p2p.control.commands import Busy, Refused
from p2p.peer.attempt import TOGETHER
from p2p.peer.reaching import LINGER_S
from test.network import Machine
from test.peer.pair import M4, N1, NodeCase, Pair
from test.peer.routers import ROUTER, Router

REACH_S = 4.0

INSTRUCTION: dict[str, Any] = {
    "target": "m4.m",
    "initiator": "n1.n",
    "observed": "",
    "candidates": [N1],
    "port": 7000,
    "ticket": bytes(32),
    "lifetime": 30.0,
    "plain": False,
    "reports": True,
    "reaches": True,
}


class Stranger(Protocol):
    """Connects, and says nothing."""

    heard = b""
    lost = False

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


class Accepting(Protocol):
    """Is connected to, and says nothing."""

    def __init__(self, came: list[Any]) -> None:
        came.append(self)


class ReachTests(NodeCase):
    """n1.n asks for m4.m, and either may have a firewall that drops what others begin."""

    def test_open(self) -> None:
        """Where the initiator can be reached, the target's dial is the only one."""
        pair = self.make_pair()
        link = pair.link()
        setup = pair.n1.setup_of(link)
        assert setup is not None
        assert setup.moments is not None
        self.assertEqual(N1, link.addresses[0].rpartition(":")[0])
        self.assertEqual(setup.moments.port, int(link.addresses[0].rpartition(":")[2]))
        self.assertEqual(2, len(pair.network.wires))
        self.assertEqual({}, pair.network.ports)
        self.assert_nothing_left(pair)

    def test_initiator_behind_a_firewall(self) -> None:
        """The initiator dials the target, which is still the client of TLS; nothing stays open."""
        for plain in ((False, False), (True, True)):
            pair = self.make_pair(plain=plain)
            pair.network.wall(N1)
            link = pair.link()
            self.assertFalse(link.terms.dialler)
            self.assertTrue(pair.m4.links["n1.n"].terms.dialler)
            self.assertEqual(all(plain), link.terms.plain)
            port = int(link.addresses[1].rpartition(":")[2])
            self.assertEqual(M4, link.addresses[1].rpartition(":")[0])
            setup = pair.n1.setup_of(link)
            assert setup is not None
            assert setup.moments is not None
            self.assertEqual((port, [M4]), (setup.moments.target_port, setup.moments.reachable))
            self.assertEqual({}, pair.network.ports)
            self.assert_nothing_left(pair)

    def test_both_walled(self) -> None:
        """Where nobody lets the other in, the error says after 5 s what each end has dialled, and what to do."""
        pair = self.make_pair()
        pair.network.wall(N1)
        pair.network.wall(M4)
        pair.routers.reporting = True
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.advance(REACH_S - 0.1)
        self.assertNoResult(waiting)
        pair.network.advance(LINGER_S + 0.2)
        told = self.failed(waiting, Outcome.CONNECT_FAILED)
        self.assertIn(f"{M4}, port ", told)
        self.assertIn(": nothing answered; from here, ", told)
        self.assertIn("let a firewall on one of the two let TCP in", told)
        pair.network.advance(1)
        self.assertEqual({}, pair.leftovers())

    def test_both_ask(self) -> None:
        """Two that ask for each other at once link, also if one of them can't be reached."""
        for walled in (N1, M4):
            pair = self.make_pair()
            pair.network.wall(walled)
            asking = [Deferred.fromCoroutine(pair.n1.link_to("m4.m")), Deferred.fromCoroutine(pair.m4.link_to("n1.n"))]
            pair.network.advance(REACH_S + LINGER_S + 1)
            for one in asking:
                self.successResultOf(one)
            self.assert_nothing_left(pair)

    def test_impostor_at_the_target(self) -> None:
        """A stranger at the target's port is spoken to, and gets no proof; the right one comes in beside."""
        pair = self.make_pair()
        pair.network.wall(N1)
        answered: Deferred[None] = Deferred()
        request = pair.routers.request

        async def slow(initiator: str, arguments: dict[str, Any]) -> dict[str, Any]:
            answer = await request(initiator, arguments)
            await answered
            return answer

        self.patch(pair.routers, "request", slow)
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.settle()
        ((_, port),) = [key for key in pair.network.ports if key[0] == M4]
        strangers = [self.stranger(pair, port) for _ in range(6)]
        self.assertTrue(all(one.heard[:1] == b"\x16" for one in strangers if one.heard))
        answered.callback(None)
        pair.network.settle()
        self.successResultOf(waiting)
        pair.network.settle()
        self.assertTrue(all(one.lost for one in strangers))
        self.assert_nothing_left(pair)

    def stranger(self, pair: Any, port: int) -> Stranger:
        """Connect somebody to a port of m4.m's machine."""
        one = Stranger()
        factory = ClientFactory.forProtocol(lambda: one)
        factory.noisy = False
        pair.network.connectTCP(M4, port, factory, source="198.51.100.9")
        pair.network.settle()
        return one


class TogetherTests(NodeCase):
    """n1.n and m4.m are behind firewalls that answer what they don't expect with a reset."""

    def refusing(self) -> Pair:
        """Make them."""
        pair = self.make_pair()
        pair.routers.reporting = True
        for host in (N1, M4):
            pair.network.wall(host, refuse=True)
        return pair

    def test_in_vain(self) -> None:
        """Both are had to dial in the same moment, some times; then what each dialled is said."""
        pair = self.refusing()
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.advance(REACH_S)
        told = self.failed(waiting, Outcome.CONNECT_FAILED)
        self.assertIn(f"the connection was refused; from here, {M4}, port ", told)
        self.assertEqual(TOGETHER, len(pair.routers.gone))
        pair.network.advance(LINGER_S + 0.1)
        self.assertEqual({}, pair.leftovers())

    def test_together(self) -> None:
        """The target dials on the word, the initiator half a round trip after it has sent it; one of them gets in."""
        for opened in (N1, M4):
            pair = self.refusing()
            request = pair.routers.request

            async def at_the_third(
                initiator: str,
                arguments: dict[str, Any],
                pair: Pair = pair,
                request: Any = request,
                opened: str = opened,
            ) -> Any:
                if len(pair.routers.gone) == 2:
                    pair.network.open(opened)
                return await request(initiator, arguments)

            self.patch(pair.routers, "request", at_the_third)
            waiting = pair.start(pair.n1.link_to("m4.m"))
            pair.network.advance(1)
            self.successResultOf(waiting)
            self.assertIn(len(pair.routers.gone), range(3, TOGETHER))
            self.assert_nothing_left(pair)

    def test_not_told(self) -> None:
        """Without the routers' help there is one more dial, and then the error."""
        pair = self.refusing()
        request = pair.routers.request

        async def unwilling(initiator: str, arguments: dict[str, Any]) -> Any:
            if "go" in arguments:
                raise Busy.after(1.0, "no")
            return await request(initiator, arguments)

        self.patch(pair.routers, "request", unwilling)
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.advance(1)
        self.failed(waiting, Outcome.CONNECT_FAILED)
        pair.network.advance(10)
        self.assertEqual({}, pair.leftovers())

    def test_unknown(self) -> None:
        """A word for a ticket that isn't being dialled for is refused, and so is one of another initiator."""
        pair = self.make_pair()
        pair.network.pull(N1, M4)
        self.successResultOf(Deferred.fromCoroutine(pair.m4.instructed(INSTRUCTION)))
        for initiator, ticket in (("n1.n", bytes(31) + b"x"), ("n2.n", bytes(32)), ("\x1b[2J", bytes(32))):
            word = {"target": "m4.m", "initiator": initiator, "ticket": ticket}
            self.assertTrue(str(self.assertRaises(Refused, pair.m4.go, word)).isprintable())
        pair.m4.go({"target": "m4.m", "initiator": "n1.n", "ticket": bytes(32)})
        pair.network.advance(20)
        self.assertEqual({}, pair.leftovers())


class InstructionTests(NodeCase):
    """m4.m is instructed by hand."""

    def instruct(self, pair: Any, **changed: Any) -> Deferred[Any]:
        """Tell m4.m to dial."""
        return Deferred.fromCoroutine(pair.m4.instructed({**INSTRUCTION, **changed}))

    def test_answer(self) -> None:
        """It says where it listens and what its addresses are; asked once more, the same, and nothing is done twice."""
        pair = self.make_pair()
        pair.network.pull(N1, M4)
        answer = self.successResultOf(self.instruct(pair))
        self.assertEqual([(M4, answer["port"])], list(pair.network.ports))
        self.assertEqual(
            {"dialling": True, "plain": False, "port": answer["port"], "addresses": [M4], "goes": True}, answer
        )
        self.assertEqual(answer, self.successResultOf(self.instruct(pair)))
        self.assertEqual(1, pair.m4.pursuit.open_dials)
        pair.network.advance(REACH_S + LINGER_S + 0.1)
        self.assertEqual({}, pair.leftovers())
        self.assertEqual([["no-answer"]], [one["failures"] for one in pair.routers.reports])

    def test_mapped(self) -> None:
        """Asked once more, with where a NAT has the initiator's port, it dials there as well."""
        pair = self.make_pair()
        first = self.successResultOf(self.instruct(pair))
        came: list[Any] = []
        pair.network.on(N1).listenTCP(7001, Factory.forProtocol(lambda: Accepting(came)))
        self.assertEqual(first, self.successResultOf(self.instruct(pair, observe=True, mapped=7001)))
        pair.network.settle()
        self.assertEqual(1, len(came))
        pair.network.advance(20)
        self.assertEqual(0, pair.m4.pursuit.open_dials)

    def test_observing(self) -> None:
        """Behind a NAT it asks its router, from its fresh port, where that is seen, before it answers."""
        pair = self.make_pair()
        pair.network.pull(N1, M4)
        router = Router(pair.network)
        registration: Any = pair.m4.registration
        registration.observed, registration.router_at = "203.0.113.6", (ROUTER, 5555)
        for _ in range(2):
            answering = self.instruct(pair, observe=True)
            pair.network.settle()
            answer = self.successResultOf(answering)
        self.assertEqual([{"ticket": bytes(32)}], router.asked)
        (connection,) = router.connections
        self.assertEqual(answer["port"], connection.transport.getPeer().port)
        pair.network.advance(REACH_S + LINGER_S + 0.1)
        self.assertEqual([], router.connections)
        router.die()
        self.assertEqual({}, pair.leftovers())

    def test_not_observed(self) -> None:
        """A router that can't be asked costs nothing but that."""
        pair = self.make_pair()
        pair.network.pull(N1, M4)
        registration: Any = pair.m4.registration
        registration.observed = "203.0.113.6"
        self.assertTrue(self.successResultOf(self.instruct(pair, observe=True))["dialling"])
        pair.network.advance(20)
        self.assertEqual({}, pair.leftovers())

    def test_nowhere_to_dial(self) -> None:
        """Told of no address, it listens, and would go to the relay that it is told of."""
        pair = self.make_pair()
        answer = self.successResultOf(self.instruct(pair, candidates=[], relays=["relay.m"]))
        self.assertIn((M4, answer["port"]), pair.network.ports)
        self.failureResultOf(self.instruct(pair, candidates=[], ticket=b"x" * 32), Refused)
        pair.network.advance(20)
        self.assertEqual({}, pair.leftovers())

    def test_not_asked_to_listen(self) -> None:
        """For an initiator that doesn't dial, as one of 0.1.0, it opens no port."""
        pair = self.make_pair()
        pair.network.pull(N1, M4)
        self.assertEqual({"dialling": True, "plain": False}, self.successResultOf(self.instruct(pair, reaches=None)))
        self.assertEqual({}, pair.network.ports)
        pair.network.advance(REACH_S + LINGER_S + 0.1)
        self.assertEqual(1, pair.m4.pursuit.open_dials, "it dials as long as ever")
        pair.network.advance(10)
        self.assertEqual({}, pair.leftovers())

    def test_no_port(self) -> None:
        """Without a port, as when none is left, it dials all the same."""
        pair = self.make_pair()

        def fail(*arguments: Any, **more: Any) -> None:
            raise CannotListenError("", 0, OSError(98, "no ports"))

        self.patch(Machine, "listenTCP", fail)
        pair.network.pull(N1, M4)
        self.assertEqual({"dialling": True, "plain": False}, self.successResultOf(self.instruct(pair)))
        self.assertEqual(1, pair.m4.pursuit.open_dials)
        pair.network.advance(REACH_S + 0.1)
        self.assertEqual({}, pair.leftovers())

    def test_refused_and_dialled_again(self) -> None:
        """A dial that is refused is reported at once, and made again: the initiator's may open the way meanwhile."""
        pair = self.make_pair()
        self.successResultOf(self.instruct(pair))
        pair.network.settle()
        self.assertEqual([["refused"]], [one["failures"] for one in pair.routers.reports])
        came: list[Any] = []
        accepting = Factory.forProtocol(lambda: Accepting(came))
        pair.network.on(N1).listenTCP(7000, accepting)
        pair.network.advance(0.5)
        self.assertEqual(1, len(came))
        pair.network.advance(20)
        self.assertEqual(1, len(pair.routers.reports), "a report comes once")
        self.assertEqual(0, pair.m4.pursuit.open_dials)

    def test_stopped(self) -> None:
        """A peer that stops gives its ports and dials up."""
        pair = self.make_pair()
        pair.network.pull(N1, M4)
        self.successResultOf(self.instruct(pair))
        pair.run(pair.m4.stop())
        self.assertEqual({}, pair.leftovers())
