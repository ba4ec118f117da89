"""Tests for :mod:`p2p.control.joining`: both ends, over real TLS in memory, and what comes of lies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.test.iosim import FakeTransport, IOPump, connect
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ProtocolViolation
from p2p.control.channel import ControlLost, ControlTimeout
from p2p.control.commands import Refused
from p2p.control.joining import (
    MESSAGE_BYTES,
    Enrolment,
    JoinAnswer,
    JoinGreeting,
    Joining,
    JoinRefused,
    JoinReply,
    JoinRequest,
    Renewing,
    RenewRequest,
    authorities_in,
    read_message,
)
from p2p.identity.authority import Authority
from p2p.identity.invitation import InviteCode, mark_of, newcomer_proof, same_proof, signer_proof
from p2p.identity.pem_files import public_key_of
from p2p.identity.tls import CONTROL_ALPN, Newcomer, binding_of
from test.identities import credentials, tls_files

ADDRESS = IPv4Address("TCP", "192.0.2.1", 5555)
SECRET = b"0123456789"
SECONDS = 20.0


def authority(lab: str = "lab") -> Authority:
    """That of a test lab."""
    return Authority.load(tls_files("router.n", lab).authority.parent)


PRIVATE = ec.generate_private_key(ec.SECP256R1())
KEY = PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Lying(Protocol):
    """A router's end that says what a test says."""

    transport: Any

    def __init__(self, *frames: bytes) -> None:
        self.frames = frames
        self.received = b""

    def connectionMade(self) -> None:
        self.transport.write(b"".join(self.frames))

    def dataReceived(self, data: bytes) -> None:
        self.received += data


class JoiningCase(SynchronousTestCase):
    """A new machine and what it takes for its router.

    :ivar asked: the requests and bindings that came to the router.
    :ivar told: why nothing came of one.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[JoinRequest, bytes]] = []
        self.told: list[str] = []
        self.renewed: list[bytes] = []
        self.left = 0
        self.answering: Callable[[JoinRequest, bytes], Deferred[JoinAnswer]] | None = None

    def code(self, lab: str = "lab") -> InviteCode:
        return InviteCode(mark_of(public_key_of(authority(lab).certificate)), 77, SECRET)

    async def ask(self, request: JoinRequest | RenewRequest, binding: bytes) -> JoinAnswer:
        if isinstance(request, RenewRequest):
            self.renewed.append(request.renew)
            return JoinAnswer(certificate=request.renew, links="", proof=b"")
        self.asked.append((request, binding))
        if self.answering is not None:
            return await self.answering(request, binding)
        return self.answer(binding)

    def answer(self, binding: bytes, *, secret: bytes = SECRET, key: Any = None) -> JoinAnswer:
        certificate = authority().certify("n5.n", key or PRIVATE.public_key()).public_bytes(Encoding.DER)
        return JoinAnswer(certificate=certificate, links="tls", proof=signer_proof(secret, binding, certificate, "tls"))

    def joining(self, lab: str = "lab") -> Joining:
        def left() -> None:
            self.left += 1

        known = authorities_in(authority(lab).path.read_bytes())
        return Joining(self.clock, SECONDS, known, self.ask, self.told.append, left)

    def connect(
        self,
        router: Protocol,
        *,
        name: str = "router.n",
        lab: str = "lab",
        code: InviteCode | None = None,
        machine: Enrolment | Renewing | None = None,
    ) -> tuple[Deferred[Any], IOPump]:
        """Connect a machine to this end, a new one if nothing else is said."""
        self.machine = machine or Enrolment(self.clock, SECONDS, "router.n", "n5.n", code or self.code(), KEY)
        server = credentials(name, lab).wrap(
            Factory.forProtocol(lambda: router), client=False, alpn=CONTROL_ALPN, clock=self.clock, joins=True
        )
        client = Newcomer().wrap(Factory.forProtocol(lambda: self.machine), self.clock)
        ends = [client.buildProtocol(ADDRESS), server.buildProtocol(ADDRESS)]
        transports = [
            FakeTransport(end, server, hostAddress=ADDRESS, peerAddress=ADDRESS)
            for end, server in zip(ends, (False, True), strict=True)
        ]
        pump = connect(ends[1], transports[1], ends[0], transports[0], greet=False)
        self.settle(pump)
        return self.machine.joined, pump

    def settle(self, pump: IOPump) -> None:
        """Carry everything over, also what TLS writes with the next turn of the reactor."""
        for _ in range(20):
            self.clock.advance(0)
            pump.flush()


class JoinedTests(JoiningCase):
    def test_whole(self) -> None:
        """The router learns name, key and a proof for this connection; the machine its certificate, and both end."""
        joined, _ = self.connect(self.joining())
        got = self.successResultOf(joined)
        self.assertEqual((KEY, "tls"), (public_key_of(got.certificate), got.links))
        self.assertEqual(authority().certificate, got.authority)
        ((request, binding),) = self.asked
        self.assertEqual(("n5.n", 77, KEY), (request.name, request.locator, request.key))
        self.assertTrue(same_proof(newcomer_proof(SECRET, binding, "n5.n", KEY), request.proof))
        self.assertEqual(([], 1), (self.told, self.left))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_bindings(self) -> None:
        """What belongs to a connection belongs to no other, so no proof is good twice."""
        for _ in range(2):
            self.connect(self.joining())
        self.assertEqual(2, len({binding for _, binding in self.asked}))

    def test_refused(self) -> None:
        """The machine is told why it gets nothing."""

        def refuse(request: JoinRequest, binding: bytes) -> Deferred[JoinAnswer]:
            raise Refused("the code is used")

        self.answering = refuse
        joined, _ = self.connect(self.joining())
        self.assertEqual("the code is used", str(self.failureResultOf(joined, JoinRefused).value))
        self.assertEqual(["n5.n gets no certificate: the code is used"], self.told)

    def test_slow(self) -> None:
        """Who waits too long for the answer gives up, on both sides."""
        self.answering = lambda request, binding: Deferred()
        joined, pump = self.connect(self.joining())
        self.assertNoResult(joined)
        self.clock.advance(SECONDS)
        self.settle(pump)
        self.failureResultOf(joined, ControlTimeout)
        self.assertEqual(1, self.left)

    def test_gone(self) -> None:
        """A machine that goes before its answer leaves nothing behind; the answer is dropped."""
        waiting: Deferred[JoinAnswer] = Deferred()
        self.answering = lambda request, binding: waiting
        joined, pump = self.connect(self.joining())
        self.machine.transport.abortConnection()
        self.settle(pump)
        self.failureResultOf(joined, ControlLost)
        self.assertEqual(1, self.left)
        waiting.callback(self.answer(self.asked[0][1]))
        self.assertEqual([], self.clock.getDelayedCalls())


class WrongRouterTests(JoiningCase):
    """A router that isn't that of the code is told nothing."""

    def silent(self, why: str, **more: Any) -> None:
        router = Lying(
            JoinGreeting(authorities=authorities_in(authority(more.get("shows", "lab")).path.read_bytes())).frame()
        )
        more.pop("shows", None)
        joined, _ = self.connect(router, **more)
        self.assertIn(why, str(self.failureResultOf(joined, JoinRefused).value))
        self.assertEqual(b"", router.received)

    def test_other_lab(self) -> None:
        """It shows the authority of another lab."""
        self.silent("isn't a router of the lab that made this code", shows="other", lab="other")

    def test_borrowed(self) -> None:
        """It shows the right authority, which hasn't signed its certificate."""
        self.silent("doesn't vouch for the certificate of router.n", lab="other")

    def test_peer(self) -> None:
        """It is a peer of the lab, or the router of another cluster."""
        self.silent("expected router.n, but the certificate at the other end is for n1.n", name="n1.n")
        self.silent("expected router.n, but the certificate at the other end is for router.m", name="router.m")


class LyingRouterTests(JoiningCase):
    """The right router breaks the protocol, or tries to give a certificate of its own."""

    def fails(self, *frames: bytes) -> str:
        greeting = JoinGreeting(authorities=authorities_in(authority().path.read_bytes())).frame()
        joined, _ = self.connect(Lying(*(frames or (greeting,))))
        return str(self.failureResultOf(joined, ProtocolViolation).value)

    def test_greetings(self) -> None:
        """What isn't a greeting is told as what it is."""
        self.assertIn("a message of 4294967295 bytes", self.fails(b"\xff" * 8))
        self.assertIn("isn't JSON", self.fails(b"\0\0\0\x02{]"))
        self.assertIn("JoinGreeting whose authorities doesn't fit", self.fails(b'\0\0\0\x12{"authorities":[]}'))
        text = json.dumps({"authorities": ["AAAA"]}).encode()
        self.assertIn("can't be read", self.fails(len(text).to_bytes(4, "big") + text))
        greeting = JoinGreeting(authorities=[b"x"]).frame()
        self.assertIn("more than one message", self.fails(greeting + b"\0"))

    def answered(self, answer: Callable[[bytes], JoinAnswer]) -> str:
        self.answering = lambda request, binding: _now(answer(binding))
        joined, _ = self.connect(self.joining())
        return str(self.failureResultOf(joined, ProtocolViolation).value)

    def test_other_proof(self) -> None:
        """A router can't make an answer without the secret of the code."""
        told = self.answered(lambda binding: self.answer(binding, secret=b"x" * 10))
        self.assertIn("doesn't come from who made the code", told)

    def test_other_certificate(self) -> None:
        """A certificate that isn't one, or isn't for this machine's key, isn't taken."""
        other = ec.generate_private_key(ec.SECP256R1()).public_key()
        self.assertIn("for another key", self.answered(lambda binding: self.answer(binding, key=other)))
        nothing = lambda binding: JoinAnswer(certificate=b"x", links="", proof=signer_proof(SECRET, binding, b"x", ""))  # noqa: E731
        self.assertIn("a certificate that can't be read", self.answered(nothing))


class LyingMachineTests(JoiningCase):
    """A machine breaks the protocol."""

    def says(self, data: bytes) -> str:
        """What is told of a machine that says this in the place of its request."""
        joined, _ = self.connect(self.joining(), code=self.code("other"))
        self.failureResultOf(joined, JoinRefused)  # it has another code, and has said nothing yet
        transport = self.connected()
        transport.write(data)
        self.settle(self.pump)
        return self.told[-1]

    def connected(self) -> Any:
        """The transport of a machine that does nothing by itself."""
        silent = Lying()
        server = credentials("router.n").wrap(
            Factory.forProtocol(self.joining), client=False, alpn=CONTROL_ALPN, clock=self.clock, joins=True
        )
        client = Newcomer().wrap(Factory.forProtocol(lambda: silent), self.clock)
        ends = [client.buildProtocol(ADDRESS), server.buildProtocol(ADDRESS)]
        transports = [FakeTransport(ends[0], False), FakeTransport(ends[1], True)]
        self.pump = connect(ends[1], transports[1], ends[0], transports[0], greet=False)
        self.settle(self.pump)
        return silent.transport

    def test_messages(self) -> None:
        """Whatever isn't one request is the end of it, without an answer."""
        self.assertIn(f"a message of {MESSAGE_BYTES + 1} bytes", self.says((MESSAGE_BYTES + 1).to_bytes(4, "big")))
        self.assertIn("isn't JSON", self.says(b"\0\0\0\x01x"))
        self.assertIn("JoinRequest whose name doesn't fit", self.says(b"\0\0\0\x02{}"))
        self.assertEqual([], self.asked)

    def test_second(self) -> None:
        """A second request isn't taken while the first waits."""
        self.answering = lambda request, binding: Deferred()
        request = JoinRequest(name="n5.n", locator=1, key=b"key", proof=b"p").frame()
        transport = self.connected()
        transport.write(request)
        self.settle(self.pump)
        transport.write(request)
        self.settle(self.pump)
        self.assertEqual(["a second request"], self.told)

    def test_silent(self) -> None:
        """A machine that says nothing, or not all of it, is cut off."""
        for data in (b"\0", b"\0\0\0\x09{"):
            transport = self.connected()
            transport.write(data)
            self.settle(self.pump)
            self.clock.advance(SECONDS)
            self.settle(self.pump)
            self.assertIn("no answer within 20 s", self.told[-1])


class MessageTests(SynchronousTestCase):
    def test_unknown_keys(self) -> None:
        """Fields that a later version adds are no fault."""
        self.assertEqual("no", read_message(JoinReply, b'{"refused":"no","later":1}').refused)

    def test_types(self) -> None:
        """Values are taken as they are."""
        for text in (
            '{"name":1}',
            '{"name":"n5.n","locator":1,"key":5,"proof":""}',
            "[]",
            '{"name":"n5.n","locator":1,"key":"?","proof":""}',
        ):
            self.assertRaises(ProtocolViolation, read_message, JoinRequest, text.encode())

    def test_authorities(self) -> None:
        """All authorities of a file are shown; one that can't be read is told."""
        self.assertEqual(1, len(authorities_in(Path(authority().path).read_bytes())))
        self.assertRaises(ValueError, authorities_in, b"nothing")


def _now(answer: JoinAnswer) -> Deferred[JoinAnswer]:
    deferred: Deferred[JoinAnswer] = Deferred()
    deferred.callback(answer)
    return deferred


class BindingTests(JoiningCase):
    def test_same(self) -> None:
        """Both ends of a connection have the same value of 32 bytes."""
        router = Lying()
        self.connect(router)
        self.assertEqual(binding_of(router.transport), binding_of(self.machine.transport))
        self.assertEqual(32, len(binding_of(router.transport)))


class RenewingTests(JoiningCase):
    """A machine whose certificate has ended."""

    def renewing(self, lab: str = "lab") -> Renewing:
        known = [public_key_of(authority(lab).certificate)]
        return Renewing(self.clock, SECONDS, "router.n", credentials("n1.n").certificate, known)

    def test_renewed(self) -> None:
        """It shows the certificate that has ended and gets another one, of which its daemon sees whether it is good."""
        joined, _ = self.connect(self.joining(), machine=self.renewing())
        certificate = credentials("n1.n").certificate
        self.assertEqual(certificate, self.successResultOf(joined).certificate)
        self.assertEqual([certificate.public_bytes(Encoding.DER)], self.renewed)

    def test_other_lab(self) -> None:
        """It says nothing to a router of another lab."""
        joined, _ = self.connect(self.joining(), machine=self.renewing("other"))
        self.failureResultOf(joined, JoinRefused)
        self.assertEqual([], self.renewed)

    def test_refused(self) -> None:
        """What the signer refuses is told on both sides."""

        async def refuse(request: JoinRequest | RenewRequest, binding: bytes) -> JoinAnswer:
            raise Refused("the key of n1.n is revoked")

        joining = self.joining()
        joining._ask = refuse
        joined, _ = self.connect(joining, machine=self.renewing())
        self.assertIn("is revoked", str(self.failureResultOf(joined, JoinRefused).value))
        self.assertEqual(["who asks for a renewal gets no certificate: the key of n1.n is revoked"], self.told)
