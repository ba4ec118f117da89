"""Whole sessions that get what another peer shares, and lists of it."""

from __future__ import annotations

import errno
import os
from typing import Any

from twisted.internet.defer import Deferred

from p2p.base.errors import CancelledThere, ExchangeFailed, LocalFileError, Outcome
from p2p.exchange.rules import Names, Offer
from p2p.link.boxes import encode_box
from p2p.transfer import listing, production, shares, sharing_service
from p2p.transfer.answers import Asked
from p2p.transfer.listing import ListSession
from p2p.transfer.records import FAR_TIME, Have, Kind
from p2p.transfer.send_session import GetSession, fetch_request
from p2p.transfer.sending import SendingEngine
from p2p.transfer.shares import SharedEntry
from p2p.transfer.streaming import PipeReceiver
from p2p.transfer.tree import CHUNK
from p2p.transfer.walking import Totals
from test.descriptors import open_files
from test.transfer.sessions import ID, SessionCase, tree
from test.transfer.sources import Link, Spec, make, pattern


class SharingCase(SessionCase):
    """m4.m shares a folder and a file."""

    def setUp(self) -> None:
        """Make and share them."""
        super().setUp()
        self.shared = self.folder / "shared"
        films: Spec = {
            "a": b"small",
            "film": pattern(6 * CHUNK + 5),
            "in": {"link": Link("none"), "none": {}},
            "z": b"last",
        }
        make(self.shared, {"films": films, "notes": b"text", "secret": b"s"})
        self.host._shares.update({"films": self.shared / "films", "notes": self.shared / "notes"})


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


class RefusedTests(SharingCase):
    """What isn't to be had."""

    def test_not_shared(self) -> None:
        """What isn't shared, or isn't there, is refused before anything is sent."""
        for name in ("secret", "films/none", "films/../secret", "/etc/passwd"):
            self.failed(self.get(name, unchecked=True), Outcome.REFUSED)
        self.assertEqual(({}, []), (_visible(tree(self.here)), self.host.sessions))
        self.assert_clean()

    def test_not_allowed(self) -> None:
        """A peer may let nobody get anything."""
        self.host.refusal = ExchangeFailed(Outcome.REFUSED, "m4.m gives nothing to n1.n")
        self.assertEqual("m4.m gives nothing to n1.n", self.failed(self.get("notes"), Outcome.REFUSED))
        self.failed(self.run_session(ListSession(""), ListSession("").request), Outcome.REFUSED)
        self.assert_clean()

    def test_same_names(self) -> None:
        """Two things of one name can't be got at once."""
        make(self.shared / "films" / "in", {"a": b"other"})
        self.assertIn("two things", self.failed(self.get("films/a", "films/in/a", unchecked=True), Outcome.REFUSED))
        self.assert_clean()

    def test_requests(self) -> None:
        """A request with a bad id or limit, without names, or with too many, is refused."""
        self.failed(self.get("notes", limit=1000), Outcome.REFUSED)
        for request in (fetch_request("x"), fetch_request(ID)):
            object.__setattr__(request, "more", {**request.more, "limit": "-1"})
            self.failed(self.run_session(self.getting("notes"), request), Outcome.REFUSED)
        self.patch(sharing_service, "MAX_NAMES", 3)
        self.assertIn("more than 4", self.failed(self.get(*["notes"] * 4, unchecked=True), Outcome.REFUSED))
        self.failed(self.get(), Outcome.CORRUPT)
        self.assert_clean()

    def test_rubbish(self) -> None:
        """A body that isn't what it should be is corrupt."""
        for body in (
            b"\xff" * 99,
            encode_box({"path": "notes"}),
            encode_box({"have": "1"}) + b"\0\1",
            encode_box({"have": "1", "offset": "x"}),
        ):
            session = self.getting("notes")

            async def send(consumer: Any, body: bytes = body) -> dict[str, str]:
                consumer.write(body)
                return {}

            session.send = send  # type: ignore[method-assign]  # it sends rubbish
            self.failed(self.run_session(session, fetch_request(ID)), Outcome.CORRUPT)
        self.assert_clean()

    def test_own_disk(self) -> None:
        """What this machine's disk doesn't take is no refusal of the other side."""
        session = self.getting("films")

        def room(size: int) -> None:
            raise ExchangeFailed(Outcome.REFUSED, "the disk is full")

        session.receiver._room = room  # type: ignore[attr-defined]  # it has no room
        failure = self.failureResultOf(self.run_session(session, fetch_request(ID)), LocalFileError).value
        self.network.settle()
        self.assertEqual("the disk is full", str(failure))
        self.assert_clean()

    def test_own_words(self) -> None:
        """What is wrong with this machine's disk is told as that of this machine, not of "the receiver"."""
        for number, words in ((errno.ENOSPC, "the disk of this machine is full"), (errno.EROFS, "this machine can't")):
            session = self.getting("films")

            def full(size: int, number: int = number) -> None:
                raise OSError(number, "no")

            session.receiver._room = full  # type: ignore[attr-defined]  # its disk has none
            failure = self.failureResultOf(self.run_session(session, fetch_request(ID)), LocalFileError).value
            self.network.settle()
            self.assertIn(words, str(failure))

    def test_stopped_there(self) -> None:
        """The sharing side may end it, and tells why."""
        self.far_threads.held = True
        running = self.get("films")
        while not self.host.sessions:
            self.far_threads.work(1)
            self.network.settle()
        self.host.sessions[0].stop("m4.m gave it up")
        self.network.settle()
        self.far_threads.release()
        self.network.settle()
        self.assertEqual("m4.m gave it up", str(self.failureResultOf(running, CancelledThere).value))
        self.assertEqual([Outcome.REFUSED], [end[0] for end in self.host.sessions[0].ends])
        self.assert_clean()

    def test_leaving(self) -> None:
        """A side that gets and leaves lets go of everything at both ends, after the threads that are at work."""
        self.far_threads.held = self.near_threads.held = True
        running = self.get("films")
        for _ in range(4):
            self.near_threads.work(1)
            self.far_threads.work(1)
            self.network.settle()
        running.cancel()
        self.network.settle()
        self.near_threads.release()
        self.far_threads.release()
        self.failureResultOf(running)
        self.network.settle()
        self.assert_clean()

    def test_disk_there(self) -> None:
        """A sharing side whose disk fails says so."""
        self.patch(SendingEngine, "next", _failing)
        self.assertIn("can't be kept", self.failed(self.get("films"), Outcome.REFUSED))
        self.assert_clean()


class ListTests(SharingCase):
    """What is shared can be seen."""

    def ls(self, path: str) -> list[Any]:
        """List a path."""
        session = ListSession(path)
        self.successResultOf(self.run_session(session, session.request))
        return session.entries

    def test_all(self) -> None:
        """What is shared, and what is in it, with kinds, sizes and times."""
        os.utime(self.shared / "notes", ns=(1, 10**18 + 7))
        self.assertEqual([("films", Kind.FOLDER), ("notes", Kind.FILE)], [(one.name, one.kind) for one in self.ls("")])
        self.assertEqual((4, 10**18 + 7), (self.ls("notes")[0].size, self.ls("notes")[0].mtime))
        self.assertEqual(["a", "film", "in", "z"], [one.name for one in self.ls("films")])
        self.assertEqual([Kind.LINK, Kind.FOLDER], [one.kind for one in self.ls("films/in")])
        self.assertEqual([], self.ls("films/in/none"))
        self.assert_clean()

    def test_times(self) -> None:
        """Times before 1970 are listed as such; those that are too far away are the nearest, and hide nothing."""
        there = (-5, 0, 5, -FAR_TIME, FAR_TIME, 2**70 * 10**9, -(2**70))
        entries = [SharedEntry(f"{number}", Kind.FILE, 1, ns) for number, ns in enumerate(there)]
        self.patch(listing, "listed", lambda shares, path: entries)
        times = [-5, 0, 5, -FAR_TIME, FAR_TIME, FAR_TIME, -FAR_TIME]
        self.assertEqual(times, [one.mtime for one in self.ls("")])

    def test_times_for_earlier_versions(self) -> None:
        """The field that earlier versions read has no sign, and a time before 1970 is 1970 there."""
        box = encode_box({"name": "a", "kind": "file", "size": "1", "mtime": "0", "before": "5"})
        self.assertEqual(box, listing._encoded(SharedEntry("a", Kind.FILE, 1, -5)))

    def test_many(self) -> None:
        """A long list comes in pieces, each when there is room for it."""
        self.patch(listing, "_AT_ONCE", 7)
        self.patch(production, "AHEAD", 1)
        make(self.shared / "films" / "in", {f"{number:04}": b"" for number in range(500)})
        self.assertEqual(502, len(self.ls("films/in")))

    def test_nothing_there(self) -> None:
        """What isn't shared can't be listed."""
        session = ListSession("films/nothing")
        self.assertIn("p2p ls", self.failed(self.run_session(session, session.request), Outcome.REFUSED))
        self.assert_clean()

    def test_too_many(self) -> None:
        """More entries than a list has are refused there, and are corrupt if they come all the same."""
        self.patch(shares, "MAX_LISTED", 3)
        session = ListSession("films")
        self.assertIn("4 entries", self.failed(self.run_session(session, session.request), Outcome.REFUSED))
        self.patch(shares, "MAX_LISTED", 30)
        self.patch(listing, "MAX_LISTED", 3)
        self.failed(self.run_session(session, session.request), Outcome.CORRUPT)

    def test_requests(self) -> None:
        """A request without a path, or with two, isn't one."""
        for body, outcome in ((b"", Outcome.CORRUPT), (encode_box({"path": "a"}) * 2, Outcome.REFUSED)):
            session = ListSession("")

            async def send(consumer: Any, body: bytes = body) -> dict[str, str]:
                consumer.write(body)
                return {}

            session.send = send  # type: ignore[method-assign]  # it sends something else
            self.failed(self.run_session(session, session.request), outcome)

    def test_nonsense(self) -> None:
        """A list that is none is corrupt; names that could steer a terminal are made harmless."""
        for raw in (
            b"\xff" * 99,
            encode_box({"name": "a"}),
            encode_box({"name": "a", "kind": "dir"}),
            encode_box({"kind": "file"}),
        ):
            with self.assertRaises(ExchangeFailed) as raised:
                ListSession("").sink().write(raw)
            self.assertEqual(Outcome.CORRUPT, raised.exception.outcome)
        session = ListSession("")
        session.sink().write(encode_box({"name": "a\x1b\n", "kind": "file"}))
        self.assertEqual("a\x1b\n", session.entries[0].name)


def _failing(engine: Any, max_bytes: int) -> list[bytes]:
    raise LocalFileError("the state of a transfer can't be kept")


def _visible(found: dict[str, Any]) -> dict[str, Any]:
    return {path: what for path, what in found.items() if not path.startswith(".p2p-")}
