"""TLS for bulk data: what Twisted's does a record at a time is done many records at a time.

Twisted's TLS transport cuts what it sends into copies of 16 KiB, passes each to the transport alone, and hands each
record that arrives to the protocol alone. On a link at hundreds of megabytes a second those steps cost more than the
cipher does. Handshake, closing and producers are Twisted's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from OpenSSL import SSL
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

__all__ = ["BulkTLS"]

RECORD: Final = 16 * 1024
"""Bytes that a TLS record holds at most (RFC 8446, section 5.1)."""

BATCH: Final = 7 * RECORD
"""Bytes that are encrypted before they go to the transport: with what TLS adds still less than the 128 KiB from which
on the C library takes fresh pages from the system for every buffer."""

_ENCRYPTED: Final = 8 * RECORD - 256


class BulkTLS(TLSMemoryBIOProtocol):
    """A TLS transport that encrypts and decrypts many records at a time."""

    transport: Any  # the transport below; Twisted types it as one that may be missing

    def writeSequence(self, iovec: Iterable[bytes | memoryview]) -> None:
        """Send the pieces in order; large ones aren't copied, and short ones share a record with what follows them.

        The pieces must not change afterwards.
        """
        if self.disconnecting and self._producer is None:
            return
        short: list[bytes | memoryview] = []
        size = 0
        for piece in iovec:
            view = memoryview(piece)
            if short and len(view) >= RECORD:
                room = -size % RECORD
                short.append(view[:room])
                self._write(b"".join(short))
                short, size, view = [], 0, view[room:]
            if len(view) >= RECORD:
                self._write(view)
            else:
                short.append(view)
                size += len(view)
        if size:
            self._write(b"".join(short))

    def _write(self, bytes: bytes | memoryview) -> None:  # noqa: A002 - Twisted's name
        if self._lostTLSConnection:
            return
        left = memoryview(bytes)
        encrypted = 0
        while left:
            try:
                sent = self._tlsConnection.send(left[: BATCH - encrypted])
            except SSL.WantReadError:
                self._bufferedWrite(left)  # type: ignore[no-untyped-call]  # Twisted's, untyped
                break
            except SSL.Error:
                self._tlsShutdownFinished(Failure())  # type: ignore[no-untyped-call]  # Twisted's, untyped
                return
            left = left[sent:]
            encrypted += sent
            if encrypted == BATCH:
                self._flushSendBIO()
                encrypted = 0
        self._flushSendBIO()

    def _flushSendBIO(self) -> None:
        """Pass on everything that OpenSSL has for the other end."""
        size = _ENCRYPTED
        while size == _ENCRYPTED:
            try:
                data = self._tlsConnection.bio_read(_ENCRYPTED)
            except SSL.WantReadError:
                return
            size = len(data)
            self.transport.write(data)

    def _flushReceiveBIO(self) -> None:
        """Deliver all that can be decrypted as one piece, then what ended the connection, if anything did."""
        received: list[bytes] = []
        end: Failure | None = None
        while not self._lostTLSConnection and end is None:
            try:
                received.append(self._tlsConnection.recv(RECORD))
            except SSL.WantReadError:
                break
            except SSL.Error:
                end = Failure()
        if received and not self._aborted:
            ProtocolWrapper.dataReceived(self, received[0] if len(received) == 1 else b"".join(received))
        if end is not None and not self._lostTLSConnection:
            if end.check(SSL.ZeroReturnError):
                self._shutdownTLS()  # type: ignore[no-untyped-call]  # Twisted's, untyped
                # None: the protocol is told the transport's own reason.
                self._tlsShutdownFinished(None)  # type: ignore[no-untyped-call]  # Twisted's, untyped
            else:
                self._tlsShutdownFinished(end)  # type: ignore[no-untyped-call]  # Twisted's, untyped
        self._flushSendBIO()
