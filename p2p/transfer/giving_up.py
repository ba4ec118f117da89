"""A transfer that its initiator won't go on with: whoever has a part of it is told, and removes it at once.

The service is ``transfer``, with ``cancel`` in the head and an empty body; no consent is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.exchange.message_streams import MessageWriter, ReplyWriter
from p2p.exchange.request import BaseSink, BaseSource, Request
from p2p.exchange.service import TRANSFER, Context
from p2p.transfer.asking import AskingSink
from p2p.transfer.session_requests import offer_of

__all__ = ["CANCEL", "GiveUpSession", "GiveUpSink"]

CANCEL: Final = "cancel"
"""The field of the head that tells it from a session that sends."""


class GiveUpSink(AskingSink):
    """Has the host remove what came of a transfer, and answers when that is done."""

    def __init__(self, request: Request, reply: ReplyWriter, context: Context) -> None:
        super().__init__(reply, context, most=0, limit=0)
        self._offer = offer_of(request)

    async def answer(self) -> Mapping[str, str | bytes]:
        """Remove it."""
        await self.context.host.given_up(self._offer)
        return {}


class GiveUpSession(BaseSource):
    """The initiator's end: the source of the exchange, and by :meth:`sink` what takes the reply.

    :param transfer_id: of the transfer that is given up.
    """

    def __init__(self, transfer_id: str) -> None:
        self.request = Request(TRANSFER, more={"id": transfer_id, CANCEL: "1"})

    async def open(self) -> int:
        """There is no body."""
        return 0

    async def send(self, consumer: MessageWriter) -> Mapping[str, str | bytes]:
        """The head says it all."""
        return {}

    def sink(self) -> _Nothing:
        """Make what takes the reply."""
        return _Nothing()


class _Nothing(BaseSink):
    """Takes a reply without a body."""

    def write(self, data: bytes | memoryview) -> None:
        """Nothing is to come.

        :raises ExchangeFailed: with ``corrupt``.
        """
        raise ExchangeFailed(Outcome.CORRUPT, "there is nothing to answer to a transfer that was given up")
