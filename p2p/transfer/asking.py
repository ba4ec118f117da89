"""What the services that share have in common: a request whose body is a few boxes, then a long reply."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome, ProtocolViolation
from p2p.exchange.message_streams import ReplyWriter
from p2p.exchange.request import BaseSink
from p2p.exchange.service import Context
from p2p.exchange.threaded import Worker
from p2p.link.boxes import Box, BoxReader

__all__ = ["AskingSink"]

_log = Logger()


class AskingSink(BaseSink):
    """Gathers the boxes of a request, and answers when they are all here.

    :param most: how many boxes are taken.
    :param limit: bytes that each of them may have.
    """

    def __init__(self, reply: ReplyWriter, context: Context, *, most: int, limit: int) -> None:
        self.reply = reply
        self.context = context
        self.worker = Worker(context.threads)
        self.boxes: list[Box] = []
        self._most = most
        self._reader = BoxReader(limit)
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

        :raises ExchangeFailed: if they are none, or too many.
        """
        try:
            self.boxes += self._reader.feed(data)
        except ProtocolViolation as error:
            raise ExchangeFailed(Outcome.CORRUPT, str(error)) from error
        if len(self.boxes) > self._most:
            raise ExchangeFailed(Outcome.REFUSED, f"more than {self._most} things are asked for at once")

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Answer.

        :raises ExchangeFailed: if what is asked for can't be had.
        """
        if not self._reader.between:
            raise ExchangeFailed(Outcome.CORRUPT, "the request ends within a box")
        self._answering = Deferred.fromCoroutine(self.answer())
        self._answering.addErrback(self._broken_off)
        return await self._answering

    def abandon(self) -> None:
        """Answer no more."""
        failure = self.reply.failure or ExchangeFailed(Outcome.RESET, "the exchange was given up")
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
