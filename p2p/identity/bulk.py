"""TLS for bulk data: what Twisted's does a record at a time is done many records at a time.

Twisted's TLS transport cuts what it sends into copies of 16 KiB, passes each to the transport alone, and hands each
record that arrives to the protocol alone. On a link at a gigabyte a second those steps cost more than the cipher does.
Handshake, closing and producers are Twisted's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

__all__ = ["BulkConnection", "BulkTLS"]

RECORD: Final = 16 * 1024
"""Bytes that a TLS record holds at most (RFC 8446, section 5.1)."""

BATCH: Final = 16 * RECORD
"""Bytes that are encrypted before they go to the transport."""

TAKEN: Final = 80 * 1024
"""Encrypted bytes that go to the transport at once. The other end is at work on them while the next are copied: with
all of a batch at once, a link on one machine needs half as much CPU time again."""

_ffi: Any = Binding.ffi
_lib: Any = Binding.lib
_room = _ffi.new_allocator(should_clear_after_alloc=False)
_taken = bytearray(TAKEN)  # one for all connections: what is taken out is used up before more is
_taken_view = memoryview(_taken)
_taken_there = _ffi.from_buffer(_taken)


class BulkConnection(SSL.Connection):
    """An OpenSSL connection on memory that is asked for many records at a time.

    pyOpenSSL's own ``recv`` makes two copies of each record and a Python object.
    """

    def __init__(self, context: SSL.Context) -> None:
        super().__init__(context, None)
        # Else OpenSSL returns after each record that it encrypts, so that one could turn to something else.
        _lib.SSL_clear_mode(self._ssl, _lib.SSL_MODE_ENABLE_PARTIAL_WRITE)

    def decrypted(self, size: int) -> tuple[memoryview | bytes, SSL.Error | None]:
        """Decrypt what is there, up to ``size`` bytes.

        :returns: the bytes, and what ended the connection after them, if anything did.
        """
        ssl, read = self._ssl, _lib.SSL_read
        room = _room("char[]", size)
        count = filled = 0
        while filled < size and (count := read(ssl, room + filled, size - filled)) > 0:
            filled += count
        end: SSL.Error | None = None
        if count <= 0:
            try:
                self._raise_ssl_error(ssl, count)
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                end = error
        data = memoryview(_ffi.buffer(room, filled))
        return data if 2 * filled >= size else bytes(data), end  # a view keeps all of the room

    def encrypted(self) -> memoryview:
        """Take some of what is there for the other end, up to ``TAKEN`` bytes; the view is good until the next call."""
        return _taken_view[: max(_lib.BIO_read(self._from_ssl, _taken_there, TAKEN), 0)]


class BulkTLS(TLSMemoryBIOProtocol):
    """A TLS transport that encrypts and decrypts many records at a time."""

    transport: Any  # the transport below; Twisted types it as one that may be missing
    _tlsConnection: BulkConnection
    _views = False  # whether the transport below takes views
    _expected = RECORD  # bytes that can be decrypted at most
    _batched = 0  # bytes encrypted that wait in OpenSSL's memory

    def writeSequence(self, iovec: Iterable[bytes | memoryview]) -> None:
        """Send the pieces in order; large ones aren't copied, and short ones share a record with what follows them.

        The pieces must not change afterwards.
        """
        if self._lostTLSConnection or (self.disconnecting and self._producer is None):
            return
        short: list[bytes | memoryview] = []
        size = 0
        for piece in iovec:
            if short and len(piece) >= RECORD:
                room = -size % RECORD
                short.append(memoryview(piece)[:room])
                self._encrypt(b"".join(short))
                short, size, piece = [], 0, memoryview(piece)[room:]
            if len(piece) >= RECORD:
                self._encrypt(piece)
            else:
                short.append(piece)
                size += len(piece)
        if size:
            self._encrypt(b"".join(short))
        self._flushSendBIO()

    def dataReceived(self, data: bytes | memoryview) -> None:
        """Decrypt what came, which is copied."""
        self._expected = len(data) + RECORD  # with what waits for the end of its record
        super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted's, untyped

    def stand_on(self, transport: Any) -> None:
        """Use another transport from now on, one that copies what it is given to write, or sends it at once."""
        self.transport = transport
        self._views = True

    def _write(self, bytes: bytes | memoryview) -> None:  # noqa: A002 - Twisted's name
        if not self._lostTLSConnection:
            self._encrypt(bytes)
            self._flushSendBIO()

    def _encrypt(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left and not self._lostTLSConnection:
            if self._batched >= BATCH:
                self._flushSendBIO()
            batch = left[:BATCH]
            try:
                self._tlsConnection.send(batch)
            except SSL.WantReadError:
                self._bufferedWrite(left)  # type: ignore[no-untyped-call]  # Twisted's, untyped
                return
            except SSL.Error:
                self._tlsShutdownFinished(Failure())  # type: ignore[no-untyped-call]  # Twisted's, untyped
                return
            self._batched += len(batch)
            left = left[len(batch) :]

    def _flushSendBIO(self) -> None:
        """Pass on everything that OpenSSL has for the other end."""
        self._batched = 0
        while len(data := self._tlsConnection.encrypted()):
            self.transport.write(data if self._views else bytes(data))

    def _flushReceiveBIO(self) -> None:
        """Deliver all that can be decrypted as one piece, then what ended the connection, if anything did."""
        while not self._lostTLSConnection:
            data, end = self._tlsConnection.decrypted(self._expected)
            if len(data) and not self._aborted:
                ProtocolWrapper.dataReceived(self, data)
            if end is not None and not self._lostTLSConnection:
                if isinstance(end, SSL.ZeroReturnError):
                    self._shutdownTLS()  # type: ignore[no-untyped-call]  # Twisted's, untyped
                    # None: the protocol is told the transport's own reason.
                    self._tlsShutdownFinished(None)  # type: ignore[no-untyped-call]  # Twisted's, untyped
                else:
                    self._tlsShutdownFinished(Failure(end))  # type: ignore[no-untyped-call]  # Twisted's, untyped
            if len(data) < self._expected:
                break
        self._flushSendBIO()
