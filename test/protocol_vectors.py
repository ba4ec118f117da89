"""The bytes that the examples of ``docs/protocol.rst`` show, as the code produces them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.amp import Command, CommandLocator
from twisted.python.failure import Failure

from p2p.base.config import PeerLimits
from p2p.base.errors import ExchangeFailed
from p2p.base.ticket import Ticket
from p2p.control.commands import (
    Busy,
    DialFailed,
    InstructConnect,
    ListPeers,
    LookupPeer,
    Ping,
    Register,
    RequestConnect,
    UnknownPeer,
)
from p2p.exchange.exchange import Request, Serving, Sink, Source, perform
from p2p.exchange.rules import Names
from p2p.exchange.service import Context, Services
from p2p.link.boxes import Box
from p2p.link.flow import Stream
from p2p.link.hello import LinkTerms
from p2p.link.protocol import DirectLink
from p2p.services.chat_room import CHAT, ChatRoom, Conversation, chat
from p2p.services.echo import echo, uppercase
from p2p.services.store import BytesSource, store
from p2p.transfer.answers import Asked
from p2p.transfer.listing import ListSession, listing
from p2p.transfer.notes import local_id
from p2p.transfer.receiving import ReceivingEngine
from p2p.transfer.receiving_service import transfer
from p2p.transfer.send_session import GetSession, SendSession, fetch_request, send_request
from p2p.transfer.sender_state import SenderState
from p2p.transfer.sending import SendingEngine, SourceRoot
from p2p.transfer.sharing_service import fetch
from p2p.transfer.tree import CHUNK, Tree, leaf_digest
from test.control.conversation import a_channel
from test.exchange.doubles import HeldThreads, OpenHost, make_context
from test.transfer.sessions import Told

__all__ = ["NONCE", "vectors"]

NONCE = bytes(range(32))
INITIATOR, TARGET = "n1.n", "m4.m"
TRANSFER, RESUMED, FETCHED = "5f0e9c3a17b2d846", "77b01f6c2e9d4a35", "0c61d3f28a97b54e"
MTIME = 1_700_000_000_000_000_000

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
    "dial-failed": (
        DialFailed,
        {
            "target": TARGET,
            "initiator": INITIATOR,
            "ticket": NONCE,
            "addresses": ["192.0.2.11"],
            "failures": ["refused"],
        },
        {},
    ),
    "list-peers": (ListPeers, {"cluster": "m", "after": ""}, {"names": ["m1.m", "m4.m"], "more": False}),
    "ping": (Ping, {}, {}),
    "unknown-peer": (LookupPeer, {"name": "m9.m"}, UnknownPeer("m9.m isn't connected")),
    "busy": (LookupPeer, {"name": TARGET}, Busy.after(0.5, "a limit is reached")),
}
"""Name of the example: the command, its arguments, and the answer or the error."""


def vectors() -> dict[str, bytes]:
    """Every example of the document by its name."""
    found = {"ticket-nonce": NONCE, **_control(), **_link(), **_tree()}
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
    parting, out = a_channel(Clock())
    parting.part("router.n isn't a neighbour")
    return {**found, "farewell": out.take()}


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

    def __init__(self, folder: Path) -> None:
        self.here, self.inbox, self.shared = folder / "here", folder / "inbox", folder / "shared"
        for each in (self.here, self.inbox, self.shared):
            each.mkdir()
        self.clock = Clock()
        self.threads = HeldThreads(held=False)
        services = Services([chat, echo, fetch, listing, store, transfer, uppercase])
        self.host = OpenHost(self.inbox)
        self.context = make_context(
            self.inbox, peer=TARGET, now=self.clock.seconds, clock=self.clock, host=self.host, threads=self.threads
        )
        ticket = Ticket(NONCE, INITIATOR, TARGET, 30.0)
        self.dialler = _Peer(self.clock, LinkTerms(ticket, dialler=True, plain=True), services, self.context)
        terms = LinkTerms(ticket, dialler=False, plain=True, redeem=lambda dialler, proof: None)
        self.listener = _Peer(self.clock, terms, services, self.context)

    def carry(self, sender: _Peer, receiver: _Peer) -> bytes:
        """Deliver what one has written, and return it."""
        self.clock.advance(0)
        data = sender.transport.take()
        receiver.link.dataReceived(data)
        return data

    def ask(self, request: Request, content: bytes) -> tuple[bytes, bytes]:
        """Have the initiator send a request; return what goes either way for it."""
        return self.exchange(request, BytesSource(content), _Sink())

    def exchange(
        self, request: Request, source: Source, sink: Sink, meanwhile: Callable[[], object] = lambda: None
    ) -> tuple[bytes, bytes]:
        """Have the initiator exchange something; return what goes either way for it.

        :param meanwhile: is called when nothing moves any more.
        """
        Deferred.fromCoroutine(source.open())
        running = perform(
            self.listener.link.open_stream(),
            request,
            source,
            sink,
            clock=self.clock,
            now_ns=lambda: 0,
            planned_ns=0,
            silence_s=30.0,
            header_bytes=65536,
        )
        # A refusal is the point of one of the examples.
        Deferred.fromCoroutine(running).addErrback(lambda failure: failure.trap(ExchangeFailed))
        there, back = self._settle()
        meanwhile()
        more_there, more_back = self._settle()
        return there + more_there, back + more_back

    def _settle(self) -> tuple[bytes, bytes]:
        """Deliver until there is nothing more to deliver."""
        there, back = bytearray(), bytearray()
        while True:
            sent = self.carry(self.listener, self.dialler), self.carry(self.dialler, self.listener)
            if not any(sent):
                return bytes(there), bytes(back)
            there += sent[0]
            back += sent[1]

    def end(self) -> None:
        """End the connection and every timer with it."""
        for peer in (self.dialler, self.listener):
            peer.link.connectionLost(Failure(ConnectionDone()))

    # -- transfers --------------------------------------------------------------------------------------------

    def transfer(self) -> tuple[bytes, bytes]:
        """Send a folder with a file in it."""
        _made(self.here / "d" / "a.txt", b"abc")
        (self.here / "d").chmod(0o755)
        os.utime(self.here / "d", ns=(MTIME, MTIME))
        session = SendSession(SendingEngine([SourceRoot(self.here / "d")]), self.threads, self.clock, Told())
        return self.exchange(
            send_request(TRANSFER, "d", names=Names(("d",), 1), entries=2, bytes=3, by_type={"text": 3}),
            session,
            session.sink(),
        )

    def resumed(self) -> tuple[bytes, bytes]:
        """Go on with a file of which one chunk has arrived in an earlier session."""
        _made(self.here / "b.bin", bytes(CHUNK) + b"abc")
        state = SenderState(self.here / "state")
        sources = [SourceRoot(self.here / "b.bin")]
        earlier = SendingEngine(sources, state=state)
        receiver = ReceivingEngine(self.inbox, local_id(INITIATOR, RESUMED))
        receiver.have()
        while receiver.done_bytes < CHUNK:
            receiver.feed(earlier.next(1))
        receiver.suspend()
        earlier.close()
        engine = SendingEngine(sources, state=SenderState(self.here / "state"))
        session = SendSession(engine, self.threads, self.clock, Told(), resume=True)
        request = send_request(
            RESUMED,
            "b.bin",
            names=Names(("b.bin",), 1),
            entries=1,
            bytes=CHUNK + 3,
            by_type={"data": CHUNK + 3},
            resume=True,
        )
        sent = self.exchange(request, session, session.sink())
        engine.close()
        return sent

    def fetched(self) -> tuple[bytes, bytes]:
        """Get a file that is shared."""
        _made(self.shared / "a.txt", b"abc")
        self.host.shares["docs"] = self.shared
        asked = Asked(["docs/a.txt"])
        receiver = ReceivingEngine(self.here, FETCHED, asked=asked)
        session = GetSession(receiver, asked, self.threads, self.clock, Told())
        request = fetch_request(FETCHED, limit=10_000_000)
        return self.exchange(request, session, session.sink())

    def listed(self) -> tuple[bytes, bytes]:
        """See what is in a shared folder."""
        session = ListSession("docs")
        return self.exchange(session.request, session, session.sink())

    def chat(self) -> tuple[bytes, bytes]:
        """Say a line to somebody who comes a moment later, and end this side."""
        conversation = Conversation(self.clock, TARGET, lambda state, line: None)
        Deferred.fromCoroutine(conversation.say("hello"))

        def come() -> None:
            self.context.of(ChatRoom).join(INITIATOR, lambda state, line: None)
            conversation.end()

        return self.exchange(Request(CHAT, "text"), conversation, conversation.replies(), come)


def _made(path: Path, content: bytes) -> None:
    """Make a file that is the same whoever makes it, and whenever."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o644)
    os.utime(path, ns=(MTIME, MTIME))


def _tree() -> dict[str, bytes]:
    """The leaf and the root of a file of one chunk, and the root of an empty one."""
    tree = Tree()
    leaf = leaf_digest([b"abc"])
    empty = tree.root()
    tree.add(leaf, 3)
    return {"tree-leaf": leaf, "tree-root": tree.root(), "tree-empty": empty}


def _link() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        recording = _Recording(Path(folder))
        dialler, listener = recording.dialler, recording.listener
        found["hello-dialler"] = recording.carry(dialler, listener)
        found["hello-listener"] = recording.carry(listener, dialler)
        text = Request("uppercase", "text", "", 6)
        found["exchange-request"], found["exchange-reply"] = recording.ask(text, "größ".encode())
        found["store-request"], found["store-reply"] = recording.ask(Request("store", "data", "a.bin", 3), b"abc")
        found["refused-request"], found["refused-reply"] = recording.ask(Request("print", "data", "", 3), b"abc")
        found["transfer-request"], found["transfer-reply"] = recording.transfer()
        found["resumed-request"], found["resumed-reply"] = recording.resumed()
        found["fetch-request"], found["fetch-reply"] = recording.fetched()
        found["list-request"], found["list-reply"] = recording.listed()
        found["chat-request"], found["chat-reply"] = recording.chat()
        listener.link.ping(lambda seconds: None)
        found["ping-frame"] = recording.carry(listener, dialler)
        found["pong-frame"] = recording.carry(dialler, listener)
        listener.link.close()
        found["go-away-frame"] = recording.carry(listener, dialler)
        recording.end()
    return found
