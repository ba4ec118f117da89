"""What one end of a link does too often, with a clock that is turned by hand."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ProtocolViolation
from p2p.link.conduct import BROKEN_BURST, BROKEN_PER_S, ENDURED_S, STREAM_BURST, STREAMS_PER_S, Conduct


class ConductTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.reads: list[bool] = []
        self.rejected: list[str] = []
        self.conduct = Conduct(self.clock, self.reads.append, self._reject)

    def _reject(self, why: ProtocolViolation) -> None:
        self.rejected.append(str(why))

    def test_honest(self) -> None:
        """A burst, and then as many a second as are allowed, is read at once."""
        for _ in range(STREAM_BURST):
            self.conduct.opened()
        for _ in range(10):
            self.clock.advance(1 / STREAMS_PER_S)
            self.conduct.opened()
        self.assertEqual(([], []), (self.reads, self.rejected))

    def test_too_fast(self) -> None:
        """Whoever opens more isn't read until that is made up for, and then again."""
        for _ in range(STREAM_BURST + 100):
            self.conduct.opened()
        self.assertEqual([False], self.reads)
        self.clock.advance(99 / STREAMS_PER_S)
        self.assertEqual([False], self.reads)
        self.clock.advance(2 / STREAMS_PER_S)
        self.assertEqual(([False, True], []), (self.reads, self.rejected))

    def test_far_too_fast(self) -> None:
        """Whoever goes on meanwhile is cut off, once, and no timer is left."""
        for _ in range(BROKEN_BURST + int(BROKEN_PER_S * ENDURED_S) + 5):
            self.conduct.refused()
        self.assertEqual(["it opens streams that come to nothing, far too many a second"], self.rejected)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_refused_and_reset(self) -> None:
        """An exchange that is refused and whose stream is reset then counts once, until the stream is forgotten."""
        for _ in range(BROKEN_BURST):
            self.conduct.refused(1)
            self.conduct.broke(1)
        self.assertEqual([], self.reads)
        self.conduct.forget(1)
        self.conduct.broke(1)
        self.assertEqual([False], self.reads)
        self.conduct.end()
        self.assertEqual([], self.clock.getDelayedCalls())
