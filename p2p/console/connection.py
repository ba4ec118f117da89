"""The client side of the console's wire: requests are numbered, and each answer finds the one that waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
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
from p2p.console.lines import ANSWER_BYTES, REQUEST_BYTES, JSONLines, decode, encode

__all__ = ["ConsoleConnection", "OnEvent"]

OnEvent = Callable[[Mapping[str, Any]], None]
"""Is called with each event of a request, as it came."""


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
            number, event = message.pop("id"), message["event"]
        except (ValueError, KeyError) as error:
            what = f"the daemon on {self._name} sent a line that can't be read: {error}"
            self._fail_all(lambda: DaemonFault(what))
            return
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
