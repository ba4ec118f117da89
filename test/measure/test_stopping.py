"""When a run has repetitions enough."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.stopping import Precision
from test.measure.synthetic_run import Synthetic

CALM = Synthetic(sizes=(1024,), repetitions=12, message_noise=0.01, block_noise=0.001)
NOISY = Synthetic(sizes=(1024,), repetitions=12, block_noise=0.2)


class PrecisionTests(SynchronousTestCase):
    """Intervals that are narrow enough."""

    def is_enough(self, *runs: Synthetic, half_width: float | None = None) -> bool:
        """Whether these runs are, one after the other."""
        precision = Precision(0.05, half_width)
        for run in runs:
            precision.add(run.run())
        return precision.is_enough("transport")

    def test_narrow(self) -> None:
        """What hardly varies is precise, what varies a lot isn't, and nobody knows of what was never measured."""
        self.assertTrue(self.is_enough(CALM))
        self.assertFalse(self.is_enough(NOISY))
        self.assertFalse(self.is_enough())
        self.assertTrue(self.is_enough(NOISY, half_width=0.5))
        self.assertFalse(self.is_enough(CALM, half_width=0.0001))

    def test_where_they_lie(self) -> None:
        """A difference makes a run neither longer nor shorter: only the width of intervals counts."""
        for factor in (0.5, 0.95, 1.05, 2.0):
            for run, enough in ((CALM, True), (NOISY, False)):
                other = Synthetic(**{**vars(run), "factors": {"audio": factor}})
                self.assertEqual(self.is_enough(other), enough, factor)

    def test_in_parts(self) -> None:
        """Repetitions that come one after the other count as those at once; one level that varies spoils it."""
        half = Synthetic(**{**vars(CALM), "repetitions": 6})
        self.assertFalse(self.is_enough(half))
        self.assertTrue(self.is_enough(half, Synthetic(**{**vars(half), "seed": 2, "first_block": 100})))
        other = Synthetic(**{**vars(NOISY), "sizes": (2048,), "first_block": 200})
        self.assertFalse(self.is_enough(CALM, other))
