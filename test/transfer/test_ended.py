"""What is remembered of complete transfers, and for how long."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.transfer import ended
from p2p.transfer.ended import EndedTransfers, local_id, remove_oldest
from p2p.transfer.walking import Totals

NOW = 1_700_000_000.0


class EndedTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Make a memory in a folder that isn't there yet."""
        self.folder = Path(self.mktemp()) / "state" / "ended"
        self.ended = EndedTransfers(self.folder)

    def aged(self, name: str, seconds: float) -> Path:
        """A file that was written so long ago."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        path.write_bytes(b"")
        os.utime(path, (NOW - seconds, NOW - seconds))
        return path

    def test_noted(self) -> None:
        """What was noted is found by whoever looks, also after a restart."""
        self.assertIsNone(self.ended.find("a" * 16))
        self.ended.note("a" * 16, Totals(3, 2**40, 1))
        self.assertEqual(Totals(3, 2**40, 1), EndedTransfers(self.folder).find("a" * 16))
        self.ended.note("a" * 16, Totals(4, 5))
        self.assertEqual(Totals(4, 5), self.ended.find("a" * 16))
        self.assertEqual(0o700, self.folder.stat().st_mode & 0o777)

    def test_now_and_then(self) -> None:
        """Now and then, not each time, it is seen to it that they aren't too many."""
        self.patch(ended, "MAX_KEPT", 2)
        old, new = self.aged("b" * 16, 100), self.aged("c" * 16, 10)
        self.ended.note("0" * 15 + "1", Totals(1, 1))
        self.assertTrue(old.exists())
        self.ended.note("0" * 16, Totals(1, 1))
        self.assertEqual((False, False), (old.exists(), new.exists()))

    def test_damaged(self) -> None:
        """A note that a power cut has emptied, or of which something else is left, is none."""
        self.ended.note("a" * 16, Totals(1, 1))
        for text in (
            "",
            "{",
            "[]",
            "7",
            '{"entries": 1}',
            '{"entries": 1, "bytes": null, "refused": 0}',
            "\xff",
            "[" * 9999,
        ):
            (self.folder / ("a" * 16)).write_text(text, "latin-1")
            self.assertIsNone(self.ended.find("a" * 16), text[:20])

    def test_too_many(self) -> None:
        """Of too many the oldest go, whether they are files or folders."""
        first = self.aged("first", 30)
        second = self.folder / "second"
        second.mkdir()
        (second / "file").write_bytes(b"")
        os.utime(second, (NOW - 20, NOW - 20))
        third = self.aged("third", 10)
        remove_oldest(self.folder, 2)
        self.assertEqual((False, True, True), (first.exists(), second.exists(), third.exists()))
        remove_oldest(self.folder, 1)
        self.assertEqual((False, True), (second.exists(), third.exists()))

    def test_nothing_there(self) -> None:
        """There may be nothing to remove."""
        remove_oldest(self.folder / "none", 1)

    def test_local_ids(self) -> None:
        """The same id from another sender is another transfer, and looks like an id."""
        one, other = local_id("n1.n", "a" * 16), local_id("n2.n", "a" * 16)
        self.assertNotEqual(one, other)
        self.assertEqual(one, local_id("n1.n", "a" * 16))
        self.assertRegex(one, "^[0-9a-f]{16}$")
