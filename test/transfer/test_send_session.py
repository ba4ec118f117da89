"""Whole sessions that send: what is here is there afterwards, and both sides know what became of it."""

from __future__ import annotations

import os

from p2p.base.errors import Outcome
from p2p.base.rates import Pace
from p2p.exchange.rules import Names, Offer
from p2p.transfer.records import Have
from p2p.transfer.send_session import send_request
from p2p.transfer.tree import CHUNK
from p2p.transfer.walking import Totals
from test.transfer.sessions import ID, SessionCase, tree
from test.transfer.sources import Link, Spec, make, pattern


class SendTests(SessionCase):
    """Everything goes well."""

    def test_a_folder(self) -> None:
        """A folder goes across with all that is in it; each entry gets its receipt, and both sides the totals."""
        inside: Spec = {"link": Link("../a.txt"), "film": pattern(3 * CHUNK + 5)}
        make(self.here, {"box": {"a.txt": b"hello", "empty": b"", "in": inside, "nothing": {}}})
        os.utime(self.here / "box" / "a.txt", ns=(1, 10**18 + 7))
        (self.here / "box" / "a.txt").chmod(0o640)
        session = self.sending(self.engine("box"))
        result = self.successResultOf(
            self.run_session(session, send_request(ID, "box", type="video", entries=7, bytes=9))
        )
        self.assertEqual(tree(self.here), tree(self.there))
        status = (self.there / "box" / "a.txt").stat()
        self.assertEqual((10**18 + 7, 0o640), (status.st_mtime_ns, status.st_mode & 0o777))
        size = 3 * CHUNK + 10
        self.assertEqual(Totals(7, size), session.totals)
        self.assertEqual(("7", str(size), "0"), tuple(result.tail[key] for key in ("entries", "bytes", "refused")))
        self.assertEqual({*tree(self.here)}, {receipt.path for receipt in self.told.receipts})
        self.assertEqual({"ok"}, set(self.told.outcomes().values()))
        self.assertEqual(([Have()], (7, size)), (self.told.haves, self.told.progress[-1]))
        self.assertEqual([Offer("n1.n", "transfer", "video", "box", 9, 7, ID, Names(("box",), 1))], self.host.offers)
        (journal,) = self.host.sessions
        self.assertEqual([(Outcome.OK, "", 7, size)], journal.ends)
        self.assertEqual((7, size), journal.told[-1])
        self.assert_clean()

    def test_many_small_files(self) -> None:
        """A thousand small files take no round trip each: their receipts come in a few pieces."""
        make(self.here, {"box": {f"{number:04}": b"%d" % number for number in range(1000)}})
        self.successResultOf(self.send("box"))
        self.assertEqual(tree(self.here), tree(self.there))
        self.assertEqual(1001, len(self.told.receipts))
        self.assertLess(self.near_link.received_bytes, 200_000)

    def test_stream(self) -> None:
        """What comes from a pipe has no known size, and arrives while it comes."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        os.write(write, b"some text")
        os.close(write)
        from p2p.transfer.sending import SendingEngine, SourceRoot

        session = self.sending(SendingEngine([SourceRoot(name="x.tar", stream=read)]))
        self.successResultOf(self.run_session(session, send_request(ID, "x.tar")))
        self.assertEqual({"x.tar": b"some text"}, tree(self.there))
        self.assertIsNone(self.host.offers[0].bytes)

    def test_given_up(self) -> None:
        """What can't be sent is told with its reason, and all else arrives."""
        make(self.here, {"box": {"a": b"a"}})
        os.mkfifo(self.here / "box" / "pipe")
        result = self.successResultOf(self.send("box"))
        self.assertEqual({"box": None, "box/a": b"a"}, tree(self.there))
        self.assertEqual("refused", self.told.outcomes()["box/pipe"])
        self.assertEqual("1", result.tail["refused"])

    def test_large_memory(self) -> None:
        """However large it is, only a few batches are read ahead of what the stream takes."""
        with (self.here / "sparse").open("wb") as file:
            file.truncate(200 * CHUNK)
        self.far_threads.held = True
        self.assertNoResult(self.send("sparse"))
        self.far_threads.work(2)  # the engine is made, and says what it has
        self.network.settle()
        self.assertLess(self.near_link.sent_bytes, 40 * CHUNK)
        self.far_threads.release()

    def test_progress_as_it_comes(self) -> None:
        """The sender is told how much is verified, not how much left."""
        (self.here / "film").write_bytes(pattern(5 * CHUNK))
        engine = self.engine("film")
        running = self.run_session(self.sending(engine, pace=Pace(CHUNK, 0.0)), send_request(ID, "film"))
        for seconds in range(1, 5):
            self.network.advance(1.0)
            self.assertGreaterEqual(self.told.progress[-1][1], (seconds - 1) * CHUNK)
            self.assertLessEqual(self.told.progress[-1][1], (seconds + 1) * CHUNK)
        self.network.advance(2.0)
        self.successResultOf(running)
        self.assert_clean()

    def test_names(self) -> None:
        """Names that aren't UTF-8 go as they are; what is shown of them is text."""
        name = b"caf\xe9".decode("utf-8", "surrogateescape")
        (self.here / name).write_bytes(b"1")
        self.successResultOf(self.send(name))
        self.assertEqual({name: b"1"}, tree(self.there))
        self.assertEqual(name, self.told.receipts[0].path)
        self.assertTrue(self.host.offers[0].name.isprintable())
