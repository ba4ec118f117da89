"""What waits for an end that doesn't read."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.control.backlog import Backlog


class BacklogTests(SynchronousTestCase):
    def test_counts(self) -> None:
        """Only what is written while the transport is full counts, from each time that it is full anew."""
        backlog = Backlog(10)
        self.assertTrue(backlog.add(1000))
        self.assertIsNone(backlog.waiting)
        backlog.pauseProducing()
        self.assertEqual([True, True, False], [backlog.add(size) for size in (6, 4, 1)])
        backlog.pauseProducing()
        self.assertEqual(11, backlog.waiting)
        for over in (backlog.resumeProducing, backlog.stopProducing):
            over()
            self.assertIsNone(backlog.waiting)
            backlog.pauseProducing()
            self.assertTrue(backlog.add(10))
