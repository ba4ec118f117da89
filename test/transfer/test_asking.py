"""Requests whose body is a few boxes: gathered, answered, and given up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome
from p2p.link.boxes import encode_box
from p2p.transfer.asking import ASKED_BYTES, AskingSink
from test.exchange.doubles import Written, make_context, make_reply


class Asking(AskingSink):
    """Answers when its test does.

    :ivar let_go_of: whether what is open was closed.
    :ivar failure: how it ended, if badly.
    """

    def __init__(self) -> None:
        self.written = Written()
        super().__init__(
            make_reply(self.written), make_context(Path("/nowhere")), most=2, limit=100, fields=frozenset({"path"})
        )
        self.ready: Deferred[Mapping[str, str | bytes]] = Deferred()
        self.let_go_of = False
        self.failure: ExchangeFailed | None = None

    async def answer(self) -> Mapping[str, str | bytes]:
        return await self.ready

    def let_go(self) -> None:
        self.let_go_of = True

    def over(self, failure: ExchangeFailed) -> None:
        self.failure = failure


class AskingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sink = Asking()

    def complete(self) -> Deferred[Mapping[str, str | bytes]]:
        return Deferred.fromCoroutine(self.sink.complete({}))

    def failed(self, waiting: Deferred[Mapping[str, str | bytes]]) -> ExchangeFailed:
        failure = self.failureResultOf(waiting, ExchangeFailed).value
        assert isinstance(failure, ExchangeFailed)
        return failure

    def test_answered(self) -> None:
        """Boxes that are cut anywhere are gathered, and answered when all of them are here."""
        verifyObject(IConsumer, self.sink)
        data = encode_box({"path": "a"}) + encode_box({"path": "b"})
        for at in range(len(data)):
            self.sink.write(data[at : at + 1])
        completing = self.complete()
        self.assertEqual([b"a", b"b"], [box["path"] for box in self.sink.boxes])
        self.assertNoResult(completing)
        self.sink.ready.callback({"entries": "2"})
        self.assertEqual({"entries": "2"}, self.successResultOf(completing))

    def test_nonsense(self) -> None:
        """What is no box, or a request that ends within one, is corrupt; too much of it is refused."""
        for data in (b"\xff" * 9, encode_box({"path": "a"})[:-1]):
            self.sink = Asking()
            self.sink.write(data)
            self.assertIs(Outcome.CORRUPT, self.failed(self.complete()).outcome)
        self.sink = Asking()
        self.sink.write(encode_box({"path": "a"}) * 3)
        refused = self.failed(self.complete())
        self.assertEqual((Outcome.REFUSED, "more than 2 things are asked for at once"), (refused.outcome, str(refused)))
        self.assertRaises(ExchangeFailed, Asking().write, bytes(ASKED_BYTES + 1))

    def test_fields(self) -> None:
        """Of a box only the fields that are of use are kept."""
        self.sink.write(encode_box({"path": "a", "more": "b"}))
        self.complete()
        self.assertEqual([{"path": b"a"}], self.sink.boxes)

    def test_own_disk(self) -> None:
        """What this machine can't read is refused, with the reason and who says it."""
        completing = self.complete()
        self.sink.ready.errback(LocalFileError("films: Permission denied"))
        failure = self.failed(completing)
        self.assertEqual(
            (Outcome.REFUSED, "m4.m can't send it: films: Permission denied"), (failure.outcome, str(failure))
        )

    def test_broken(self) -> None:
        """When the exchange breaks, the answer is given up, what is open is closed, and the reason is told."""
        completing = self.complete()
        self.sink.reply.failure = ExchangeFailed(Outcome.TIMEOUT, "nothing moved for 60 s")
        self.sink.abandon()
        self.assertIs(self.sink.reply.failure, self.failed(completing))
        self.assertEqual((True, self.sink.reply.failure), (self.sink.let_go_of, self.sink.failure))

    def test_cannot_let_go(self) -> None:
        """What can't be closed is logged, and the request is over all the same."""
        self.patch(self.sink, "let_go", lambda: os.close(-1))
        self.sink.abandon()
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))
        self.assertIsNotNone(self.sink.failure)

    def test_before_the_answer(self) -> None:
        """A request that breaks off before it is whole is over as well."""
        self.sink.abandon()
        assert self.sink.failure is not None
        self.assertEqual((True, Outcome.RESET), (self.sink.let_go_of, self.sink.failure.outcome))
