"""What "cut off" is on a real connection, as docs/protocol.rst has it; the other end is made by hand."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread

from p2p.base.config import PeerLimits
from p2p.base.ticket import NONCE_BYTES, Ticket
from p2p.identity.tls import LINK_ALPN
from p2p.link.boxes import encode_box
from p2p.link.flow import Stream
from p2p.link.hello import VERSION, LinkTerms
from p2p.link.protocol import DirectLink
from test.functional.cases import FunctionalCase
from test.functional.lab import reactor
from test.identities import credentials, tls_files


class _Owner:
    """Keeps why the link ended."""

    def __init__(self) -> None:
        self.closed: Deferred[str] = Deferred()

    def link_established(self, link: DirectLink) -> None:
        raise AssertionError("this is no link")

    def link_stream(self, link: DirectLink, stream: Stream) -> None:
        raise AssertionError("there are no streams")

    def link_closed(self, link: DirectLink, reason: str) -> None:
        self.closed.callback(reason)


class CutOffTests(FunctionalCase):
    """A dialler that dislikes the listener's hello."""

    timeout = 30

    async def cut_off(self, *, plain: bool) -> list[str]:
        """How the connection ends for a listener that doesn't know the ticket: what it reads, and the error."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        listening.settimeout(10)
        read = deferToThread(_listen, listening, plain)
        owner = _Owner()
        link = DirectLink(
            LinkTerms(Ticket(bytes(NONCE_BYTES), "n1.n", "m4.m", 1e12), dialler=True, plain=plain),
            owner,
            reactor,
            PeerLimits(),
        )
        factory: Any = Factory.forProtocol(lambda: link)
        factory.noisy = False
        if not plain:
            wrap = credentials("m4.m").wrap
            factory = wrap(factory, client=True, alpn=LINK_ALPN, clock=reactor, buffering=False)
        await TCP4ClientEndpoint(reactor, "127.0.0.1", listening.getsockname()[1]).connect(factory)
        self.assertIn("doesn't know the ticket", await owner.closed)
        return await read

    async def test_plain(self) -> None:
        """The TCP connection is reset, without a byte before."""
        self.assertEqual(["ConnectionResetError"], await self.cut_off(plain=True))

    async def test_tls(self) -> None:
        """The TCP connection is reset; at most TLS's own goodbye comes before, a record of 24 bytes."""
        *before, end = await self.cut_off(plain=False)
        self.assertEqual("ConnectionResetError", end)
        self.assertIn(before, ([], ["24 bytes"]))


def _listen(listening: socket.socket, plain: bool) -> list[str]:
    """Say hello with a wrong proof, and then see what comes on the bare connection."""
    connection, _ = listening.accept()
    connection.settimeout(10)
    with connection.dup() as bare, contextlib.suppress(OSError):
        if not plain:
            files = tls_files("n1.n")
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.authority))
            context.load_cert_chain(files.certificate, files.key)
            context.verify_mode = ssl.CERT_REQUIRED
            context.set_alpn_protocols([LINK_ALPN.decode()])
            context.num_tickets = 0
            connection = context.wrap_socket(connection, server_side=True)
        with connection:
            connection.recv(4096)
            connection.sendall(encode_box({"version": VERSION, "streams": "256", "proof": bytes(32)}))
            bare.settimeout(10)
            read: list[str] = []
            while not read or read[-1].endswith("bytes"):
                try:
                    data = bare.recv(4096)
                    read.append(f"{len(data)} bytes" if data else "a polite end")
                except OSError as error:
                    read.append(type(error).__name__)
            return read
    raise AssertionError("the listener couldn't say hello")
