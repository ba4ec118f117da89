"""The initiator's end of a session that gets: what is asked for, and where the records go."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from twisted.internet.interfaces import IReactorTime

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome
from p2p.exchange.inbox import refusal
from p2p.exchange.message_streams import MessageWriter
from p2p.exchange.paths import to_bytes
from p2p.exchange.request import BaseSource
from p2p.exchange.service import Threads
from p2p.exchange.threaded import ThreadedSink, Worker
from p2p.link.boxes import Box, encode_box
from p2p.transfer.answers import Asked
from p2p.transfer.interfaces import Receiver
from p2p.transfer.records import Buffer, Have, Receipt
from p2p.transfer.session_requests import PROGRESS_S, SessionTold
from p2p.transfer.walking import Totals

__all__ = ["GetSession", "local_error"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class GetSession(BaseSource):
    """A session that gets; the source of its exchange, and by :meth:`sink` what takes the reply.

    :param receiver: takes the records of what is asked for and no others; fresh. What its disk doesn't take is a
        ``LocalFileError`` of the exchange.
    :param asked: what is asked for; the same that the receiver has.
    :param sealed: is called in a thread when everything has come, before the receiver forgets that it ever was.
    :ivar totals: how much it was, when it has ended well.
    """

    def __init__(
        self,
        receiver: Receiver,
        asked: Asked,
        threads: Threads,
        clock: IReactorTime,
        told: SessionTold,
        *,
        sealed: Callable[[], object] = lambda: None,
    ) -> None:
        self.totals: Totals | None = None
        self.told = told
        self.clock = clock
        self.receiver = receiver
        self.worker = Worker(threads)
        self.have: Have | None = None
        self._asked = asked
        self._sealed = sealed

    async def open(self) -> None:
        """Ask the receiver what it has, the first time."""
        if self.have is None:
            self.have = await self.worker(self._ask)

    async def send(self, consumer: MessageWriter) -> Mapping[str, str | bytes]:
        """Say what is asked for, and what is here of it."""
        assert self.have is not None
        boxes = [encode_box({"have": "1", **self.have.to_box()})]
        boxes += (encode_box({"path": to_bytes(path)}) for path in self._asked.paths)
        consumer.write(b"".join(boxes))
        return {}

    def sink(self) -> _Records:
        """Make what takes the records."""
        return _Records(self)

    async def release(self) -> None:
        """Wait for the thread that is at work, if one is, and suspend the receiver, unless it is at its end."""
        if self.totals is None:
            self.receiver.stop()
            await self.worker(self.receiver.suspend)

    def feed(self, pieces: Sequence[Buffer]) -> list[Receipt]:
        """Have the receiver take records; in a thread."""
        return _here(self.receiver.feed, pieces)

    def finish(self) -> list[Receipt]:
        """Have it end; in a thread."""
        receipts, self.totals = _here(self.receiver.finish, self._note)
        return receipts

    def _note(self, totals: Totals) -> None:
        self._sealed()

    def _ask(self) -> Have:
        return _here(self.receiver.have)


class _Records(ThreadedSink):
    """Takes the reply to a session that gets."""

    def __init__(self, session: GetSession) -> None:
        super().__init__(session.worker, session.clock, trickle=True)
        self._session = session
        self._told_at = session.clock.seconds()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """The other side agrees."""
        super().registerProducer(producer, streaming)
        assert self._session.have is not None
        self._session.told.on_have(self._session.have)

    def take(self, pieces: list[memoryview]) -> list[Receipt]:
        """Have the receiver take records."""
        return self._session.feed(pieces)

    def taken(self, receipts: list[Receipt]) -> None:
        """Tell of them."""
        self.keeps(*self._session.receiver.held)
        now = self._session.clock.seconds()
        if receipts:
            room = self._session.told.on_receipts(receipts)
            if room is not None and not room.called:
                self.block("reader")
                room.addBoth(self._was_read)
        if now - self._told_at >= PROGRESS_S:
            self._told_at = now
            self._tell_progress()

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Wait until everything was taken.

        :raises ExchangeFailed: if that isn't everything.
        """
        await self.flush()
        receipts = await self.worker(self._session.finish)
        self.keeps(0, 0)
        if receipts:
            self._session.told.on_receipts(receipts)
        self._tell_progress()
        return {}

    def abandon(self) -> None:
        """Take no more; the session lets go of the receiver."""
        self.drop()
        self.keeps(0, 0)

    def _tell_progress(self) -> None:
        receiver = self._session.receiver
        self._session.told.on_progress(receiver.done_entries, receiver.done_bytes)

    def _was_read(self, result: Any) -> Any:
        self.unblock("reader")
        return result


def _here(function: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """Call a receiver; what this machine doesn't take is told as such, not as a refusal of the other one."""
    try:
        return function(*arguments, **named)
    except ExchangeFailed as failure:
        if failure.outcome is Outcome.REFUSED:
            raise local_error(failure) from failure
        raise


def local_error(failure: ExchangeFailed) -> LocalFileError:
    """What a refusal is where this machine is the receiver itself: its texts are made for the one at the other end."""
    cause = failure.__cause__
    if not isinstance(cause, OSError) or str(failure) != str(refusal(cause)):
        return LocalFileError(str(failure))
    if cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return LocalFileError("the disk of this machine is full; free some space there")
    return LocalFileError(f"this machine can't write what comes: {cause.strerror}; see to the folder that it goes to")
