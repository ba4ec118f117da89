"""Whole sessions that get what another peer shares."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome
from p2p.exchange.rules import Names, Offer
from p2p.transfer.answers import Asked
from p2p.transfer.records import Have
from p2p.transfer.send_session import GetSession, fetch_request
from p2p.transfer.streaming import PipeReceiver
from p2p.transfer.tree import CHUNK
from p2p.transfer.walking import Totals
from test.descriptors import open_files
from test.transfer.sessions import ID, SharingCase, tree


class GetTests(SharingCase):
    """What is shared gets here."""

    def test_all(self) -> None:
        """Things asked for at once arrive under their names, each entry is told, and both sides know the sum."""
        session = self.getting("films", "notes")
        self.successResultOf(self.run_session(session, fetch_request(ID)))
        (self.shared / "secret").unlink()
        self.assertEqual(tree(self.shared), tree(self.here))
        size = 6 * CHUNK + 18
        self.assertEqual(Totals(8, size), session.totals)
        self.assertEqual({*tree(self.here)}, set(self.told.outcomes()))
        self.assertEqual(([Have()], (8, size)), (self.told.haves, self.told.progress[-1]))
        self.assertEqual([Offer("n1.n", "fetch")], self.host.offers)
        (journal,) = self.host.sessions
        self.assertEqual(Offer("n1.n", "fetch", name="films", id=ID, names=Names.of(["films", "notes"])), journal.offer)
        self.assertEqual([(Outcome.OK, "", 8, size)], journal.ends)
        self.assertEqual([], [path.name for path in (self.folder / "there.state" / "served").iterdir()])
        self.assert_clean()

    def test_own_refusal(self) -> None:
        """What this machine refuses is an error of its own files, not of the other one; all else stays as it is."""
        session = self.getting("films")
        for outcome, kind in ((Outcome.REFUSED, LocalFileError), (Outcome.CORRUPT, ExchangeFailed)):

            def refuse(outcome: Outcome = outcome) -> Have:
                raise ExchangeFailed(outcome, "why")

            self.patch(session.receiver, "have", refuse)
            self.assertRaises(kind, session._ask)

    def test_within(self) -> None:
        """A thing within a share comes under its own name."""
        self.successResultOf(self.get("films/in"))
        self.assertEqual({"in": None, "in/link": "none", "in/none": None}, tree(self.here))

    def test_links(self) -> None:
        """Who doesn't want links gets everything else, and is told."""
        result = self.successResultOf(self.get("films/in", links="refuse"))
        self.assertEqual({"in": None, "in/none": None}, tree(self.here))
        self.assertEqual(("refused", "1"), (self.told.outcomes()["in/link"], result.tail["refused"]))

    def test_resume(self) -> None:
        """After a broken link it goes on from what was verified, without hashing or sending that again."""
        running = self.run_session(self.getting("films"), fetch_request(ID, limit=CHUNK))
        self.network.advance(4.0)
        self.near_link.abort("broken by the test")
        self.network.settle()
        self.failed(running, Outcome.RESET)
        self.assertEqual([], open_files(self.folder))
        (journal,) = self.host.sessions
        self.assertEqual([Outcome.RESET], [end[0] for end in journal.ends])
        self.assertGreater(journal.told[-1][1], CHUNK)
        self.connect()
        self.successResultOf(self.get("films"))
        have = self.told.haves[-1]
        self.assertGreaterEqual(have.offset, 2 * CHUNK)
        self.assertLess(self.far_link.sent_bytes, 7 * CHUNK - have.offset)
        self.assertEqual(tree(self.shared / "films"), tree(self.here / "films"))
        self.assert_clean()

    def test_sealed(self) -> None:
        """Who keeps a journal is called when everything has its name, before the receiver forgets it."""
        seen: list[bool] = []
        work = self.here / f".p2p-{ID}"
        session = self.getting("notes", sealed=lambda: seen.append(work.exists() and (self.here / "notes").exists()))
        self.successResultOf(self.run_session(session, fetch_request(ID)))
        self.assertEqual(([True], False), (seen, work.exists()))

    def test_to_a_pipe(self) -> None:
        """A file may go to a pipe, and nothing of it to the disk."""
        asked = Asked(["notes"])
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        session = GetSession(PipeReceiver(asked, write), asked, self.near_threads, self.network, self.told)
        self.successResultOf(self.run_session(session, fetch_request(ID)))
        os.close(write)
        self.assertEqual((b"text", {}), (os.read(read, 100), tree(self.here)))
        self.assertEqual(Totals(1, 4), session.totals)
        self.assert_clean()

    def test_limit(self) -> None:
        """A limit is kept by the side that sends."""
        running = self.get("films", limit=CHUNK)
        for _ in range(5):
            self.network.advance(1.0)
            self.assertNoResult(running)
        self.network.advance(1.5)
        self.successResultOf(running)
        self.assert_clean()

    def test_slow_reader(self) -> None:
        """Who is told of entries may be slow: then no more are taken, and none is lost."""
        self.told.room = Deferred()
        running = self.get("films")
        self.assertNoResult(running)
        room, self.told.room = self.told.room, None
        room.callback(None)
        self.network.settle()
        self.successResultOf(running)
        self.assertEqual(7, len(self.told.receipts))
        self.assert_clean()
