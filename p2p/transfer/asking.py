"""What the services that share have in common: a request whose body is a few boxes, then a long reply."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome, ProtocolViolation
from p2p.exchange.message_streams import ReplyWriter
from p2p.exchange.request import BaseSink
from p2p.exchange.service import Context
from p2p.exchange.threaded import Worker
from p2p.link.boxes import Box, BoxReader
from p2p.link.flow import account_of

__all__ = ["AskingSink"]

ASKED_BYTES: Final = 2 * 1024 * 1024
"""Bytes of a request."""

_PART: Final = 65_536  # bytes that are read in one go
_BOX_COST: Final = 512  # bytes of memory that a box takes besides its own

_log = Logger()


class AskingSink(BaseSink):
    """Gathers the boxes of a request, and answers when they are all here.

    :param most: how many boxes are taken.
    :param limit: bytes that each of them may have.
    :param fields: what is kept of them.
    """

    def __init__(
        self, reply: ReplyWriter, context: Context, *, most: int, limit: int, fields: frozenset[str] = frozenset()
    ) -> None:
        self.reply = reply
        self.context = context
        self.worker = Worker(context.threads)
        self.boxes: list[Box] = []
        self._most = most
        self._fields = fields
        self._held = account_of(reply.stream).bytes_held()
        self._box_bytes = limit
        self._body = bytearray()
        self._answering: Deferred[Mapping[str, str | bytes]] | None = None

    @abstractmethod
    async def answer(self) -> Mapping[str, str | bytes]:
        """Write the reply and return the fields of its tail; it is cancelled if the exchange breaks."""

    def let_go(self) -> None:
        """Close what is open; in a thread, after all other calls. Most have nothing open."""

    def over(self, failure: ExchangeFailed) -> None:
        """It didn't come to its end, and everything was let go of."""

    def write(self, data: bytes | memoryview) -> None:
        """Gather boxes.

        :raises ExchangeFailed: if they are too long.
        """
        if len(self._body) + len(data) > ASKED_BYTES:
            raise ExchangeFailed(Outcome.REFUSED, f"a request has at most {ASKED_BYTES} bytes; ask for less at once")
        self._body += data
        self.keeps(0)

    def keeps(self, size: int) -> None:
        """Count so many bytes besides those of the request."""
        self._held.set(len(self._body) + _BOX_COST * len(self.boxes) + size)

    def _read(self) -> None:
        """Take the boxes apart."""
        reader = BoxReader(self._box_bytes)
        try:
            for start in range(0, len(self._body), _PART):
                for box in reader.feed(memoryview(self._body)[start : start + _PART]):
                    self.boxes.append({name: value for name, value in box.items() if name in self._fields})
                if len(self.boxes) > self._most:
                    raise ExchangeFailed(Outcome.REFUSED, f"more than {self._most} things are asked for at once")
        except ProtocolViolation as error:
            raise ExchangeFailed(Outcome.CORRUPT, str(error)) from error
        if not reader.between:
            raise ExchangeFailed(Outcome.CORRUPT, "the request ends within a box")

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Answer.

        :raises ExchangeFailed: if what is asked for can't be had.
        """
        self._answering = Deferred.fromCoroutine(self._answer())
        self._answering.addErrback(self._broken_off)
        try:
            return await self._answering
        finally:
            self._held.set(0)

    async def _answer(self) -> Mapping[str, str | bytes]:
        if len(self._body) > _PART:
            await self.worker(self._read)  # tens of thousands of boxes take a while
        else:
            self._read()
        self._body.clear()
        self.keeps(0)
        return await self.answer()

    def abandon(self) -> None:
        """Answer no more."""
        failure = self.reply.failure or ExchangeFailed(Outcome.RESET, "the exchange was given up")
        self._held.set(0)
        if self._answering is not None:
            self._answering.cancel()
        letting_go = self.worker(self.let_go)
        letting_go.addErrback(lambda error: _log.failure("what {peer} shares", error, peer=self.context.peer))
        letting_go.addCallback(lambda _: self.over(failure))

    def _broken_off(self, failure: Failure) -> Failure:
        if self.reply.failure is not None:  # it was cancelled because of that
            raise self.reply.failure
        if failure.check(LocalFileError):
            raise ExchangeFailed(Outcome.REFUSED, f"{self.context.peer} can't send it: {failure.value}")
        return failure
