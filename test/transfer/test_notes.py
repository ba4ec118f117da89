"""What is noted of transfers that others begin, and for how long."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.exchange.rules import Agreement, Names
from p2p.transfer import notes
from p2p.transfer.notes import agreement_notes, completion_notes, local_id, remove_oldest
from p2p.transfer.walking import Totals
from test.base.test_saving import SavingTestCase

NOW = 1_700_000_000.0

FIRST, SECOND = "0" * 16, "1" * 16


class NotesTestCase(SynchronousTestCase):
    """Has a state folder that isn't there yet."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp()) / "state"


class CompletionTests(NotesTestCase):
    """Transfers that are complete."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = self.state / "ended"
        self.notes = completion_notes(self.state)

    def aged(self, name: str, seconds: float) -> Path:
        """A file that was written so long ago."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        path.write_bytes(b"")
        os.utime(path, (NOW - seconds, NOW - seconds))
        return path

    def test_noted(self) -> None:
        """What was noted is found by whoever looks, also after a restart; nobody else reads it."""
        self.assertIsNone(self.notes.find(FIRST))
        self.notes.note(FIRST, Totals(3, 2**40, 1))
        self.assertEqual(Totals(3, 2**40, 1), completion_notes(self.state).find(FIRST))
        self.notes.note(FIRST, Totals(4, 5))
        self.assertEqual(Totals(4, 5), self.notes.find(FIRST))
        self.assertEqual(0o700, self.folder.stat().st_mode & 0o777)

    def test_made_meanwhile(self) -> None:
        """The folder may be made by another thread at the same moment."""
        self.folder.mkdir(parents=True)
        seen = iter([False])
        self.patch(Path, "is_dir", lambda path: next(seen, True))
        self.notes.note(FIRST, Totals(1, 1))
        self.assertEqual(Totals(1, 1), self.notes.find(FIRST))

    def test_now_and_then(self) -> None:
        """Now and then, not each time, it is seen to it that they aren't too many."""
        self.patch(notes, "MAX_KEPT", 2)
        old, new = self.aged("b" * 16, 100), self.aged("c" * 16, 10)
        self.notes.note("0" * 15 + "1", Totals(1, 1))
        self.assertTrue(old.exists())
        self.notes.note("0" * 16, Totals(1, 1))
        self.assertEqual((False, False), (old.exists(), new.exists()))

    def test_damaged(self) -> None:
        """A note that is empty, or of which something else is left, is none."""
        self.notes.note(FIRST, Totals(1, 1))
        parts = ['{"entries": 1}', '{"entries": 1, "bytes": null, "refused": 0}']
        for text in ("", "{", "[]", "7", *parts, "\xff", "[" * 9999):
            (self.folder / FIRST).write_text(text, "latin-1")
            self.assertIsNone(self.notes.find(FIRST), text[:20])

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


class AgreementTests(NotesTestCase):
    """What the user has agreed to."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = self.state / "agreed"
        self.notes = agreement_notes(self.state)

    def test_remembered(self) -> None:
        """What was agreed to is known to the next daemon as well, each transfer by its id, and nothing else is."""
        self.assertIsNone(self.notes.find(FIRST))
        self.notes.note(FIRST, Agreement(5))
        self.notes.note(SECOND, Agreement(None))
        after = agreement_notes(self.state)
        self.assertEqual((Agreement(5), Agreement(None)), (after.find(FIRST), after.find(SECOND)))
        self.assertEqual([FIRST, SECOND], sorted(path.name for path in self.folder.iterdir()))

    def test_all(self) -> None:
        """All that binds is remembered, names that aren't UTF-8 too."""
        agreement = Agreement(5, 2, Names(("a\udcff", "b"), 9, "0" * 64), frozenset({"data", "audio"}))
        self.notes.note(FIRST, agreement)
        self.assertEqual(agreement, self.notes.find(FIRST))

    def test_of_an_older_version(self) -> None:
        """What a daemon of version 0.1.0 has noted holds for the bytes, which are all that it noted."""
        self.folder.mkdir(parents=True)
        (self.folder / FIRST).write_text('{"bytes": 5}')
        self.assertEqual(Agreement(5), self.notes.find(FIRST))

    def test_damaged(self) -> None:
        """A note that is empty, or of which something else is left, is none: the user is asked again."""
        self.notes.note(FIRST, Agreement(5))
        for text in ("", "{", "null", "{}", '{"bytes": "much"}', '{"bytes": true}', '{"bytes": 5, "names": {}}'):
            (self.folder / FIRST).write_text(text)
            self.assertIsNone(self.notes.find(FIRST), text)

    def test_asked_again(self) -> None:
        """The last agreement counts."""
        self.notes.note(FIRST, Agreement(5))
        self.notes.note(FIRST, Agreement(7))
        self.assertEqual(Agreement(7), self.notes.find(FIRST))


class PowerCutTests(SavingTestCase):
    """Notes on a disk that loses what wasn't synced."""

    def test_completion(self) -> None:
        """That a transfer is complete is on disk, with its name and its folder's, when the call returns."""
        completion_notes(self.folder).note(FIRST, Totals(1, 2))
        self.assertEqual(["folder", b'{"entries": 1, "bytes": 2, "refused": 0}', "rename", "folder"], self.steps)

    def test_agreement(self) -> None:
        """So is what the user has agreed to."""
        notes = agreement_notes(self.folder)
        notes.note(FIRST, Agreement(5))
        self.assertEqual(["folder", "rename", "folder"], [step for step in self.steps if isinstance(step, str)])
        self.assertEqual(4, len(self.steps))
        self.steps.clear()
        notes.note(SECOND, Agreement(7))
        self.assertEqual(["rename", "folder"], self.steps[1:])
