"""Tests for :mod:`p2p.peer.agreed`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.exchange.rules import Agreement, Names
from p2p.peer import agreed
from p2p.peer.agreed import Agreed

FIRST, SECOND, THIRD = "0" * 16, "1" * 16, "2" * 16


class AgreedTests(SynchronousTestCase):
    """A folder that isn't there at first."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()) / "n1.n" / "agreed"
        self.agreed = Agreed(self.folder)

    def test_nothing(self) -> None:
        """Where nothing was agreed to, nothing is known."""
        self.assertIsNone(self.agreed.find(FIRST))

    def test_remembered(self) -> None:
        """What was agreed to is known to the next daemon as well, each transfer by its id."""
        self.agreed.note(FIRST, Agreement(5))
        self.agreed.note(SECOND, Agreement(None))
        after = Agreed(self.folder)
        self.assertEqual((Agreement(5), Agreement(None)), (after.find(FIRST), after.find(SECOND)))
        self.assertEqual([FIRST, SECOND], sorted(path.name for path in self.folder.iterdir()))

    def test_all(self) -> None:
        """All that binds is remembered, names that aren't UTF-8 too."""
        agreement = Agreement(5, 2, Names(("a\udcff", "b"), 9, "0" * 64), frozenset({"data", "audio"}))
        self.agreed.note(FIRST, agreement)
        self.assertEqual(agreement, self.agreed.find(FIRST))

    def test_of_an_older_version(self) -> None:
        """What a daemon of version 0.1.0 has noted holds for the bytes, which are all that it noted."""
        self.folder.mkdir(parents=True)
        (self.folder / FIRST).write_text('{"bytes": 5}')
        self.assertEqual(Agreement(5), self.agreed.find(FIRST))

    def test_asked_again(self) -> None:
        """The last agreement counts."""
        self.agreed.note(FIRST, Agreement(5))
        self.agreed.note(FIRST, Agreement(7))
        self.assertEqual(Agreement(7), self.agreed.find(FIRST))

    def test_too_many(self) -> None:
        """Of too many the oldest are forgotten when something is added."""
        self.patch(agreed, "MAX_KEPT", 1)
        self.agreed.note(FIRST, Agreement(5))
        self.agreed.note(SECOND, Agreement(5))
        self.assertIsNotNone(self.agreed.find(FIRST))
        os.utime(self.folder / FIRST, (1000, 1000))
        self.agreed.note(THIRD, Agreement(5))
        self.assertIsNone(self.agreed.find(FIRST))
        self.assertIsNotNone(self.agreed.find(SECOND))

    def test_damaged(self) -> None:
        """A note that a power cut has emptied, or of which something else is left, is none: the user is asked again."""
        self.agreed.note(FIRST, Agreement(5))
        for text in ("", "{", "null", "{}", '{"bytes": "much"}', '{"bytes": true}'):
            (self.folder / FIRST).write_text(text)
            self.assertIsNone(self.agreed.find(FIRST), text)

    def test_private(self) -> None:
        """Nobody else reads what was agreed to."""
        self.agreed.note(FIRST, Agreement(5))
        self.assertEqual(0o700, self.folder.stat().st_mode & 0o777)
