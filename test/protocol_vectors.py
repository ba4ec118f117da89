"""The bytes that the examples of ``docs/protocol.rst`` show, as the code produces them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.amp import Command, CommandLocator
from twisted.python.failure import Failure

from p2p.config import PeerLimits
from p2p.content.echo import echo
from p2p.content.exchange import Request, Serving, perform
from p2p.content.files import BytesSource, store
from p2p.content.services import Context, Services
from p2p.content.text import uppercase
from p2p.control.commands import (
    Busy,
    InstructConnect,
    ListPeers,
    LookupPeer,
    Ping,
    Register,
    RequestConnect,
    UnknownPeer,
)
from p2p.errors import ExchangeFailed
from p2p.link.boxes import Box
from p2p.link.flow import Stream
from p2p.link.hello import LinkTerms
from p2p.link.protocol import DirectLink
from p2p.link.ticket import Ticket
from test.content.doubles import make_context
from test.control.conversation import a_channel

__all__ = ["NONCE", "vectors"]

NONCE = bytes(range(32))
INITIATOR, TARGET = "n1.n", "m4.m"

QUESTIONS: dict[str, tuple[type[Command], dict[str, Any], Mapping[str, Any] | Exception]] = {
    "register": (
        Register,
        {"name": INITIATOR, "version": "0.1.0"},
        {"lease": 60.0, "observed": "192.0.2.11"},
    ),
    "request-connect": (
        RequestConnect,
        {"target": TARGET, "port": 41234, "ticket": NONCE, "lifetime": 30.0, "plain": False, "candidates": []},
        {
            "address": "198.51.100.14",
            "table_lookup_ns": 512,
            "router_lookup_ns": 340000,
            "dialling": True,
            "plain": False,
        },
    ),
    "lookup-peer": (LookupPeer, {"name": TARGET}, {"address": "198.51.100.14", "table_lookup_ns": 512}),
    "instruct-connect": (
        InstructConnect,
        {
            "target": TARGET,
            "initiator": INITIATOR,
            "observed": "",
            "candidates": ["192.0.2.11", "2001:db8:100::b"],
            "port": 41234,
            "ticket": NONCE,
            "lifetime": 30.0,
            "plain": False,
        },
        {"dialling": True, "plain": False},
    ),
    "list-peers": (ListPeers, {"cluster": "m", "after": ""}, {"names": ["m1.m", "m4.m"], "more": False}),
    "ping": (Ping, {}, {}),
    "unknown-peer": (LookupPeer, {"name": "m9.m"}, UnknownPeer("m9.m isn't connected")),
    "busy": (LookupPeer, {"name": TARGET}, Busy.after(0.5, "a limit is reached")),
}
"""Name of the example: the command, its arguments, and the answer or the error."""


def vectors() -> dict[str, bytes]:
    """Every example of the document by its name."""
    found = {"ticket-nonce": NONCE, **_control(), **_link()}
    ticket = Ticket(NONCE, INITIATOR, TARGET, 30.0)
    return {**found, "dialler-proof": ticket.dialler_proof(), "listener-proof": ticket.listener_proof()}


def _control() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, (command, arguments, answer) in QUESTIONS.items():
        asking, out = a_channel(Clock())
        asking.ask(command, **arguments).addErrback(lambda failure: None)
        question = out.take()
        if not isinstance(answer, Exception):
            found[f"{name}-question"] = question
        answering, back = a_channel(Clock(), locator=_Canned(command, answer))
        answering.dataReceived(question)
        found[f"{name}-answer"] = back.take()
    return found


class _Canned(CommandLocator):
    """Answers one command with one answer."""

    def __init__(self, command: type[Command], answer: Mapping[str, Any] | Exception) -> None:
        self._command = command
        self._answer = answer

    def locateResponder(self, name: bytes) -> Any:
        """Wrap the answer as Twisted wraps a responder's."""
        return self._wrapWithSerialization(self._respond, self._command)

    def _respond(self, **arguments: Any) -> Mapping[str, Any]:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class _Transport(StringTransport):
    """A TCP transport that lets what is written be taken out."""

    producer: Any

    def __init__(self) -> None:
        super().__init__(IPv4Address("TCP", "192.0.2.11", 41234), IPv4Address("TCP", "198.51.100.14", 50000))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed here."""

    def getHandle(self) -> None:
        """There is no socket."""

    def take(self) -> bytes:
        data: bytes = self.value()
        self.clear()
        return data


class _Peer:
    """Owns one end of a link and serves what the other begins."""

    def __init__(self, clock: Clock, terms: LinkTerms, services: Services, context: Context) -> None:
        self.clock = clock
        self.transport = _Transport()
        self.link = DirectLink(terms, self, clock, PeerLimits())
        self._services = services
        self._context = context
        self.link.makeConnection(self.transport)

    def link_established(self, link: DirectLink) -> None:
        """The hellos are exchanged."""

    def link_closed(self, link: DirectLink, reason: str) -> None:
        """The recording is over."""

    def link_stream(self, link: DirectLink, stream: Stream) -> None:
        Serving(
            stream,
            link.remote,
            lambda request, reply: self._services.receive(request, reply, self._context),
            clock=self.clock,
            silence_s=30.0,
            header_bytes=65536,
        )


class _Sink:
    """Takes a reply and keeps nothing."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Nothing pauses."""

    def unregisterProducer(self) -> None:
        """Nothing paused."""

    def write(self, data: bytes | memoryview) -> None:
        """Nothing is kept."""

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        return {}

    def abandon(self) -> None:
        """Nothing is undone."""


class _Recording:
    """A link of two peers, plain so that its bytes can be seen; the target has dialled the initiator."""

    def __init__(self, inbox: Path) -> None:
        self.clock = Clock()
        services = Services([echo, store, uppercase])
        context = make_context(inbox, peer=TARGET, now=self.clock.seconds, clock=self.clock)
        ticket = Ticket(NONCE, INITIATOR, TARGET, 30.0)
        self.dialler = _Peer(self.clock, LinkTerms(ticket, dialler=True, plain=True), services, context)
        terms = LinkTerms(ticket, dialler=False, plain=True, redeem=lambda dialler, proof: None)
        self.listener = _Peer(self.clock, terms, services, context)

    def carry(self, sender: _Peer, receiver: _Peer) -> bytes:
        """Deliver what one has written, and return it."""
        self.clock.advance(0)
        data = sender.transport.take()
        receiver.link.dataReceived(data)
        return data

    def ask(self, request: Request, content: bytes) -> tuple[bytes, bytes]:
        """Have the initiator send a request; return what goes either way for it."""
        source = BytesSource(content)
        running = perform(
            self.listener.link.open_stream(),
            request,
            source,
            _Sink(),
            clock=self.clock,
            now_ns=lambda: 0,
            planned_ns=0,
            silence_s=30.0,
            header_bytes=65536,
        )
        # A refusal is the point of one of the examples.
        Deferred.fromCoroutine(running).addErrback(lambda failure: failure.trap(ExchangeFailed))
        there = self.carry(self.listener, self.dialler)
        return there, self.carry(self.dialler, self.listener)

    def end(self) -> None:
        """End the connection and every timer with it."""
        for peer in (self.dialler, self.listener):
            peer.link.connectionLost(Failure(ConnectionDone()))


def _link() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as inbox:
        recording = _Recording(Path(inbox))
        dialler, listener = recording.dialler, recording.listener
        found["hello-dialler"] = recording.carry(dialler, listener)
        found["hello-listener"] = recording.carry(listener, dialler)
        text = Request("uppercase", "text", "", 6)
        found["exchange-request"], found["exchange-reply"] = recording.ask(text, "größ".encode())
        found["store-request"], found["store-reply"] = recording.ask(Request("store", "data", "a.bin", 3), b"abc")
        found["refused-request"], found["refused-reply"] = recording.ask(Request("print", "data", "", 3), b"abc")
        recording.carry(listener, dialler)
        listener.link.ping(lambda seconds: None)
        found["ping-frame"] = recording.carry(listener, dialler)
        found["pong-frame"] = recording.carry(dialler, listener)
        listener.link.close()
        found["go-away-frame"] = recording.carry(listener, dialler)
        recording.end()
    return found
