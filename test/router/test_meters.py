"""What a router counts."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.router.meters import REGISTRATION_BURST, LookupTimes, Registrations


class LookupTimesTests(SynchronousTestCase):
    def test_times(self) -> None:
        """How many look-ups there were, the longest of them and their mean are known; none took no time."""
        times = LookupTimes()
        self.assertEqual((0, 0.0, 0), (times.count, times.mean, times.longest))
        for took in (300, 500, 100):
            times.add(took)
        self.assertEqual((3, 300.0, 500), (times.count, times.mean, times.longest))


class RegistrationsTests(SynchronousTestCase):
    def test_forgotten(self) -> None:
        """So many names are remembered; of more, the one that registered the longest time ago is forgotten."""
        registrations = Registrations(2)
        for name in ("a", "b", "a", "b"):
            for _ in range(REGISTRATION_BURST // 2):
                self.assertEqual(0.0, registrations.take(name, 0.0))
        self.assertEqual([1.0, 1.0], [registrations.take(name, 0.0) for name in "ba"])
        registrations.take("c", 0.0)
        self.assertEqual([2.0, 0.0], [registrations.take(name, 0.0) for name in "ab"])
