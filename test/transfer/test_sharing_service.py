"""The service that gives what is shared: what it refuses, and whom it trusts."""

from __future__ import annotations

import errno
from typing import Any

from p2p.base.errors import CancelledThere, ExchangeFailed, LocalFileError, Outcome
from p2p.link.boxes import Box, encode_box
from p2p.transfer import sharing_service
from p2p.transfer.asking import ASKED_BYTES
from p2p.transfer.listing import ListSession
from p2p.transfer.send_session import fetch_request
from p2p.transfer.sending import SendingEngine
from test.transfer.sessions import ID, SharingCase, tree
from test.transfer.sources import make


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

    def test_long_requests(self) -> None:
        """A request is refused that is too long as a whole; of its boxes no more is kept than is needed."""
        box = encode_box({"path": "notes", "more": b"x" * 12_000})
        for count, outcome in ((100, None), (200, Outcome.REFUSED)):
            session = self.getting("notes")
            kept: list[Box] = []

            async def send(consumer: Any, count: int = count) -> dict[str, str]:
                for part in [encode_box({"have": "1"}), *[box] * count]:
                    consumer.write(part)
                return {}

            def named(sink: Any, offer: Any = None, kept: list[Box] = kept) -> Any:
                kept += sink.boxes
                raise ExchangeFailed(Outcome.REFUSED, "it was asked")

            session.send = send  # type: ignore[method-assign]  # it sends more
            self.patch(sharing_service.FetchSink, "_asked", named)
            told = self.failed(self.run_session(session, fetch_request(ID)), Outcome.REFUSED)
            if outcome is None:
                self.assertEqual("it was asked", told)
                self.assertEqual([{"have": b"1"}, *[{"path": b"notes"}] * count], kept)
            else:
                self.assertIn(f"at most {ASKED_BYTES} bytes", told)
                self.assertEqual([], kept)

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

        def room(size: int, entries: int) -> None:
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

            def full(size: int, entries: int, number: int = number) -> None:
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


def _failing(engine: Any, max_bytes: int) -> list[bytes]:
    raise LocalFileError("the state of a transfer can't be kept")


def _visible(found: dict[str, Any]) -> dict[str, Any]:
    return {path: what for path, what in found.items() if not path.startswith(".p2p-")}
