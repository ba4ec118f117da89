"""Tests for ``p2p.report.broken_blocks``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.raw_data import BROKEN
from p2p.report.broken_blocks import about_broken, broken
from p2p.report.subject import Subject
from test.report.subjects import subject


def with_broken(*rows: tuple[int, int, str, str, int]) -> Subject:
    """A subject with these rows: block, attempt, sent, outcome, count."""
    columns = BROKEN.empty()
    for block, attempt, sent, outcome, count in rows:
        values = (
            block,
            attempt,
            50,
            "transport",
            1024,
            2,
            "closed",
            1,
            "text",
            1,
            "n1.n>m1.m",
            sent,
            outcome,
            count,
            "",
        )
        for name, value in zip(columns, values, strict=True):
            columns[name].append(value)
    found = subject()
    return replace(found, run=replace(found.run, broken=columns))


class BrokenTests(SynchronousTestCase):
    """Blocks that came to nothing."""

    def test_none(self) -> None:
        """Where there are none, nothing is said."""
        self.assertEqual((list(about_broken(subject())), broken(subject())), ([], None))

    def test_told(self) -> None:
        """Their messages are counted: those that ended, and those that were never sent by what kept them from it."""
        found = with_broken(
            (3, 1, "yes", "ok", 30),
            (3, 1, "yes", "reset", 1),
            (3, 1, "no", "reset", 19),
            (3, 2, "no", "unknown-peer", 50),
        )
        besides, unsent, lost = about_broken(found)
        self.assertIn("100 messages belonged to 2 tries of blocks that came to nothing", besides)
        self.assertIn("69 were never sent, as far as anybody knows. By cause: unknown-peer 50 and reset 19.", unsent)
        self.assertEqual(lost, "1 message of them was sent and dropped.")
        made = broken(found)
        assert made is not None
        self.assertEqual(made.rows, (("transport", "2", "100", "30", "1", "69"),))

    def test_all_sent(self) -> None:
        """Where a receiver died, everything may have been sent."""
        (besides,) = about_broken(with_broken((3, 1, "yes", "ok", 50)))
        self.assertIn("50 messages belonged to 1 try of blocks", besides)
