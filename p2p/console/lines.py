"""One JSON object a line, UTF-8: the wire of the console, for both of its ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from p2p.base.strict_json import read_json

__all__ = ["ANSWER_BYTES", "REQUEST_BYTES", "JSONLines", "decode", "encode"]

REQUEST_BYTES = 1 << 20
"""The longest line that a daemon reads: a request with a text in it. Anything longer is sent as a file."""

ANSWER_BYTES = 16 << 20
"""The longest line that a client reads: the status of a daemon that hosts thousands of peers with links."""

HANG_UP_S = 5.0
"""Seconds that the other end has to read what was written for it before the connection is aborted."""


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
