"""A peer's standing at its router: it comes, stays, comes back with patience, and leaves when it shall."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2p import __version__
from p2p.base.config import PeerLimits
from p2p.control.channel import ControlLost
from p2p.control.commands import DialFailed, Go, InstructConnect, ListPeers, NameMismatch, Ping, Refused, Revoke
from p2p.identity.authority import Authority
from p2p.identity.believed import Believed
from p2p.identity.pem_files import load_certificate, public_key_of
from p2p.identity.revocations import hash_of, make_revocation
from p2p.identity.tls import remote_key
from p2p.peer import registration as module
from p2p.peer.registration import LONGEST_OUT_S, STEADY_S, THROWN_OUT_S, Registration
from p2p.peer.roaming import ANSWER_S, Whereabouts
from test.identities import credentials, tls_files
from test.network import Network
from test.peer.routers import PEER, ROUTER, Router


class RegistrationCase(SynchronousTestCase):
    """n1.n and where its router would be."""

    def setUp(self) -> None:
        """Make the peer; it isn't started, and there is no router."""
        self.network = Network()
        self.orders: list[Mapping[str, Any]] = []
        self.reports: list[Mapping[str, Any]] = []
        self.seen: list[str] = []
        self.told: list[str] = []
        self.patch(Registration, "_log", _Log(self.told))
        self.turn = DeferredSemaphore(8)
        self.registration = self.make()

    def make(self, name: str = "n1.n", *, believed: Believed | None = None, **limits: Any) -> Registration:
        """Make a registration."""

        return Registration(
            self.network,
            clientFromString(self.network.on(PEER), f"tcp:{ROUTER}:5555"),
            credentials(name),
            PeerLimits().model_copy(update=limits),
            self.turn,
            believed,
        )

    async def instructed(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self.orders.append(arguments)
        return {"dialling": True, "plain": False}

    def go(self, arguments: Mapping[str, Any]) -> None:
        self.reports.append(arguments)

    def reported(self, arguments: Mapping[str, Any]) -> None:
        self.reports.append(arguments)

    def seen_at(self, observed: str) -> None:
        self.seen.append(observed)

    def start(self) -> None:
        """Start it, and let happen what happens without time passing."""
        self.registration.start(self)
        self.network.settle()

    def stop(self, registration: Registration | None = None) -> None:
        """Stop it, and see that nothing of it is left."""
        stopping = Deferred.fromCoroutine((registration or self.registration).stop())
        self.network.advance(0.1)
        self.successResultOf(stopping)
        self.assertFalse((registration or self.registration).registered)

    def assert_nothing_left(self) -> None:
        """No connection and no timer is left, also after a while."""
        self.network.advance(0.1)
        self.assertEqual((set(), []), (self.network.wires, self.network.getDelayedCalls()))


class ComingTests(RegistrationCase):
    """Registering."""

    def test_registers(self) -> None:
        """It tells its name and version, and whoever waits for it is told."""
        router = Router(self.network)
        waiting = Deferred.fromCoroutine(self.registration.when_registered())
        self.assertEqual((False, "not connected yet"), (self.registration.registered, self.registration.last_error))
        self.start()
        self.assertEqual([{"name": "n1.n", "version": __version__, "revocations": None}], router.asked)
        self.assertTrue(self.registration.registered)
        self.successResultOf(waiting)
        self.successResultOf(Deferred.fromCoroutine(self.registration.when_registered()))
        self.assertEqual([f"n1.n: registered at router.n, which sees it at {PEER}"], self.told)
        self.stop()
        self.assert_nothing_left()

    def test_hostile_answer(self) -> None:
        """What the router says of the address is cut and cleaned before it is logged."""
        router = Router(self.network)

        async def answer(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"lease": 60.0, "observed": "\x1b[2J\n" + "x" * 10_000}

        self.patch(router, "answer", answer)
        self.start()
        self.assertTrue(self.told[0].isprintable())
        self.assertLess(len(self.told[0]), 700)

    def test_instructions(self) -> None:
        """Its router may instruct it."""
        router = Router(self.network)
        self.start()
        arguments: dict[str, Any] = {
            "target": "n1.n",
            "initiator": "m4.m",
            "observed": "",
            "candidates": ["192.0.2.4"],
            "port": 7000,
            "ticket": bytes(32),
            "lifetime": 30.0,
            "plain": False,
        }
        answer = Deferred.fromCoroutine(router.connections[0].call(InstructConnect, **arguments))
        self.network.settle()
        nothing = dict.fromkeys(("dials", "port", "addresses", "observed", "attached", "mapped", "goes", "relays"))
        self.assertEqual({"dialling": True, "plain": False, **nothing}, self.successResultOf(answer))
        unsaid = dict.fromkeys(("reports", "reaches", "relays", "attached", "mapped", "observe"))
        self.assertEqual([{**arguments, **unsaid}], self.orders)

    def test_go(self) -> None:
        """Its router may pass on that it shall dial now."""
        router = Router(self.network)
        self.start()
        word: dict[str, Any] = {"target": "n1.n", "initiator": "m4.m", "ticket": bytes(32)}
        answer = Deferred.fromCoroutine(router.connections[0].call(Go, **word))
        self.network.settle()
        self.successResultOf(answer)
        self.assertEqual([word], self.reports)

    def test_reports(self) -> None:
        """Its router may tell it of a dial that came to nothing, and at which address it sees it."""
        router = Router(self.network)
        self.start()
        arguments: dict[str, Any] = {"target": "m4.m", "initiator": "n1.n", "ticket": bytes(32)}
        arguments |= {"addresses": [PEER], "failures": ["refused"]}
        answer = Deferred.fromCoroutine(router.connections[0].call(DialFailed, **arguments))
        self.network.settle()
        self.assertEqual({}, self.successResultOf(answer))
        self.assertEqual(([arguments], [PEER], PEER), (self.reports, self.seen, self.registration.observed))

    def test_nearby(self) -> None:
        """Whether the router is on this machine shows in the address at which it is reached."""
        Router(self.network)
        self.assertFalse(self.registration.nearby)
        self.start()
        self.assertFalse(self.registration.nearby)
        channel: Any = self.registration._channel
        self.patch(channel.transport.transport, "peer", IPv4Address("TCP", "127.0.0.1", 5555))
        self.assertTrue(self.registration.nearby)

    def test_wrong_router(self) -> None:
        """A router with another name in its certificate is refused, and both names are told."""
        router = Router(self.network, "router.m")
        self.start()
        self.assertEqual([], router.asked)
        self.assertIn(
            "expected router.n, but the certificate at the other end is for router.m", self.registration.last_error
        )
        self.assertIn("trying again", self.told[0])

    def test_refused(self) -> None:
        """What the router says when it refuses is told, once as long as it stays the same, and it tries again."""
        router = Router(self.network)

        async def answer(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
            raise NameMismatch("n1.n isn't the name in the certificate")

        self.patch(router, "answer", answer)
        self.start()
        self.assertEqual("n1.n isn't the name in the certificate", self.registration.last_error)
        self.network.advance(60)
        self.assertGreater(len(router.asked), 3)
        self.assertEqual([], router.connections)
        self.assertEqual(
            ["n1.n: can't register at router.n: n1.n isn't the name in the certificate; trying again"], self.told
        )

    def test_no_router(self) -> None:
        """Where nothing listens it tries again and again, with growing pauses of half a minute at most."""
        tried: list[float] = []
        connect = self.network.connectTCP

        def count(*arguments: Any, **more: Any) -> Any:
            tried.append(self.network.seconds())
            return connect(*arguments, **more)

        self.patch(self.network, "connectTCP", count)
        self.start()
        self.network.advance(600)
        pauses = [later - earlier for earlier, later in pairwise(tried)]
        for number, pause in enumerate(pauses):
            least = min(0.5 * 1.5**number, 30)
            self.assertTrue(least <= pause <= least + 1.001, (number, pause))
        self.assertGreater(len(pauses), 20)
        self.assertIn("refused", self.registration.last_error)
        self.assertEqual(1, len(self.told))
        self.stop()
        self.assert_nothing_left()

    def test_no_answer(self) -> None:
        """A router that can't be reached, or answers no TLS, is given up after ``handshake_s``."""
        self.network.pull(ROUTER, PEER)
        self.start()
        self.network.advance(10.1)
        self.assertEqual("router.n accepted no connection within 10 s", self.registration.last_error)
        self.stop()
        self.network.plug(ROUTER, PEER)
        self.network.on(ROUTER).listenTCP(5555, Factory.forProtocol(Protocol))
        self.registration = self.make()
        self.start()
        self.network.advance(10.1)
        self.assertIn("the TLS handshake isn't done after 10 s", self.registration.last_error)

    def test_no_answer_to_register(self) -> None:
        """A router that doesn't answer Register in ``call_s`` is left, and asked anew."""
        router = Router(self.network)
        self.patch(router, "answer", lambda arguments: Deferred())
        self.start()
        self.network.advance(10.5)
        self.assertIn("didn't answer Register within 10 s", self.registration.last_error)
        self.network.advance(20)
        self.assertGreaterEqual(len(router.asked), 2)
        self.assertLessEqual(len(router.connections), 1)

    def test_turns(self) -> None:
        """Of the peers of one daemon ``connecting`` register at once; the others follow as these are done."""
        router = Router(self.network)
        self.turn = DeferredSemaphore(2)
        answers: list[Deferred[Mapping[str, Any]]] = []

        def answer(arguments: Mapping[str, Any]) -> Deferred[Mapping[str, Any]]:
            answers.append(Deferred())
            return answers[-1]

        self.patch(router, "answer", answer)
        all_of_them = [self.make(f"n{number}.n") for number in range(1, 6)]
        for one in all_of_them:
            one.start(self)
        self.network.settle()
        self.assertEqual((2, 2), (len(router.asked), len(router.connections)))
        answers[0].callback({"lease": 60.0, "observed": PEER})
        self.network.settle()
        self.assertEqual(3, len(router.asked))
        answers[1].errback(NameMismatch("no"))
        self.network.settle()
        self.assertEqual(4, len(router.asked))
        for one in all_of_them:
            self.stop(one)
        self.assert_nothing_left()


class StayingTests(RegistrationCase):
    """Staying registered, and coming back."""

    def test_comes_back(self) -> None:
        """When its connection ends it registers again, and knows in between that it isn't registered."""
        router = Router(self.network)
        self.start()
        router.die()
        self.assertFalse(self.registration.registered)
        self.assertIn("the connection to router.n ended: ", self.registration.last_error)
        self.assertIn(f"n1.n: {self.registration.last_error}", self.told)
        again = Router(self.network)
        self.network.advance(2)
        self.assertTrue(self.registration.registered)
        self.assertEqual(1, len(again.asked))
        self.stop()
        self.assert_nothing_left()

    def test_thrown_out_again_and_again(self) -> None:
        """Two daemons with one name, which throw each other out, don't do so at full speed."""
        router = Router(self.network)
        self.start()
        for _ in range(300):
            for connection in list(router.connections):
                connection.close()
            self.network.advance(0.1)
        self.assertLess(len(router.asked), 24)

    def test_told_to_go(self) -> None:
        """Whom the router tells to go, since another daemon came by the same name, knows why, and stays away longer
        each time, unless it could stay for a good while in between."""
        router = Router(self.network)
        self.start()
        pauses = []
        for stays in (1, 1, 1, 8 * THROWN_OUT_S + 1, 1, 1, 1, 1, 1, 1):
            self.network.advance(stays)
            router.connections[-1].part("n1.n has connected again, from 192.0.2.66:4711")
            self.network.advance(0.1)
            told = "the connection to router.n ended: router.n said: n1.n has connected again, from 192.0.2.66:4711"
            self.assertEqual((False, told), (self.registration.registered, self.registration.last_error))
            went = self.network.seconds()
            while not self.registration.registered:
                self.network.advance(1)
            pauses.append(self.network.seconds() - went)
        least = [THROWN_OUT_S * factor for factor in (1, 2, 4, 1, 2, 4, 8, 16)] + [LONGEST_OUT_S] * 2
        for number, (pause, expected) in enumerate(zip(pauses, least, strict=True)):
            self.assertTrue(expected - 1 <= pause <= expected + 33, (number, pause))
        self.stop()
        self.assert_nothing_left()

    def test_steady(self) -> None:
        """After a registration that held it comes back as fast as at first; after a short one it keeps its patience."""
        for held, longest in ((STEADY_S + 1, 1.51), (1, 100.0)):
            network, self.told = self.network, []
            self.registration = self.make()
            self.start()
            network.advance(120)
            router = Router(network)
            while not self.registration.registered:
                network.advance(0.5)
            network.advance(held)
            router.die()
            died = network.seconds()
            again = Router(network)
            network.advance(40)
            self.assertLessEqual(again.came_at[0] - died, longest)
            self.assertGreaterEqual(again.came_at[0] - died, 0.5)
            self.stop()
            again.die()

    def test_silence(self) -> None:
        """A router from which nothing is heard for ``silence_s`` is left, and asked anew."""
        router = Router(self.network)
        self.start()
        self.network.advance(300)
        self.assertTrue(self.registration.registered)
        self.network.pull(ROUTER, PEER)
        self.network.advance(61)
        self.assertFalse(self.registration.registered)
        self.network.plug(ROUTER, PEER)
        self.network.advance(30)
        self.assertTrue(self.registration.registered)
        self.assertEqual(2, len(router.asked))

    def test_slept(self) -> None:
        """After a sleep longer than ``silence_s`` the router is dialled at once, without the pause that there would
        be; after a shorter one it is asked whether it is there."""
        router = Router(self.network)
        self.start()
        self.network.advance(5)
        self.registration.slept(10.0)
        self.network.advance(1)
        self.assertEqual((1, True), (len(router.asked), self.registration.registered))
        self.registration.slept(7200.0)
        self.network.settle()
        self.assertEqual((2, True), (len(router.asked), self.registration.registered))
        router.die()
        self.network.settle()
        self.assertFalse(self.registration.registered)
        Router(self.network)
        self.network.advance(0.4)
        self.assertFalse(self.registration.registered)  # the pause is as long as ever
        self.stop()

    def moved(self, *addresses: str, source: str | None = PEER) -> None:
        """Attach the machine to networks with these addresses of its own."""
        self.registration.moved(Whereabouts(addresses, lambda remote: source))
        self.network.settle()

    def test_moved(self) -> None:
        """When the address is gone from which it is registered, it dials the router at once; one that is still there
        is left alone."""
        router = Router(self.network)
        self.start()
        self.moved(PEER)
        self.moved(PEER, "192.0.2.2", source=None)
        self.assertEqual((1, True), (len(router.asked), self.registration.registered))
        self.moved("192.0.2.2")
        self.assertEqual((2, True), (len(router.asked), self.registration.registered))
        self.assertIn(f"this machine has lost its address {PEER}", " ".join(self.told))
        self.stop()
        self.moved("192.0.2.3")
        self.assert_nothing_left()

    def test_another_way(self) -> None:
        """When the router would be reached from another address by now, it is asked whether it is there, and dialled
        at once if it isn't."""
        router = Router(self.network)
        self.start()
        self.moved(PEER, "192.0.2.2", source="192.0.2.2")
        self.network.advance(ANSWER_S + 1)
        self.assertEqual((1, True), (len(router.asked), self.registration.registered))
        self.network.strand(ROUTER, PEER)
        self.moved(PEER, "192.0.2.2", source="192.0.2.2")
        self.network.advance(ANSWER_S - 0.1)
        self.assertEqual(1, len(router.asked))
        self.network.advance(0.2)
        self.assertEqual((2, True), (len(router.asked), self.registration.registered))

    def test_moved_while_it_waits(self) -> None:
        """Who waits to dial again does so at once."""
        self.start()
        self.network.advance(200)
        Router(self.network)
        self.moved(PEER)
        self.assertTrue(self.registration.registered)

    def test_moved_while_it_dials(self) -> None:
        """Who dials already does so again without a pause if that comes to nothing."""
        Router(self.network)
        self.network.pull(ROUTER, PEER)
        self.start()
        self.moved("192.0.2.2")
        self.network.advance(9.9)
        self.network.plug(ROUTER, PEER)
        self.network.advance(0.2)
        self.assertTrue(self.registration.registered)

    def test_slept_while_it_waits(self) -> None:
        """Who waits to dial again does so at once after any sleep, and only once."""
        self.start()
        self.network.advance(200)
        router = Router(self.network)
        self.registration.slept(1.5)
        self.network.settle()
        self.assertTrue(self.registration.registered)
        router.die()
        self.network.advance(0.4)
        self.assertFalse(self.registration.registered)
        self.stop()
        self.registration.slept(100.0)
        self.assert_nothing_left()

    def test_all_who_wait(self) -> None:
        """All who wait are told, also when the first of them makes the next give up, and those who gave up aren't."""
        waiting = [Deferred.fromCoroutine(self.registration.when_registered()) for _ in range(4)]
        waiting[0].cancel()
        self.failureResultOf(waiting[0], CancelledError)
        waiting[1].addCallback(lambda _: waiting[2].cancel())
        Router(self.network)
        self.start()
        self.successResultOf(waiting[1])
        self.failureResultOf(waiting[2], CancelledError)
        self.successResultOf(waiting[3])


class CallTests(RegistrationCase):
    """Asking the router."""

    def call(self) -> Deferred[Any]:
        """Ask."""
        return Deferred.fromCoroutine(self.registration.call(ListPeers, cluster="n", after=""))

    def test_call(self) -> None:
        """A question gets its answer."""
        Router(self.network)
        self.start()
        answer = self.call()
        self.network.settle()
        self.assertEqual({"names": ["n1.n"], "more": False}, self.successResultOf(answer))

    def test_waits(self) -> None:
        """A question that comes while it isn't registered waits until it is."""
        self.start()
        answer = self.call()
        self.network.advance(3)
        Router(self.network)
        self.network.advance(6)
        self.assertEqual(["n1.n"], self.successResultOf(answer)["names"])

    def test_waits_in_vain(self) -> None:
        """After ``call_s`` it is told that there is no router, with the last error and what to look at."""
        self.start()
        answer = self.call()
        self.network.advance(9.9)
        self.assertNoResult(answer)
        self.network.advance(0.2)
        reason = str(self.failureResultOf(answer, ControlLost).value)
        self.assertIn("n1.n isn't registered at router.n (", reason)
        self.assertIn("refused", reason)
        self.assertIn("is the router running?", reason)

    def test_gives_up(self) -> None:
        """Who gives up waiting leaves nothing."""
        answer = self.call()
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertEqual((0, []), (len(self.registration._waiting), self.network.getDelayedCalls()))

    def test_lost(self) -> None:
        """A question whose connection ends is told so."""
        router = Router(self.network)
        self.start()
        answer = Deferred.fromCoroutine(self.registration.call(Ping))
        router.die()
        self.failureResultOf(answer, ControlLost)


class LeavingTests(RegistrationCase):
    """Stopping, in every phase."""

    def test_registered(self) -> None:
        """It leaves politely, and has left only when the connection has ended."""
        router = Router(self.network)
        self.start()
        stopping = Deferred.fromCoroutine(self.registration.stop())
        self.assertNoResult(stopping)
        self.network.settle()
        self.successResultOf(stopping)
        self.assertEqual([], router.connections)
        self.network.advance(100)
        self.assertEqual((1, False), (len(router.asked), self.registration.registered))
        self.assert_nothing_left()

    def test_router_that_does_not_let_go(self) -> None:
        """A router that doesn't answer the polite close is left after ``call_s``."""
        Router(self.network)
        self.start()
        self.network.pull(ROUTER, PEER)
        stopping = Deferred.fromCoroutine(self.registration.stop())
        self.network.advance(10.2)
        self.successResultOf(stopping)

    def test_never_started(self) -> None:
        """What was never started can be stopped."""
        self.stop()
        self.assert_nothing_left()

    def test_connecting(self) -> None:
        """It can be stopped while it connects; it doesn't come back."""
        self.network.pull(ROUTER, PEER)
        self.start()
        self.stop()
        self.assertEqual([], self.told)
        self.assert_nothing_left()

    def test_handshake(self) -> None:
        """It can be stopped within the TLS handshake."""
        self.network.on(ROUTER).listenTCP(5555, Factory.forProtocol(Protocol))
        self.start()
        self.assertEqual(2, len(self.network.wires))
        self.stop()
        self.assert_nothing_left()

    def test_registering(self) -> None:
        """It can be stopped before its Register is answered."""
        router = Router(self.network)
        self.patch(router, "answer", lambda arguments: Deferred())
        self.start()
        self.assertEqual(1, len(router.asked))
        self.stop()
        self.assert_nothing_left()

    def test_pausing(self) -> None:
        """It can be stopped while it waits to try again."""
        self.start()
        self.assertIn("refused", self.registration.last_error)
        self.stop()
        self.assert_nothing_left()

    def test_waiting_for_its_turn(self) -> None:
        """It can be stopped before its turn has come, and takes nobody's."""
        self.turn = DeferredSemaphore(1)
        self.successResultOf(self.turn.acquire())
        self.registration = self.make()
        self.start()
        self.stop()
        self.turn.release()
        self.assertEqual(1, self.turn.tokens)
        self.assert_nothing_left()

    def test_fault(self) -> None:
        """A fault of ours is logged; it isn't taken for the network's."""
        self.patch(module, "deferLater", _raise)
        self.start()
        self.assertEqual(1, len([line for line in self.told if "registration stopped" in line]))


def _raise(*arguments: Any) -> None:
    raise ZeroDivisionError


class _Log:
    """A logger that keeps its lines."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def info(self, format: str, **fields: Any) -> None:  # noqa: A002 - as Twisted names it
        self._told.append(format.format(**fields))

    warn = info

    def failure(self, format: str, failure: Failure, **fields: Any) -> None:  # noqa: A002 - as Twisted names it
        self._told.append(format.format(**fields))


class RevocationTests(RegistrationCase):
    """What the router tells of keys that are revoked."""

    def setUp(self) -> None:
        super().setUp()
        self.router = Router(self.network)
        files = tls_files("n1.n", "lab")
        self.authority = Authority.load(files.authority.parent)
        self.believed = Believed(None, files.authority, lambda: 1.0)

    def revoke(self, name: str, authority: Authority | None = None) -> Deferred[Any]:
        """Have the router tell of a key."""
        key = hash_of(public_key_of(load_certificate(tls_files(name, "lab").certificate)))
        statement = make_revocation(7, 1 << 33, key, (authority or self.authority).sign).statement
        answer = Deferred.fromCoroutine(self.router.connections[0].call(Revoke, statements=[statement]))
        self.network.settle()
        return answer

    def test_taken(self) -> None:
        """It says how much it knows when it registers, and takes what the authority has signed, and nothing else."""
        self.registration = self.make(believed=self.believed)
        self.start()
        self.assertEqual(0, self.router.asked[0]["revocations"])
        self.assertEqual({}, self.successResultOf(self.revoke("m4.m")))
        self.assertEqual(7, self.believed.revocations.latest)
        other = Authority.load(tls_files("n1.n", "other").authority.parent)
        self.failureResultOf(self.revoke("m5.m", other), Refused)
        self.assertEqual(1, len(self.believed.revocations))
        self.stop()

    def test_not_taken(self) -> None:
        """One that doesn't keep any says nothing of them, and takes none."""
        self.start()
        self.failureResultOf(self.revoke("m4.m"), Refused)
        self.stop()

    def test_router(self) -> None:
        """A router whose own key is revoked is left at once; another one's makes no difference."""
        self.start()
        self.registration.revoked({b"another"})
        self.assertTrue(self.registration.registered)
        key = remote_key(self.router.connections[0].transport)
        self.assertEqual(hash_of(public_key_of(load_certificate(tls_files("n1.n", "lab").certificate))), key)
        assert self.registration._channel is not None
        self.registration.revoked({remote_key(self.registration._channel.transport)})
        self.assertFalse(self.registration.registered)
        self.network.advance(0.1)
        self.assertIn("has revoked its key", self.registration.last_error)
        self.stop()
        self.registration.revoked({key})


class RenewalTests(RegistrationCase):
    """Getting a new certificate."""

    def setUp(self) -> None:
        super().setUp()
        self.own = credentials("n1.n").certificate.public_bytes(Encoding.DER)

    def renew(self) -> Deferred[bytes]:
        renewing = Deferred.fromCoroutine(self.registration.renew(self.own))
        self.network.settle()
        return renewing

    def test_older_router(self) -> None:
        """A router that hasn't said that it takes it isn't asked, since that would end the connection."""
        Router(self.network)
        self.start()
        failed = self.failureResultOf(self.renew(), ControlLost)
        self.assertIn("its p2p is older", str(failed.value))
        self.assertTrue(self.registration.registered)
        self.stop()

    def test_no_router(self) -> None:
        """A router that isn't there is told."""
        failed = self.failureResultOf(self.renew(), ControlLost)
        self.assertIn("router.n isn't reached", str(failed.value))

    def test_dial_now(self) -> None:
        """Whoever has a good certificate again doesn't wait for the next try."""
        self.start()
        self.network.advance(20)
        Router(self.network)
        self.registration.dial_now()
        self.network.settle()
        self.assertTrue(self.registration.registered)
        self.registration.dial_now()
        self.stop()
