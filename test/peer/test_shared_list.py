"""Asking what another peer shares."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.console.transfer_operations import ListedEntry
from p2p.link.boxes import encode_box
from p2p.peer.shared_list import CERTAINLY_SHORT, list_shared


class Peer:
    """A hosted peer whose exchanges are answered with these boxes."""

    def __init__(self, *boxes: dict[str, str]) -> None:
        self.asked: list[tuple[str, str, int]] = []
        self._reply = b"".join(map(encode_box, boxes))

    async def exchange(self, target: str, request: Any, source: Any, sink: Any, *, planned_ns: int) -> None:
        self.asked.append((target, request.service, planned_ns))
        sink().write(self._reply)


class ListTests(SynchronousTestCase):
    """What comes back."""

    def listed(self, peer: Any) -> Deferred[list[ListedEntry]]:
        """Ask m4.m what is in films."""
        return Deferred.fromCoroutine(list_shared(peer, "m4.m", "films", 5))

    def test_entries(self) -> None:
        """Entries come in their order, times in seconds."""
        peer = Peer(
            {"name": "a", "kind": "file", "size": "5", "mtime": "170000000500000000"},
            {"name": "b", "kind": "folder", "size": "0", "mtime": "0"},
        )
        self.assertEqual(
            [ListedEntry(name="a", kind="file", size=5, mtime=170_000_000.5), ListedEntry(name="b", kind="folder")],
            self.successResultOf(self.listed(peer)),
        )
        self.assertEqual([("m4.m", "list", 5)], peer.asked)

    def test_many(self) -> None:
        """A long list is fine, as long as an answer of the console can hold it."""
        boxes = [{"name": f"{number}", "kind": "file"} for number in range(CERTAINLY_SHORT + 1)]
        self.assertEqual(CERTAINLY_SHORT + 1, len(self.successResultOf(self.listed(Peer(*boxes)))))
        peer: Any = Peer()
        names = (b"%05d" % number + b"\xff" * 250 for number in range(11_000))
        peer._reply = b"".join(encode_box({"name": name, "kind": b"file", "mtime": b"1"}) for name in names)
        failure = self.failureResultOf(self.listed(peer), ExchangeFailed).value
        self.assertEqual(Outcome.REFUSED, failure.outcome)
        self.assertIn("get the folder as a whole", str(failure))
