"""Sessions whose other side does what it mustn't."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome
from p2p.base.rates import Pace
from p2p.exchange import threaded
from p2p.exchange.service import Services
from p2p.link import flow
from p2p.link.boxes import encode_box
from p2p.transfer import answers, production, receiving_service
from p2p.transfer.answers import Asked
from p2p.transfer.listing import ListSession
from p2p.transfer.notes import local_id
from p2p.transfer.receiving import ReceivingEngine
from p2p.transfer.records import Buffer, Have, Receipt, encode_end, encode_entry
from p2p.transfer.reports import Began, encode_have, encode_progress, encode_receipts
from p2p.transfer.send_session import GetSession, fetch_request, send_request
from p2p.transfer.streaming import PipeReceiver
from p2p.transfer.tree import CHUNK
from test.descriptors import open_files
from test.transfer.arrivals import end, file, folder, gave_up, link
from test.transfer.lying import LyingService
from test.transfer.sessions import ID, SessionCase, tree
from test.transfer.sources import make, pattern

LOCAL = local_id("n1.n", ID)


class Spoiled:
    """An engine whose buffers a test changes on their way.

    :ivar change: is shown each batch, and returns what goes instead.
    """

    def __init__(self, engine: Any, change: Any) -> None:
        self._engine = engine
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def next(self, max_bytes: int) -> list[Buffer]:
        found: list[Buffer] = self._change(self._engine.next(max_bytes))
        return found


class BadSenderTests(SessionCase):
    """A sender that lies, or sends rubbish, harms itself."""

    def setUp(self) -> None:
        """Have something to send."""
        super().setUp()
        make(self.here, {"box": {"a": b"small", "film": pattern(4 * CHUNK + 5)}})

    def spoil(self, change: Any) -> Deferred[Any]:
        """Send the folder with something changed on its way."""
        engine = Spoiled(self.engine("box"), change)
        return self.run_session(self.sending(engine), send_request(ID, "box"))

    def test_corrupt_chunk(self) -> None:
        """A chunk with a wrong byte is caught as it arrives: the file and the chunk are named, the rest stays out."""
        self.patch(production, "BATCH", CHUNK)
        count = 0

        def change(buffers: Sequence[Buffer]) -> list[Buffer]:
            nonlocal count
            count += 1
            if count != 4:
                return list(buffers)
            spoiled = bytearray(buffers[-1])
            spoiled[-7] ^= 1
            return [*buffers[:-1], bytes(spoiled)]

        reason = self.failed(self.spoil(change), Outcome.CORRUPT)
        self.assertIn("film", reason)
        self.assertNotIn("box/film", tree(self.there))
        self.assert_clean()

    def test_rubbish(self) -> None:
        """What are no records at all ends the exchange, as corrupt."""
        self.failed(self.spoil(lambda buffers: [b"\xff" * len(b"".join(buffers))] if buffers else []), Outcome.CORRUPT)
        self.assert_clean()

    def test_end_missing(self) -> None:
        """A body without its end is truncated, and isn't remembered as complete."""
        self.failed(self.spoil(lambda buffers: []), Outcome.RESET)
        engine = self.engine("box")
        spoiled = Spoiled(engine, lambda buffers: [])
        spoiled.ended = True  # type: ignore[attr-defined]  # it says that it has given out everything
        self.failed(self.run_session(self.sending(spoiled), send_request(ID, "box")), Outcome.TRUNCATED)
        self.assertFalse((self.folder / "there.state").exists())
        self.assert_clean()

    def test_lying_size(self) -> None:
        """A file of another size than was said isn't taken."""

        def change(buffers: Sequence[Buffer]) -> list[Buffer]:
            return [bytes(buffer).replace(b"\0\x04size\0\x015", b"\0\x04size\0\x019") for buffer in buffers]

        self.assertIn(
            self.failureResultOf(self.spoil(change), ExchangeFailed).value.outcome, (Outcome.CORRUPT, Outcome.TRUNCATED)
        )
        self.assertNotIn("box/a", tree(self.there))
        self.assert_clean()

    def test_way_out(self) -> None:
        """A path that leads out of the folder isn't taken, and nothing is outside."""
        from p2p.transfer.records import Entry, Kind

        evil = [*encode_entry(Entry("../evil", Kind.FOLDER, 0o755, 0)), *encode_end(1, 0)]
        once = [evil]
        engine = Spoiled(self.engine("box"), lambda buffers: once.pop() if once else [])
        engine.ended = True  # type: ignore[attr-defined]  # it says that it has given out everything
        self.run_session(self.sending(engine), send_request(ID, "box")).addErrback(lambda failure: None)
        self.assertEqual(
            {"here", "there", "out", "there.state"},
            {path.name for path in self.folder.iterdir()} | {"out", "there.state"},
        )

    def test_after_the_end(self) -> None:
        """Records for a transfer that is complete are refused."""
        self.successResultOf(self.send("box"))
        session = self.sending(self.engine("box"), resume=True)
        told = session._began

        def deceived(began: Began) -> None:
            told(Began(Have(), done=False))

        session._began = deceived  # type: ignore[method-assign]  # it sends all the same
        self.failed(self.run_session(session, send_request(ID, "box", resume=True)), Outcome.CORRUPT)
        self.assertEqual(tree(self.here), tree(self.there))
        self.assert_clean()


class BadReceiverTests(SessionCase):
    """What goes wrong at the receiving side is told, and what goes wrong here ends it there."""

    def setUp(self) -> None:
        """Have something to send."""
        super().setUp()
        (self.here / "film").write_bytes(pattern(6 * CHUNK))
        self.most = 0

    def room(self, size: int, entries: int = 0) -> None:
        self.most -= size
        if self.most < 0:
            raise ExchangeFailed(Outcome.REFUSED, "the inbox of m4.m is full")

    def test_no_room(self) -> None:
        """A receiver without room for more says so at that chunk, and keeps what it has."""
        self.most = 3 * CHUNK
        self.host.room = self.room
        self.assertEqual("the inbox of m4.m is full", self.failed(self.send("film"), Outcome.REFUSED))
        self.assert_clean()
        self.host.room = lambda size, entries=0: None
        self.successResultOf(self.send("film", resume=True))
        self.assertEqual(3 * CHUNK, self.told.haves[-1].offset)
        self.assertEqual(tree(self.here), tree(self.there))

    def test_own_disk(self) -> None:
        """An engine that can't go on here resets the stream, and the receiver keeps what it has."""

        def change(buffers: Sequence[Buffer]) -> list[Buffer]:
            raise LocalFileError("the state can't be kept")

        running = self.run_session(self.sending(Spoiled(self.engine("film"), change)), send_request(ID, "film"))
        self.failureResultOf(running, LocalFileError)
        self.network.settle()
        self.assert_clean()

    def test_paused(self) -> None:
        """A receiver whose disk stands still pauses the stream; it goes on when the disk does."""
        self.far_threads.held = True
        running = self.send("film")
        self.far_threads.work(3)
        self.network.settle()
        sent = self.near_link.sent_bytes
        self.network.advance(20.0)
        self.assertLess(self.near_link.sent_bytes, sent + 10000)
        self.assertNoResult(running)
        while not running.called:
            self.far_threads.work(1)
            self.network.settle()
        self.successResultOf(running)
        self.assertEqual(tree(self.here), tree(self.there))

    def test_slow_disk(self) -> None:
        """A disk that takes a minute for something isn't taken for a link that is gone."""
        self.far_threads.held = True
        running = self.send("film")
        self.far_threads.work(3)
        self.network.advance(70.0)
        self.assertNoResult(running)
        self.far_threads.release()
        self.network.settle()
        self.successResultOf(running)
        self.assert_clean()

    def test_slow_reader(self) -> None:
        """Who is told of entries may be slow: then no more are taken, and none is lost."""
        make(self.here, {"box": {f"{number:04}": b"" for number in range(3000)}})
        self.told.room = Deferred()
        running = self.send("box")
        self.assertNoResult(running)
        self.assertLess(len(self.told.receipts), 3001)
        room, self.told.room = self.told.room, None
        room.callback(None)
        self.network.settle()
        self.successResultOf(running)
        self.assertEqual(3001, len(self.told.receipts))
        self.assert_clean()

    def test_unread_reports(self) -> None:
        """A sender that reads no reports is paused, so that they don't gather in the receiver's memory."""
        make(self.here, {"box": {f"{number:0200}": b"" for number in range(3000)}})
        self.patch(flow, "HIGH_WATER", 65536)
        self.patch(threaded, "BATCH", 32768)
        self.patch(threaded, "HIGH_WATER", 32768)
        session = self.deaf(self.sending(self.engine("box")))
        running = self.run_session(session, send_request(ID, "box"))
        self.assertNoResult(running)
        self.assertLess(len(list((self.there / "box").iterdir())), 3000)
        self.stream.resumeProducing()
        self.network.settle()
        self.successResultOf(running)
        self.assertEqual(3001, len(self.told.receipts))
        self.assert_clean()

    def test_nonsense(self) -> None:
        """A reply that makes no sense is corrupt."""
        for write, tail in (
            (b"rubbish" * 9999, {}),
            (b"", {"entries": "1", "bytes": "1"}),
            (encode_box({"have": "1"}), {"entries": "1"}),
            (encode_box({"have": "1"}), {"entries": "x", "bytes": "1"}),
            (encode_box({"have": "1"}), {"entries": "1", "bytes": "1"}),
            (encode_box({"have": "1"}) + b"\0", {"entries": "0", "bytes": "0"}),
            (encode_have(Have()) + encode_receipts([Receipt("film", "film")]), {}),
            (encode_have(Have()) + encode_progress(1, 0), {}),
        ):
            session = self.sending(self.engine("film"))
            sink = session.sink()

            async def reply(write: bytes = write, tail: Any = tail, sink: Any = sink) -> None:
                sink.registerProducer(None, True)
                sink.write(write)
                sink.unregisterProducer()
                await sink.complete({key: value.encode() for key, value in tail.items()})

            self.failed(Deferred.fromCoroutine(reply()), Outcome.CORRUPT)
            self.successResultOf(Deferred.fromCoroutine(session.release()))

    def test_lying_receipts(self) -> None:
        """A receiver that reports something else than was sent to it, or less, isn't believed."""
        make(self.here, {"box": {"a": b"small", "b": b"second"}})
        root = "ab" * 32
        for lie in (
            lambda receipts: [*receipts, *receipts],
            lambda receipts: receipts[:-1],
            lambda receipts: [Receipt(each.path, each.name, each.size, each.root and root) for each in receipts],
            lambda receipts: [Receipt(each.path, f"../{each.path}", each.size, each.root) for each in receipts],
            lambda receipts: [*receipts, Receipt(".bash_profile", ".bash_profile", 1, root)],
        ):
            self.patch(receiving_service, "encode_receipts", lambda receipts, lie=lie: encode_receipts(lie(receipts)))
            self.failed(self.send("box"), Outcome.CORRUPT)
            self.assert_clean()
            for path in (self.there / "box").iterdir():
                path.unlink()
            (self.there / "box").rmdir()
            (self.folder / "there.state" / "ended" / LOCAL).unlink(missing_ok=True)

    def test_lying_have(self) -> None:
        """A receiver that says it has what isn't of this transfer isn't believed, at either end."""
        for have in (Have(".bash_profile", None, 0, 1, 1), Have(entries=3), Have(None, "film")):
            self.patch(receiving_service, "encode_have", lambda _, done, have=have: encode_have(have, done=done))
            self.failed(self.send("film", resume=True), Outcome.CORRUPT)
            self.assert_clean()

    def test_no_receipts(self) -> None:
        """While a receiver says nothing of what it was given, no more of it is read."""
        make(self.here, {"box": {f"{number:04}": b"" for number in range(3000)}})
        self.patch(answers, "MOST_UNREPORTED", 300)
        self.patch(production, "BATCH", 4096)
        engine = self.engine("box")
        session = self.deaf(self.sending(engine))
        running = self.run_session(session, send_request(ID, "box"))
        self.assertNoResult(running)
        self.assertLess(engine.done_entries, 500)
        self.stream.resumeProducing()
        while not running.called:
            self.network.advance(1.0)
        self.successResultOf(running)
        self.assertEqual(3001, len(self.told.receipts))
        self.assert_clean()

    def test_cancelled(self) -> None:
        """A session that is cancelled lets its thread end before it lets go of the engine."""
        self.near_threads.held = True
        running = self.send("film")
        self.near_threads.work(2)
        self.network.settle()
        self.assertEqual(1, len(self.near_threads.waiting))
        running.cancel()
        self.network.settle()
        self.assertNoResult(running)
        self.near_threads.release()
        self.network.settle()
        self.failureResultOf(running)
        self.assert_clean()

    def test_pace(self) -> None:
        """With a limit, no second brings more than it allows; meanwhile the session is excused."""
        engine = self.engine("film")
        session = self.sending(engine, pace=Pace(CHUNK, self.network.seconds()))
        running = self.run_session(session, send_request(ID, "film"))
        self.assertTrue(session.excused)
        sent = []
        while not running.called:
            before = self.near_link.sent_bytes
            self.network.advance(1.0)
            sent.append(self.near_link.sent_bytes - before)
        self.assertLessEqual(max(sent), 1.3 * CHUNK)
        self.assertIn(len(sent), (6, 7))
        self.assertFalse(session.excused)
        self.successResultOf(running)
        self.assert_clean()


class LyingServerTests(SessionCase):
    """A peer that answers with something else than it was asked for gets nothing of that in here."""

    def setUp(self) -> None:
        """Have something here that is worth writing over."""
        super().setUp()
        make(self.here, {".bash_profile": b"mine", "a.txt": b"mine"})
        self.before = tree(self.here)
        self.fetch = LyingService("fetch")
        self.services = Services([self.fetch])

    def unasked(self, *answer: Sequence[Buffer], asked: Sequence[str] = ("share/a.txt",)) -> str:
        """This answer is corrupt, and changes nothing of what is here."""
        self.fetch.answer = answer
        reason = self.failed(self.get(*asked), Outcome.CORRUPT)
        self.assertEqual(self.before, _named(tree(self.here)))
        self.assert_clean()
        return reason

    def test_names(self) -> None:
        """Names that nobody asked for aren't taken, whatever is under them, nor what comes with them."""
        for answer in (
            [file(".bash_profile", b"evil"), file("a.txt", b"good"), end(2, 8)],
            [folder(".ssh"), file(".ssh/authorized_keys", b"evil"), end(2, 4)],
            [link(".bashrc", "a.txt"), end(1)],
            [gave_up(".bash_profile"), end(1)],
            [file("share/a.txt", b"evil"), end(1, 4)],
        ):
            self.assertIn("wasn't asked for", self.unasked(*answer))

    def test_behind_what_was_asked_for(self) -> None:
        """What comes before is as it should be and stays; what isn't asked for ends it."""
        self.fetch.answer = (file("b", b"good"), file(".profile", b"evil"), end(2, 8))
        self.assertIn("'.profile' came, which wasn't asked for", self.failed(self.get("share/b"), Outcome.CORRUPT))
        self.assertEqual({**self.before, "b": b"good"}, _named(tree(self.here)))
        self.assert_clean()

    def test_count(self) -> None:
        """What was asked for comes once, and all of it."""
        self.assertIn("nothing came", self.unasked(end(0)))
        self.fetch.answer = (file("b", b"good"), file("b", b"more"), end(2, 8))
        self.assertIn("twice", self.failed(self.get("share/b", "c"), Outcome.CORRUPT))
        self.fetch.answer = (file("c", b"good"), end(2, 4))  # behind "b", which is here
        self.successResultOf(self.get("share/b", "c"))
        self.assertEqual({**self.before, "b": b"good", "c": b"good"}, _named(tree(self.here)))

    def test_links(self) -> None:
        """A link at the top that leads to what wasn't asked for is left out, all else comes."""
        self.fetch.answer = (link("l", ".bash_profile"), folder("d"), link("d/m", "n"), link("k", "d"), end(4))
        self.successResultOf(self.get("s/l", "s/d", "k"))
        self.assertEqual({"l": "refused", "d": "ok", "d/m": "ok", "k": "ok"}, self.told.outcomes())

    def test_pipe(self) -> None:
        """Not a byte of another file goes to a pipe."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        asked = Asked(["share/a.txt"])
        self.fetch.answer = (file("b.txt", b"evil"), end(1, 4))
        session = GetSession(PipeReceiver(asked, write), asked, self.near_threads, self.network, self.told)
        self.failed(self.run_session(session, fetch_request(ID)), Outcome.CORRUPT)
        os.close(write)
        self.assertEqual(b"", os.read(read, 9))

    def test_foreign_start(self) -> None:
        """What an earlier session took that wasn't asked for is no start to go on from."""
        earlier = ReceivingEngine(self.here, ID)
        earlier.have()
        earlier.feed(file(".profile", b"evil"))
        earlier.suspend()
        failure = self.failureResultOf(self.get("share/b"), LocalFileError).value
        self.assertIn("p2p transfers --cancel", str(failure))
        self.assertEqual([], open_files(self.folder))

    def test_lists(self) -> None:
        """A list has names in it, each once, and is whole."""
        entry = {"kind": "file", "size": "1", "mtime": "1"}
        for body in (
            encode_box({"name": "../a", **entry}),
            encode_box({"name": "a", **entry}) * 2,
            encode_box({"name": "a", **entry})[:-2],
        ):
            self.services = Services([LyingService("list", [body])])
            session = ListSession("films")
            self.failed(self.run_session(session, session.request), Outcome.CORRUPT)
            self.assert_clean()


def _named(found: dict[str, Any]) -> dict[str, Any]:
    return {path: what for path, what in found.items() if ".p2p-" not in path}
