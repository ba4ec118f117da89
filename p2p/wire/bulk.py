"""What reads and writes the socket of a link that carries bulk data, with TLS or without, and the memory it fills.

Twisted's TLS transport keeps OpenSSL on memory, and copies each record of 16 KiB from buffer to buffer, each way, with
a few Python objects for each. On a link at a gigabyte a second that costs more than the cipher does. Here many records
are encrypted and decrypted in one go; and once hands are shaken, OpenSSL reads and writes the socket, if the transport
below has one to leave to it. Handshake, closing and producers are Twisted's own.

What arrives goes up as views of the memory that it was received into, and is copied nowhere on its way. Fresh memory
for every piece of it would cost more than the cipher does, since the system clears each page; so a buffer is used anew
as soon as the last view of it is gone, whoever had it. All of them together are bounded: when views of every buffer are
kept somewhere, what arrives then is copied.

This module stands on :data:`p2p.wire.private.PARTS`, and isn't loaded where one of them is missing.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL
from twisted.internet import main
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

__all__ = ["BUFFERS", "COPIED", "COUNT", "GULP", "PIECES", "Buffers", "BulkConnection", "BulkTLS", "Plain"]

PIECES: Final = 64
"""Pieces that the system gets in one call; it takes 1024 at most (IOV_MAX)."""

GULP: Final = 512 * 1024
"""Bytes that are received at once at most: what one of these holds stays in a processor's cache."""

COPIED: Final = 64 * 1024
"""Bytes below which what came is copied, so that it keeps no more memory than it takes."""

COUNT: Final = 20
"""Buffers that are lent at most: what a stream whose reader is behind holds, and what a disk has in hand."""

RECORD: Final = 16 * 1024
"""Bytes that a TLS record holds at most (RFC 8446, section 5.1)."""

BATCH: Final = 7 * RECORD
"""Bytes that are encrypted in memory before they go to the transport: with what TLS adds still less than the 128 KiB
from which on the C library takes fresh pages from the system for every buffer."""

_ENCRYPTED: Final = 8 * RECORD - 256
_LAST: Final = GULP - RECORD  # where a whole record can begin at the latest

_lib: Any = Binding.lib
_ffi: Any = Binding.ffi
_new: Any = _ffi.new_allocator(should_clear_after_alloc=False)


class Buffers:
    """Some buffers of one size, in C memory; they come to be when they are needed.

    They are taken in one thread; views of them may end in any.

    :param size: bytes of each.
    :param count: how many are lent at most.
    """

    def __init__(self, size: int = GULP, count: int = COUNT) -> None:
        self.size = size
        self._to_make = count
        self._free: list[Any] = []
        self._own = _new("char[]", size)  # what is received into it is copied before the next is

    def take(self) -> Any:
        """A buffer to receive into, as an array of C; nobody takes another before it came back to :meth:`lend`."""
        if self._free:
            return self._free.pop()
        if self._to_make:
            self._to_make -= 1
            return _new("char[]", self.size)
        return self._own

    def writable(self, buffer: Any) -> memoryview:
        """The whole of a buffer that was taken."""
        return memoryview(_ffi.buffer(buffer))

    def lend(self, buffer: Any, count: int) -> bytes | memoryview:
        """The first bytes of a buffer that was taken, for as long as anybody has them or a part of them."""
        if buffer is not self._own and count >= COPIED:
            return memoryview(_ffi.buffer(_ffi.gc(buffer, self._free.append), count))
        data = bytes(_ffi.buffer(buffer, count))
        if buffer is not self._own:
            self._free.append(buffer)
        return data


BUFFERS: Final = Buffers()
"""Those of all links."""


class Plain:
    """Bytes as they are.

    :param deliver: gets what arrives, and may keep it.
    """

    def __init__(self, handle: socket.socket, deliver: Callable[[bytes | memoryview], object]) -> None:
        self._socket = handle
        self._deliver = deliver

    def read(self) -> Exception | None:
        """Read up to a gulp."""
        buffer = BUFFERS.take()
        count = 0
        try:
            count = self._socket.recv_into(BUFFERS.writable(buffer))
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        finally:
            data = BUFFERS.lend(buffer, count)
        if not count:
            return main.CONNECTION_DONE
        self._deliver(data)
        return None

    def send(self, unsent: deque[memoryview]) -> Exception | None:
        """Send many pieces a call."""
        while unsent:
            try:
                sent = self._socket.sendmsg(list(islice(unsent, PIECES)))
            except BlockingIOError:
                return None
            except OSError:
                return main.CONNECTION_LOST
            while unsent and sent >= len(unsent[0]):
                sent -= len(unsent.popleft())
            if sent:
                unsent[0] = unsent[0][sent:]
        return None


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
