"""The operation ``exchange`` of a peer daemon's console: what comes back, and what goes wrong."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3
from twisted.internet.defer import CancelledError, Deferred, succeed

from p2p.base.errors import ExchangeFailed, InvalidRequest, LocalFileError, Outcome
from p2p.peer.console import PROGRESS_S
from test.peer.consoles import SECOND, ConsoleCase, raiser
from test.peer.pair import M4, N1


class ExchangeTests(ConsoleCase):
    """``exchange``."""

    def setUp(self) -> None:
        """Make a file as well."""
        super().setUp()
        self.content = bytes(range(256)) * 10_000
        self.path = Path(self.mktemp()).absolute()
        self.path.write_bytes(self.content)

    def texts(self) -> str:
        """The text that was emitted."""
        return "".join(fields["text"] for event, fields in self.events if event == "text")

    def failed_with(self, asking: Deferred[Any], outcome: Outcome) -> ExchangeFailed:
        """An exchange that failed, which tells when it was planned, when it ended and what was sent."""
        failure = self.failureResultOf(asking, ExchangeFailed).value
        assert isinstance(failure, ExchangeFailed)
        self.assertEqual(outcome, failure.outcome, str(failure))
        self.assertLessEqual({"planned_ns", "end_ns", "bytes"}, set(failure.fields))
        return failure

    def test_text(self) -> None:
        """A text goes and its reply comes, as text events if it shall be shown."""
        self.pair.network.advance(1)
        answer = self.answer("exchange", peer="m4.m", service="uppercase", text="größe", show="text")
        self.assertEqual("GRÖSSE", self.texts())
        sent, came = "größe".encode(), "GRÖSSE".encode()
        self.assertEqual(
            {
                "peer": "m4.m",
                "service": "uppercase",
                "type": "text",
                "name": "",
                "outcome": "ok",
                "bytes": len(sent),
                "digest": blake3(sent).hexdigest(),
                "reply_bytes": len(came),
                "reply_digest": blake3(came).hexdigest(),
                "receipt": None,
                "said": {},
                "planned_ns": SECOND,
                "first_byte_ns": SECOND,
                "end_ns": SECOND,
            },
            answer,
        )

    def test_digest_alone(self) -> None:
        """A reply that needn't be shown is told by its digest alone."""
        answer = self.answer("exchange", peer="m4.m", service="echo", text="hello", show="digest")
        self.assertEqual(([], answer["digest"]), (self.events, answer["reply_digest"]))

    def test_base64(self) -> None:
        """A reply that isn't text comes in a form that is, however it is cut; what the service said comes with it."""
        for data in (bytes(range(256)) * 400, b"a", b""):
            self.events.clear()
            self.path.write_bytes(data)
            answer = self.answer("exchange", peer="m4.m", service="echo", path=str(self.path), show="base64")
            self.assertEqual(data, base64.b64decode(self.texts(), validate=True))
            self.assertEqual({}, answer["said"])

    def test_text_across_cuts(self) -> None:
        """The reply is shown as the text that it is, however it is cut, and what isn't text is shown as such."""
        text = "ä€𐐨" * 30_000
        self.answer("exchange", peer="m4.m", service="echo", text=text, show="text")
        self.assertEqual(text, self.texts())
        self.assertGreater(len(self.events), 1)
        self.events.clear()
        self.path.write_bytes(b"\xff\xe2\x82")
        self.answer("exchange", peer="m4.m", service="echo", path=str(self.path), show="text")
        self.assertEqual("\N{REPLACEMENT CHARACTER}" * 2, self.texts())

    def test_store(self) -> None:
        """A file is stored, and the receipt of the other side compared with what was sent."""
        answer = self.answer("exchange", peer="m4.m", service="store", type="data", name="a.bin", path=str(self.path))
        digest = blake3(self.content).hexdigest()
        self.assertEqual(
            {"name": "a.bin", "size": len(self.content), "digest": digest, "received_s": 0.0}, answer["receipt"]
        )
        self.assertEqual((digest, len(self.content)), (answer["digest"], answer["bytes"]))

    def test_empty_file(self) -> None:
        """An empty file is stored as well."""
        self.path.write_bytes(b"")
        answer = self.answer("exchange", peer="m4.m", service="store", name="empty", path=str(self.path))
        self.assertEqual((0, 0), (answer["bytes"], answer["receipt"]["size"]))

    def test_wrong_receipts(self) -> None:
        """A receipt of something else, one that makes no sense, and none where there must be one, are corrupt."""
        digest = blake3(b"x").hexdigest()
        good = {"name": "a", "size": "1", "digest": digest, "received_s": "0.5"}
        for receipt, word in (
            ({**good, "digest": "0" * 64}, "stored something else"),
            ({**good, "size": "2"}, "stored something else"),
            ({**good, "size": "many"}, "makes no sense"),
            ({**good, "received_s": "soon"}, "makes no sense"),
            ({**good, "received_s": "nan"}, "makes no sense"),
            ({**good, "name": "../../etc/passwd"}, "makes no sense"),
            ({**good, "name": ".."}, "makes no sense"),
            ({key: value for key, value in good.items() if key != "name"}, "makes no sense"),
            ({}, "makes no sense"),
        ):
            service = _Stub(receipt)
            patched = self.patch(self.pair.m4._around.services, "receive", service.receive)
            failure = self.failed_with(
                self.ask("exchange", peer="m4.m", service="store", name="a", text="x"), Outcome.CORRUPT
            )
            self.assertIn(word, str(failure))
            patched.restore()

    def test_failure(self) -> None:
        """A failed exchange tells its times and what was sent, whatever the reason."""
        self.pair.network.advance(2)
        failure = self.failed_with(self.ask("exchange", peer="m9.m", service="echo", text="x"), Outcome.UNKNOWN_PEER)
        self.assertEqual({"planned_ns": 2 * SECOND, "end_ns": 2 * SECOND, "bytes": 0}, failure.fields)
        asking = self.ask("exchange", peer="m4.m", service="nothing", path=str(self.path))
        failure = self.failed_with(asking, Outcome.REFUSED)
        self.assertLessEqual(failure.fields["bytes"], len(self.content))

    def test_bad_files(self) -> None:
        """A file that can't be used is told as a file of this machine."""
        for path, word in (
            ("relative", "isn't an absolute path"),
            ("/a\0b", "isn't an absolute path"),
            ("/nowhere/at/all", "No such file"),
            (str(self.path.parent), "isn't a regular file"),
            ("/" + "x" * 5000, "File name too long"),
        ):
            failure = self.failureResultOf(
                self.ask("exchange", peer="m4.m", service="store", name="a", path=path), LocalFileError
            ).value
            self.assertIn(word, str(failure))

    def test_bad_arguments(self) -> None:
        """What can't be sent at all is told before anything is sent: texts that are none, heads that are too long."""
        for wrong, word in (
            ({"text": "\ud800"}, "the text"),
            ({"name": "film\udcff.mp4"}, "the name"),
            ({"service": "\ud800"}, "the service"),
            ({"name": "x" * 70_000}, "at most 65536"),
            ({"service": "x" * 66_000}, "at most 65536"),
            ({"name": "x" * 65_535}, "at most 65536"),
        ):
            arguments: dict[str, Any] = {"peer": "m4.m", "service": "echo", "text": "x", **wrong}
            refusal = str(self.failureResultOf(self.ask("exchange", **arguments), InvalidRequest).value)
            self.assertIn(word, refusal)
            self.assertTrue(refusal.isprintable())
            self.assertLess(len(refusal), 300)
        bad: list[dict[str, Any]] = [
            {},
            {"text": "a", "path": "/b"},
            {"text": "a", "type": "?"},
            {"text": "a", "show": "?"},
        ]
        for more in bad:
            self.failureResultOf(self.ask("exchange", peer="m4.m", service="echo", **more), InvalidRequest)
        self.assertEqual([], self.pair.routers.asked)

    def test_progress(self) -> None:
        """Progress is told five times a second, and never more than there is."""
        self.pair.link()
        self.pair.network.pull(N1, M4)
        asking = self.ask("exchange", peer="m4.m", service="store", name="a", path=str(self.path))
        self.pair.network.advance(1.05)
        self.assertEqual(["progress"] * 5, [event for event, _ in self.events])
        for _, fields in self.events:
            self.assertEqual(len(self.content), fields["length"])
            self.assertLessEqual(fields["bytes"], len(self.content))
        self.pair.network.plug(N1, M4)
        self.pair.network.settle()
        self.successResultOf(asking)
        count = len(self.events)
        self.pair.network.advance(5)
        self.assertEqual(count, len(self.events))

    def test_progress_that_nobody_reads(self) -> None:
        """While the client doesn't read, no further progress is written for it, and the exchange goes on."""
        self.pair.link()
        self.pair.network.pull(N1, M4)
        self.room = Deferred()
        asking = self.ask("exchange", peer="m4.m", service="store", name="a", path=str(self.path))
        self.pair.network.advance(5)
        self.assertEqual(1, len(self.events))
        self.room.callback(None)
        self.pair.network.advance(PROGRESS_S)
        self.assertEqual(2, len(self.events))
        self.pair.network.plug(N1, M4)
        self.pair.network.settle()
        self.successResultOf(asking)

    def test_failing_progress(self) -> None:
        """Progress that can't be told is logged, and the exchange goes on."""
        self.pair.link()
        self.pair.network.pull(N1, M4)
        self.patch(self, "emit", raiser(ZeroDivisionError()))
        asking = self.ask("exchange", peer="m4.m", service="store", name="a", path=str(self.path))
        self.pair.network.advance(1)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.pair.network.plug(N1, M4)
        self.pair.network.settle()
        self.successResultOf(asking)

    def test_slow_client(self) -> None:
        """A reply is taken no faster than the client reads it, and the last of it isn't lost."""
        self.room = Deferred()
        text = "x" * 3_000_000
        asking = self.ask("exchange", peer="m4.m", service="echo", text=text, show="text")
        self.assertEqual(1, len(self.events))
        self.assertNoResult(asking)
        held, self.room = self.room, succeed(None)
        held.callback(None)
        self.pair.network.settle()
        self.successResultOf(asking)
        self.assertEqual(text, self.texts())
        self.pair.network.settle()
        self.assertEqual([0, 0], [link.stream_count for peer in self.pair.peers.values() for link in peer.connections])

    def test_slow_client_at_the_end(self) -> None:
        """A client that reads nothing holds neither the exchange nor its stream when everything has come."""
        self.room = Deferred()
        asking = self.ask("exchange", peer="m4.m", service="uppercase", text="hello", show="text")
        self.successResultOf(asking)
        self.pair.network.settle()
        self.assertEqual([0, 0], [link.stream_count for peer in self.pair.peers.values() for link in peer.connections])
        self.room.callback(None)

    def test_cancelled(self) -> None:
        """A client that goes away takes its exchange with it; the other side is told, and nothing is left."""
        self.patch(self.pair.m4._around.services, "receive", _Stub(None).receive)
        self.pair.link()
        asking = self.ask("exchange", peer="m4.m", service="store", name="a", path=str(self.path))
        self.assertNoResult(asking)
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.pair.network.settle()
        self.assert_nothing_left(self.pair)


class _Stub:
    """A service that takes a request and answers with these fields; with None it never does."""

    def __init__(self, fields: Mapping[str, str] | None) -> None:
        self._fields = fields

    def receive(self, *arguments: Any) -> Any:
        return self

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Nothing pauses."""

    def unregisterProducer(self) -> None:
        """Nothing paused."""

    def write(self, data: bytes | memoryview) -> None:
        """Nothing is kept."""

    async def complete(self, tail: Any) -> Mapping[str, str]:
        if self._fields is None:
            await Deferred()
        return self._fields or {}

    def abandon(self) -> None:
        """Nothing is undone."""
