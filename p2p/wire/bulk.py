"""TLS for bulk data: many records at a time, and OpenSSL on the socket itself.

Twisted's TLS transport keeps OpenSSL on memory, and copies each record of 16 KiB from buffer to buffer, each way, with
a few Python objects for each. On a link at a gigabyte a second that costs more than the cipher does. Here many records
are encrypted and decrypted in one go; and once hands are shaken, OpenSSL reads and writes the socket, if the transport
below has one to leave to it. Handshake, closing and producers are Twisted's own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL
from twisted.internet import main
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from p2p.wire.buffers import BUFFERS, GULP

__all__ = ["BulkConnection", "BulkTLS"]

RECORD: Final = 16 * 1024
"""Bytes that a TLS record holds at most (RFC 8446, section 5.1)."""

BATCH: Final = 7 * RECORD
"""Bytes that are encrypted in memory before they go to the transport: with what TLS adds still less than the 128 KiB
from which on the C library takes fresh pages from the system for every buffer."""

_ENCRYPTED: Final = 8 * RECORD - 256
_LAST: Final = GULP - RECORD  # where a whole record can begin at the latest

_lib: Any = Binding.lib


class BulkConnection(SSL.Connection):
    """An OpenSSL connection, on memory at first, that is asked for many records at a time.

    pyOpenSSL's own ``recv`` makes two copies and a Python object of each record.
    """

    def __init__(self, context: SSL.Context) -> None:
        super().__init__(context, None)
        # Else OpenSSL returns after each record that it encrypts, so that one could turn to something else.
        _lib.SSL_clear_mode(self._ssl, _lib.SSL_MODE_ENABLE_PARTIAL_WRITE)

    def use_socket(self, descriptor: int) -> None:
        """Read and write a socket from now on. Nothing may be left in memory; the socket remains the caller's."""
        if _lib.SSL_set_fd(self._ssl, descriptor) != 1:
            raise MemoryError("OpenSSL has no memory for a socket")
        self._into_ssl = self._from_ssl = None  # OpenSSL has let go of what they point to

    def decrypted(self) -> tuple[bytes | memoryview, SSL.Error | None]:
        """Decrypt what is there, in whole records, up to ``GULP`` bytes.

        :returns: the bytes, and why there are no more: ``WantReadError`` if no more have come, None if there was no
            room for more, else what ended the connection.
        """
        ssl, read = self._ssl, _lib.SSL_read
        buffer = BUFFERS.take()
        filled = 0
        why: SSL.Error | None = None
        while filled <= _LAST:
            count = read(ssl, buffer + filled, GULP - filled)
            if count <= 0:
                try:
                    self._raise_ssl_error(ssl, count)
                except SSL.Error as error:
                    why = error
                break
            filled += count
        return BUFFERS.lend(buffer, filled), why


class BulkTLS(TLSMemoryBIOProtocol):
    """A TLS transport that encrypts and decrypts many records at a time.

    It is also what a :class:`~p2p.wire.wide_socket.WideSocket` reads and writes its socket with (its ``Wire``), once
    OpenSSL is on it; what waits to be sent are pieces to encrypt then, and an empty one stands for the end of it.
    """

    transport: Any  # the transport below; Twisted types it as one that may be missing
    _tlsConnection: BulkConnection
    _wide: Any = None
    _on_socket = False

    # -- for the link ---------------------------------------------------------------------------------------------

    def stand_on(self, wide: Any) -> None:
        """Use another transport below, one whose socket OpenSSL may have.

        :param wide: a :class:`~p2p.wire.wide_socket.WideSocket`.
        """
        self.transport = self._wide = wide

    def writeSequence(self, iovec: Iterable[bytes | memoryview]) -> None:
        """Send the pieces in order; large ones aren't copied, and short ones share a record with what follows them.

        The pieces must not change afterwards.
        """
        if self.disconnecting and self._producer is None:
            return
        pieces: list[bytes | memoryview] = []
        short: list[bytes | memoryview] = []
        size = 0
        for piece in iovec:
            if short and len(piece) >= RECORD:
                room = -size % RECORD
                pieces.append(b"".join([*short, memoryview(piece)[:room]]))
                short, size, piece = [], 0, memoryview(piece)[room:]
            if len(piece) >= RECORD:
                pieces.append(piece)
            else:
                short.append(piece)
                size += len(piece)
        if size:
            pieces.append(b"".join(short))
        self._send(pieces)

    # -- OpenSSL on the socket: what reads and writes it ----------------------------------------------------------

    def read(self) -> Exception | None:
        """Decrypt what the socket has and deliver it; returns why the connection broke, if it did."""
        return self._receive()

    def send(self, unsent: deque[memoryview]) -> Exception | None:
        """Encrypt and send, from the left, what the socket has room for; returns why the connection broke."""
        try:
            while unsent:
                if unsent[0]:
                    self._tlsConnection.send(unsent[0])
                else:
                    self._tlsConnection.shutdown()
                unsent.popleft()
        except SSL.WantWriteError:
            return None
        except SSL.Error:
            return main.CONNECTION_LOST
        return None

    def _descend(self) -> None:
        """Put OpenSSL on the socket as soon as nothing waits between the two."""
        if not (self._lostTLSConnection or self.disconnecting or self._appSendBuffer or self._wide.unsent):
            self._tlsConnection.use_socket(self._wide.fileno())
            self._on_socket = True
            self._wide.wire = self

    # -- OpenSSL on memory: what Twisted calls --------------------------------------------------------------------

    def dataReceived(self, data: bytes | memoryview) -> None:
        """Decrypt what came and deliver it."""
        super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted's, untyped
        if self._handshakeDone and self._wide is not None:
            self._descend()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if self._on_socket:
            self._lostTLSConnection = True  # nothing is left to decrypt, and the socket is closed
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # Twisted's, untyped

    def _write(self, bytes: bytes | memoryview) -> None:  # noqa: A002 - Twisted's name
        self._send([bytes])

    def _send(self, pieces: list[bytes | memoryview]) -> None:
        if self._lostTLSConnection:
            return
        if self._on_socket:
            self._wide.writeSequence([piece for piece in pieces if len(piece)])
            return
        for piece in pieces:
            left = memoryview(piece)
            while left and not self._lostTLSConnection:
                self._encrypt(left[:BATCH])
                left = left[BATCH:]

    def _encrypt(self, batch: memoryview) -> None:
        try:
            self._tlsConnection.send(batch)
        except SSL.WantReadError:
            self._bufferedWrite(batch)  # type: ignore[no-untyped-call]  # Twisted's, untyped
        except SSL.Error:
            self._tlsShutdownFinished(Failure())  # type: ignore[no-untyped-call]  # Twisted's, untyped
        else:
            self._flushSendBIO()

    def _flushSendBIO(self) -> None:
        """Pass on everything that OpenSSL has for the other end."""
        while not self._on_socket:
            try:
                data = self._tlsConnection.bio_read(_ENCRYPTED)
            except SSL.WantReadError:
                return
            self.transport.write(data)

    def _flushReceiveBIO(self) -> None:
        """Deliver all that can be decrypted, then what ended the connection, if anything did."""
        self._receive()
        self._flushSendBIO()

    def _receive(self) -> Exception | None:
        why: SSL.Error | None = None
        while why is None and not self._lostTLSConnection:
            data, why = self._tlsConnection.decrypted()
            if data and not self._aborted:
                ProtocolWrapper.dataReceived(self, data)
            if self._on_socket:
                break  # others have their turn; OpenSSL keeps no whole record back
        if why is None or self._lostTLSConnection or isinstance(why, SSL.WantReadError | SSL.WantWriteError):
            return None
        if self._on_socket and isinstance(why, SSL.SysCallError):
            return main.CONNECTION_LOST
        if isinstance(why, SSL.ZeroReturnError):
            self._shutdownTLS()
            # None: the protocol is told the transport's own reason.
            self._tlsShutdownFinished(None)  # type: ignore[no-untyped-call]  # Twisted's, untyped
        else:
            self._tlsShutdownFinished(Failure(why))  # type: ignore[no-untyped-call]  # Twisted's, untyped
        return None

    def _shutdownTLS(self) -> None:
        """Tell the other end that nothing more comes, after what waits."""
        if self._on_socket:
            self._wide.writeSequence([b""])
        else:
            super()._shutdownTLS()  # type: ignore[no-untyped-call]  # Twisted's, untyped
