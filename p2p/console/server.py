"""The server side of the console: the UNIX socket over which a person's commands reach a daemon.

The socket has mode 0600, so whoever may use it is the daemon's own user. Over it goes one JSON object a line, UTF-8:

* a request, at most 1 MiB: ``{"id": 7, "op": "ping", "peer": "m4.m"}``;
* any number of events: ``{"id": 7, "event": "progress", "bytes": 65536, "length": 1048576}``;
* exactly one end: ``{"id": 7, "event": "done", ...}`` or
  ``{"id": 7, "event": "failed", "error": kind, "outcome": outcome or null, "reason": text}``.

``error`` is ``usage`` (the request can't be carried out as it is), ``outcome`` (an exchange ended badly, ``outcome``
says how), ``file`` (a file of this machine can't be used), ``cancelled`` or ``internal`` (a fault of the daemon, whose
log has the details). ``id`` is null where the request had none that could be read. Requests of one connection run
concurrently; when it ends, they are cancelled. ``{"op": "cancel", "request": 7}`` cancels one of them.

A request with ``"stream": true`` brings a file descriptor along (SCM_RIGHTS, see unix(7)), sent with the bytes of its
line or before them: the first such request takes the first descriptor. The daemon closes its copy when the request has
ended.

A daemon gives its operations as a mapping from their names to handlers. A handler takes the arguments of the request
(without ``id`` and ``op``) and ``emit``, and returns what goes into ``done``::

    class PingArguments(Arguments):
        peer: str


    async def ping(arguments: PingArguments, emit: Emit) -> Mapping[str, Any]:
        return {"rtt_ns": await measure(arguments.peer)}


    console = ConsoleServer(reactor, config.console, {"ping": checked(PingArguments, ping)})

What a handler raises becomes the ``failed`` answer: :class:`~p2p.base.errors.ExchangeFailed` (its ``fields`` go along)
and the errors of the control channel are an ``outcome``, :class:`~p2p.base.errors.LocalFileError` is ``file``, any
other :class:`~p2p.base.errors.P2PError` is ``usage``, and everything else is logged with its traceback and is
``internal``.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.interfaces import IAddress, IFileDescriptorReceiver, IListeningPort, IPushProducer
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.errors import DaemonFault, LocalFileError, Outcome, P2PError
from p2p.base.waiters import Waiters
from p2p.console.lines import ANSWER_BYTES, REQUEST_BYTES, REQUESTS, JSONLines, decode, encode
from p2p.console.operations import Arguments
from p2p.console.unix_socket import listen_privately

__all__ = [
    "CONNECTIONS",
    "ConsoleServer",
    "Emit",
    "FileHandler",
    "Handler",
    "checked",
    "checked_with_file",
]

CONNECTIONS = 64
"""Clients of one console at the same time."""

FILES = 16
"""File descriptors that may have come on one connection before the requests that they belong to."""

_REASON_CHARACTERS = 2000

log = Logger()


class Emit(Protocol):
    """Sends an event of a request to its client."""

    def __call__(self, event: str, /, **fields: Any) -> Awaitable[None]:
        """Write the event at once; what is returned fires when there is room for the next.

        Await it before producing more. It may be left alone where events are few and must not hold up the work, as
        with progress.
        """


Handler = Callable[[Mapping[str, Any], Emit], Awaitable[Mapping[str, Any]]]
"""Carries out one operation: takes the arguments and ``emit``, returns the fields of ``done``."""


class FileHandler:
    """A handler whose requests may bring a file descriptor along.

    :param run: takes the arguments, ``emit``, and the descriptor or None; it must not close it, and has to be done
        with it when it ends.
    """

    def __init__(self, run: Callable[[Mapping[str, Any], Emit, int | None], Awaitable[Mapping[str, Any]]]) -> None:
        self.run = run

    def __call__(self, request: Mapping[str, Any], emit: Emit) -> Awaitable[Mapping[str, Any]]:
        """Carry out a request that brought nothing along."""
        return self.run(request, emit, None)


_A = TypeVar("_A", bound=Arguments)


def checked(arguments: type[_A], operation: Callable[[_A, Emit], Awaitable[Mapping[str, Any] | BaseModel]]) -> Handler:
    """Make a handler of an operation that takes its arguments checked, and may return a model."""

    async def handler(request: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
        return _fields(await operation(arguments.read(request), emit))

    return handler


def checked_with_file(
    arguments: type[_A], operation: Callable[[_A, Emit, int | None], Awaitable[Mapping[str, Any] | BaseModel]]
) -> FileHandler:
    """Make a handler of an operation that takes a file descriptor as well, or None."""

    async def run(request: Mapping[str, Any], emit: Emit, file: int | None) -> Mapping[str, Any]:
        return _fields(await operation(arguments.read(request), emit, file))

    return FileHandler(run)


def _fields(answer: Mapping[str, Any] | BaseModel) -> Mapping[str, Any]:
    return answer.model_dump(mode="json", by_alias=True) if isinstance(answer, BaseModel) else answer


class ConsoleServer(Service):
    """A daemon's console; it listens when ``startService`` returns.

    :ivar factory: makes the protocol of each connection.
    """

    def __init__(
        self,
        reactor: Any,
        path: Path,
        handlers: Mapping[str, Handler],
        *,
        connections: int = CONNECTIONS,
        requests: int = REQUESTS,
    ) -> None:
        """Set up the console; nothing happens before it starts.

        :param reactor: provides ``IReactorUNIX`` and ``IReactorTime``.
        :param path: where the socket will be.
        :param connections: how many clients there may be at the same time.
        :param requests: how many requests of one client may be under way at the same time.
        """
        self.factory = _ConsoleFactory(reactor, handlers, connections, requests)
        self._reactor = reactor
        self._path = path
        self._port: IListeningPort | None = None

    @property
    def connected(self) -> int:
        """How many clients are connected now."""
        return len(self.factory.connections)

    def startService(self) -> None:
        """Listen, in the place of a socket that a dead daemon left behind.

        :raises LocalFileError: if the path can't be used, or a live daemon answers on it.
        """
        self._port = listen_privately(self._reactor, self._path, self.factory)
        super().startService()  # type: ignore[no-untyped-call]  # Twisted has no types for it

    def stopService(self) -> Deferred[None]:
        """Stop listening, cancel every request and end every connection; fires when that is done."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted has no types for it
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            try:
                await maybeDeferred(port.stopListening)
            except FileNotFoundError:
                log.warn("console {path}: somebody has removed the socket file", path=str(self._path))
        connections = list(self.factory.connections)
        for connection in connections:
            connection.end_requests()
            connection.hang_up()
        await gatherResults([connection.gone for connection in connections])


class _ConsoleFactory(Factory):
    noisy = False

    def __init__(self, reactor: Any, handlers: Mapping[str, Handler], connections: int, requests: int) -> None:
        self.handlers = handlers
        self.max_connections = connections
        self.max_requests = requests
        self.connections: set[_Connection] = set()
        self._reactor = reactor

    def buildProtocol(self, addr: IAddress | None) -> _Connection:
        return _Connection(self, self._reactor)


@implementer(IPushProducer, IFileDescriptorReceiver)
class _Connection(JSONLines):
    """One client: its requests under way, and those that wait until it reads."""

    def __init__(self, console: _ConsoleFactory, reactor: Any) -> None:
        super().__init__(reactor, REQUEST_BYTES)
        self._console = console
        self._requests: dict[int, Deferred[None]] = {}
        self._ended = False
        self._paced = False
        self._congested = False
        self._room: Waiters[None] = Waiters()
        self._files: deque[int] = deque()

    def connectionMade(self) -> None:
        if len(self._console.connections) >= self._console.max_connections:
            limit = self._console.max_connections
            self._refuse(None, f"the daemon has {limit} console connections, which is its limit; try again later")
            self.hang_up()
            return
        self._console.connections.add(self)
        self.transport.registerProducer(self, True)
        self._paced = True

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._console.connections.discard(self)
        self._paced = False
        self.end_requests()
        while self._files:
            os.close(self._files.popleft())
        super().connectionLost(reason)

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Keep what the next request with a stream will take."""
        if len(self._files) >= FILES or self._ended:
            os.close(descriptor)
            self._refuse(None, f"{FILES} file descriptors have come without the requests that they belong to")
            self.hang_up()
            return
        os.set_inheritable(descriptor, False)
        self._files.append(descriptor)

    def hang_up(self) -> None:
        """End the connection, whose transport would wait for a producer that is still registered."""
        if self._paced:
            self._paced = False
            self.transport.unregisterProducer()
        super().hang_up()

    def end_requests(self) -> None:
        """Cancel all requests and answer nothing any more."""
        self._ended = True
        for request in list(self._requests.values()):
            request.cancel()

    def lineLengthExceeded(self, line: bytes) -> None:
        self._refuse(None, f"a request is longer than {self.MAX_LENGTH} bytes; send long content as a file")
        self.hang_up()

    def lineReceived(self, line: bytes) -> None:
        try:
            request = decode(line)
        except ValueError as error:
            self._refuse(None, f"this line can't be read: {error}")
            return
        file = self._files.popleft() if request.get("stream") is True and self._files else None
        if not self._begin(request, file) and file is not None:
            os.close(file)

    def _begin(self, request: dict[str, Any], file: int | None) -> bool:
        """Begin a request or refuse it; return whether it has begun, and closes its file itself."""
        number = request.pop("id", None)
        if type(number) is not int:
            self._refuse(None, '"id" must be a whole number')
            return False
        op = request.pop("op", None)
        handler = self._console.handlers.get(op) if isinstance(op, str) else None
        if op == "cancel":
            self._cancel(number, request)
        elif handler is None:
            self._refuse(number, f"there is no operation {op!r:.80}; {self._operations()}")
        elif number in self._requests:
            self._refuse(number, f"request {number} is still under way; number the next one differently")
        elif len(self._requests) >= self._console.max_requests:
            self._refuse(number, f"{len(self._requests)} requests are under way, which is the limit; wait for answers")
        else:
            self._start(number, str(op), handler, request, file)
            return True
        return False

    def _start(self, number: int, op: str, handler: Handler, arguments: Mapping[str, Any], file: int | None) -> None:
        async def run() -> None:
            if isinstance(handler, FileHandler):
                answer = await handler.run(arguments, emit, file)
            else:
                answer = await handler(arguments, emit)
            self._send_done(number, answer)

        def emit(event: str, /, **fields: Any) -> Awaitable[None]:
            if self._ended:
                return succeed(None)
            self.transport.write(encode({**fields, "id": number, "event": event}))
            return self._room.wait() if self._congested else succeed(None)

        def finished(result: None) -> None:
            del self._requests[number]
            if file is not None:
                os.close(file)

        self._requests[number] = running = Deferred.fromCoroutine(run())
        running.addErrback(self._send_failed, number, op)
        running.addErrback(lambda failure: log.failure("console: can't answer {op}", failure, op=op))
        running.addCallback(finished)

    def _cancel(self, number: int, request: Mapping[str, Any]) -> None:
        running = self._requests.get(request["request"]) if type(request.get("request")) is int else None
        if running is not None:
            running.cancel()
        self._send_done(number, {"cancelled": running is not None})

    def _send_done(self, number: int, fields: Mapping[str, Any]) -> None:
        if self._ended:
            return
        line = encode({**fields, "id": number, "event": "done"})
        if len(line) > ANSWER_BYTES:
            raise DaemonFault(f"the answer has {len(line)} bytes, and a console answer has at most {ANSWER_BYTES}")
        self.transport.write(line)

    def _send_failed(self, failure: Failure, number: int, op: str) -> None:
        error = failure.value
        fields: Mapping[str, Any] = {}
        outcome = None
        if isinstance(error, CancelledError):
            kind, reason = "cancelled", "the request was cancelled"
        elif isinstance(error, P2PError) and isinstance(ended := getattr(error, "outcome", None), Outcome):
            kind, reason, outcome, fields = "outcome", str(error), ended, getattr(error, "fields", {})
        elif isinstance(error, LocalFileError):
            kind, reason = "file", str(error)
        elif isinstance(error, P2PError) and not isinstance(error, DaemonFault):
            kind, reason = "usage", str(error)
        else:
            log.failure("console: {op} failed", failure, op=op)
            kind, reason = "internal", f"{type(error).__name__} in {op}; the log of the daemon has the details"
        self._fail(number, kind, reason, outcome, fields)

    def _refuse(self, number: int | None, reason: str) -> None:
        self._fail(number, "usage", reason, None, {})

    def _fail(self, number: int | None, kind: str, reason: str, outcome: str | None, fields: Mapping[str, Any]) -> None:
        if self._ended:
            return
        known = {"id": number, "event": "failed", "error": kind, "outcome": outcome}
        self.transport.write(encode({**fields, **known, "reason": reason[:_REASON_CHARACTERS]}))

    def _operations(self) -> str:
        return "this daemon has " + ", ".join(sorted(self._console.handlers))

    def pauseProducing(self) -> None:
        self._congested = True

    def resumeProducing(self) -> None:
        self._congested = False
        self._room.fire(None)

    def stopProducing(self) -> None:
        """Nothing to do: ``connectionLost`` follows and cancels the requests."""
