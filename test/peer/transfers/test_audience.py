"""Those who are told of a transfer."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from p2p.console.transfer_operations import Progress, Verified
from p2p.peer.transfers.audience import BEHIND, Audience

PROGRESS = Progress(transfer="00" * 8, peer="m4.m", direction="send", entries=0, bytes=1)
VERIFIED = Verified(transfer="00" * 8, peer="m4.m", direction="send", path="a", name="a")


class AudienceTests(SynchronousTestCase):
    """A client that asked for the transfer, and one that follows all of them."""

    def setUp(self) -> None:
        self.audience = Audience()

    def slow(self, *, patient: bool) -> tuple[list[Any], list[Deferred[None]], Any]:
        """One who is told, and reads when the test says so."""
        told: list[Any] = []
        rooms: list[Deferred[None]] = []

        def tell(event: Any) -> Deferred[None]:
            told.append(event)
            rooms.append(Deferred())
            return rooms[-1]

        return told, rooms, self.audience.add(tell, patient=patient)

    def test_all(self) -> None:
        """Everybody is told, until they leave; leaving twice does nothing."""
        first: list[Any] = []
        second: list[Any] = []
        leave = self.audience.add(first.append, patient=True)
        self.audience.add(second.append, patient=False)
        self.assertIsNone(self.audience.tell(VERIFIED))
        leave()
        leave()
        self.audience.tell(PROGRESS)
        self.assertEqual(([VERIFIED], [VERIFIED, PROGRESS], 1), (first, second, len(self.audience)))

    def test_progress_is_missed(self) -> None:
        """Who hasn't read the last event misses what only says how far it is."""
        told, rooms, _ = self.slow(patient=True)
        self.audience.tell(PROGRESS)
        self.audience.tell(PROGRESS)
        rooms[0].callback(None)
        self.audience.tell(PROGRESS)
        self.assertEqual(2, len(told))

    def test_patience(self) -> None:
        """For a client of the transfer what must not be missed waits until all of it is read."""
        told, rooms, _ = self.slow(patient=True)
        self.audience.add(lambda event: succeed(None), patient=True)
        first, second = self.audience.tell(VERIFIED), self.audience.tell(VERIFIED)
        assert first is not None
        assert second is not None
        rooms[1].callback(None)
        self.assertNoResult(first)
        rooms[0].callback(None)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(2, len(told))

    def test_follower(self) -> None:
        """Who only follows holds nothing up, and misses what would pile up."""
        told, rooms, _ = self.slow(patient=False)
        for _ in range(1000):
            self.assertIsNone(self.audience.tell(VERIFIED))
        self.assertEqual(BEHIND, len(told))
        for room in rooms:
            room.callback(None)
        self.audience.tell(VERIFIED)
        self.assertEqual(BEHIND + 1, len(told))

    def test_leaves_unread(self) -> None:
        """A client that leaves with something unread doesn't hold the transfer up any longer."""
        _, rooms, leave = self.slow(patient=True)
        waiting = self.audience.tell(VERIFIED)
        assert waiting is not None
        leave()
        self.successResultOf(waiting)
        rooms[0].callback(None)

    def test_fault(self) -> None:
        """One with a fault is logged, and all others are told."""
        told: list[Any] = []

        def broken(event: Any) -> None:
            raise KeyError("fault")

        self.audience.add(broken, patient=True)
        self.audience.add(told.append, patient=True)
        self.audience.tell(VERIFIED)
        self.assertEqual(([VERIFIED], 1), (told, len(self.flushLoggedErrors(KeyError))))
