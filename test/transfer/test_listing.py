"""The service that lists what is shared, and who asks it."""

from __future__ import annotations

import os
from typing import Any

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.link.boxes import encode_box
from p2p.transfer import listing, production, shares
from p2p.transfer.listing import ListSession
from p2p.transfer.records import FAR_TIME, Kind
from p2p.transfer.shares import SharedEntry
from test.transfer.sessions import SharingCase
from test.transfer.sources import make


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
        self.assertEqual([(Kind.LINK, 0), (Kind.FOLDER, 0)], [(one.kind, one.size) for one in self.ls("films/in")])
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
        box = encode_box({"name": "a", "kind": "file", "size": "1", "mtime": "0"})
        self.assertEqual(box, listing._encoded(SharedEntry("a", Kind.FILE, 1, 0)))

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
