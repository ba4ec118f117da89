"""For how long things have been as they are, however the wall clock is set, and whether the machine ran or not."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.peer.ages import DAY_S, Ages


class AgesTests(SynchronousTestCase):
    """A look now and then, each by a daemon of its own, at one thing whose mark is 7."""

    def setUp(self) -> None:
        """A machine that was booted 1000 s ago."""
        self.path = Path(self.mktemp())
        self.boot, self.since_boot, self.wall = "first", 1000.0, 1.7e9

    def look(self, passed_s: float = 0.0, *, mark: float = 7.0, step_s: float = 0.0) -> float:
        """The age of the thing after so much time, in which the wall clock was set by so much as well."""
        self.since_boot += passed_s
        self.wall += passed_s + step_s
        ages = Ages(self.path, self.boot, lambda: self.since_boot, lambda: self.wall)
        ages.begin()
        found = ages.seen("things", {"thing": mark})
        ages.save()
        return found["thing"]

    def reboot(self, off_s: float, *, step_s: float = 0.0) -> float:
        """The age of the thing after the machine was off for so long, and has run for 50 s since."""
        self.boot += "+"
        self.since_boot = 0.0
        self.wall += off_s + step_s
        return self.look(50)

    def test_grows(self) -> None:
        """What stays as it is grows older by the time that passes, over any number of looks."""
        self.assertEqual([0.0, 60.0, 3660.0], [self.look(), self.look(60), self.look(3600)])

    def test_changes(self) -> None:
        """What has changed, whatever it says of the time, is new."""
        self.look()
        self.assertEqual(60.0, self.look(60))
        for mark in (8.0, 1.0):
            self.assertEqual(0.0, self.look(60, mark=mark))
            self.assertEqual(60.0, self.look(60, mark=mark))

    def test_clock_is_set(self) -> None:
        """A step of the wall clock makes nothing older or younger."""
        self.look()
        self.assertEqual(60.0, self.look(60, step_s=1e8))
        self.assertEqual(120.0, self.look(60, step_s=-2e8))

    def test_rebooted(self) -> None:
        """The time for which the machine was off counts by the wall clock, but for a day at most, and never less than
        it has run since."""
        self.look()
        self.assertEqual(3650.0, self.reboot(3600))
        self.assertEqual(3650.0 + DAY_S + 50, self.reboot(0, step_s=1e9))
        self.assertEqual(3650.0 + DAY_S + 100, self.reboot(0, step_s=-1e9))

    def test_unknown_boot(self) -> None:
        """So it is where the system doesn't say whether the machine has run since then."""
        self.boot = ""
        self.look()
        self.assertEqual(1000.0 + 60.0 + DAY_S, self.look(60, step_s=1e9))

    def test_gone(self) -> None:
        """What isn't there any more is forgotten, and other groups are other things."""
        self.look()
        ages = Ages(self.path, self.boot, lambda: self.since_boot + 60, lambda: self.wall)
        ages.begin()
        self.assertEqual({"thing": 0.0}, ages.seen("others", {"thing": 7.0}))
        self.assertEqual({}, ages.seen("things", {}))
        ages.save()
        self.assertEqual(0.0, self.look(60))

    def test_damaged(self) -> None:
        """If what was kept is damaged, everything is as if it were new."""
        self.look()
        for text in (
            "",
            "[]",
            "{}",
            '{"boot": "first", "since_boot": 0, "wall": 0, "ages": {"things": 7}}',
            "[" * 9999,
        ):
            self.path.write_text(text)
            self.assertEqual(0.0, self.look(60), text[:20])
        self.assertEqual(60.0, self.look(60))

    def test_disk(self) -> None:
        """What can't be kept is told."""
        ages = Ages(self.path / "nowhere" / "ages", "", lambda: 0.0, lambda: 0.0)
        ages.begin()
        self.assertRaises(OSError, ages.save)
