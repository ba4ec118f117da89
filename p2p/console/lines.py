"""One JSON object a line, UTF-8: the wire of the console, and the end of it that asks.

:mod:`p2p.console.server` says what the lines hold, and is the end that answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from p2p.base.errors import (
    ConsoleUnreachable,
    DaemonFault,
    ExchangeFailed,
    InvalidRequest,
    LocalFileError,
    Outcome,
    P2PError,
)
from p2p.base.strict_json import read_json

__all__ = [
    "ANSWER_BYTES",
    "HANG_UP_S",
    "REQUESTS",
    "REQUEST_BYTES",
    "ConsoleConnection",
    "JSONLines",
    "OnEvent",
    "decode",
    "encode",
]

REQUEST_BYTES = 1 << 20
"""The longest line that a daemon reads: a request with a text in it. Anything longer is sent as a file."""

ANSWER_BYTES = 16 << 20
"""The longest line that a client reads: the status of a daemon that hosts thousands of peers with links."""

REQUESTS = 2048
"""Requests under way at the same time on one connection: room for a thousand pairs, both ways, through one client."""

HANG_UP_S = 5.0
"""Seconds that the other end has to read what was written for it before the connection is aborted."""

OnEvent = Callable[[Mapping[str, Any]], None]
"""Is called with each event of a request, as it came."""


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as one line with its line feed.

    A lone surrogate (how Python holds the bytes of a file name that aren't UTF-8) is escaped, so it survives the way.

    :raises TypeError: for a value that JSON doesn't have.
    :raises ValueError: for a number that isn't finite.
    """
    text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        return json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return the object in a line, which comes without its line feed.

    :raises ValueError: with the reason, if the line isn't UTF-8, isn't JSON (RFC 8259), has a key twice, or isn't an
        object.
    """
    message = read_json(line)
    if not isinstance(message, dict):
        raise ValueError("it isn't a JSON object")
    return message


class JSONLines(LineOnlyReceiver):
    """The protocol under both ends: lines of a bounded length, and an end that can't hang.

    :ivar gone: fires with ``None`` when the connection has ended.
    """

    delimiter = b"\n"
    transport: Any  # a stream transport; Twisted's own annotation is the narrower ITransport

    def __init__(self, clock: IReactorTime, max_line: int) -> None:
        self.MAX_LENGTH = max_line
        self.gone: Deferred[None] = Deferred()
        self._clock = clock
        self._abort: IDelayedCall | None = None

    def hang_up(self) -> None:
        """End the connection once what was written is read; abort it if that takes more than 5 seconds."""
        if self._abort is not None or self.gone.called:
            return
        self.transport.loseConnection()
        self._abort = self._clock.callLater(HANG_UP_S, self.transport.abortConnection)

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        self.gone.callback(None)


class _Pending(NamedTuple):
    """A request that waits for its end."""

    answer: Deferred[dict[str, Any]]
    on_event: OnEvent | None


class ConsoleConnection(JSONLines):
    """Numbers the requests and gives each answer to the one that waits for it."""

    def __init__(self, clock: Any, name: str) -> None:
        super().__init__(clock, ANSWER_BYTES)
        self._name = name
        self._numbers = count(1)
        self._pending: dict[int, _Pending] = {}
        self._lost: Callable[[], P2PError] | None = None

    def ask(
        self, op: str, fields: Mapping[str, Any], on_event: OnEvent | None, file: int | None = None
    ) -> Deferred[dict[str, Any]]:
        """Send a request; the Deferred fires with the fields of ``done`` or the error that ``failed`` stands for.

        :param file: a file descriptor that goes along with a request whose field ``stream`` is true. It stays open
            until the answer.
        """
        if self._lost is not None:
            raise self._lost()
        number = next(self._numbers)
        line = encode({**fields, "id": number, "op": op})
        if len(line) > REQUEST_BYTES:
            raise InvalidRequest(
                f"the request takes {len(line)} bytes, and a daemon reads at most {REQUEST_BYTES}; "
                "send long content as a file"
            )

        answer: Deferred[dict[str, Any]] = Deferred(lambda answer: self._cancel(number))
        self._pending[number] = _Pending(answer, on_event)
        if file is not None:
            self.transport.sendFileDescriptor(file)  # it goes with the first bytes that are sent after this
        self.transport.write(line)
        return answer

    def lineReceived(self, line: bytes) -> None:
        try:
            message = decode(line)
            if not message.keys() >= {"id", "event"}:
                raise ValueError("it has no id or no event")
        except ValueError as error:
            what = f"the daemon on {self._name} sent a line that can't be read: {error}"
            self._fail_all(lambda: DaemonFault(what))
            return
        number, event = message.pop("id"), message["event"]
        if number is None:
            reason = str(message.get("reason"))
            self._fail_all(lambda: ConsoleUnreachable(reason))
            return
        pending = self._pending.get(number)
        if pending is None:
            return  # the answer to a cancelled request, or to the cancelling
        if event == "done":
            del self._pending[number], message["event"]
            pending.answer.callback(message)
        elif event == "failed":
            del self._pending[number]
            pending.answer.errback(_error_of(message))
        elif pending.on_event is not None:
            maybeDeferred(pending.on_event, message).addErrback(self._give_up, number)

    def _give_up(self, failure: Failure, number: int) -> None:
        """Fail a request whose caller couldn't take an event."""
        answer = self._pending[number].answer
        self._cancel(number)
        answer.errback(failure)

    def _cancel(self, number: int) -> None:
        if self._pending.pop(number, None) is not None:
            self.transport.write(encode({"id": next(self._numbers), "op": "cancel", "request": number}))

    def lineLengthExceeded(self, line: bytes) -> None:
        what = f"the daemon on {self._name} sent a line of more than {ANSWER_BYTES} bytes"
        self._fail_all(lambda: DaemonFault(what))

    def connectionLost(self, reason: Failure | None = None) -> None:
        super().connectionLost(reason)
        what = f"the daemon on {self._name} ended the connection before it answered; see its log"
        self._fail_all(lambda: ConsoleUnreachable(what))

    def _fail_all(self, error: Callable[[], P2PError]) -> None:
        """End the connection: after this no answer could be told from another."""
        if self._lost is None:
            self._lost = error
        self.hang_up()
        pending, self._pending = self._pending, {}
        for one in pending.values():
            if not one.answer.called:  # an earlier one's callback may have cancelled it
                one.answer.errback(error())


def _error_of(message: Mapping[str, Any]) -> Exception:
    """The error that a ``failed`` stands for."""
    kind, reason = message.get("error"), str(message.get("reason", "the daemon gave no reason"))
    if kind == "outcome" and message.get("outcome") in set(Outcome):
        known = {k: v for k, v in message.items() if k not in ("event", "error", "outcome", "reason")}
        return ExchangeFailed(Outcome(message["outcome"]), reason, known)
    if kind == "usage":
        return InvalidRequest(reason)
    if kind == "file":
        return LocalFileError(reason)
    if kind == "cancelled":
        return CancelledError(reason)
    return DaemonFault(reason)
