"""Moving pictures of an exact size."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.experiment.making import SMALLEST
from p2p.experiment.making_video import video
from p2p.services.inspect_worker import inspect


class VideoTests(SynchronousTestCase):
    @settings(max_examples=25, deadline=None)
    @given(st.integers(SMALLEST["video"], 200_000), st.integers(0, 2**63 - 1))
    def test_exact(self, size: int, seed: int) -> None:
        """A film has exactly the bytes asked for and plays to its end, down to the smallest."""
        made = video(size, seed)
        self.assertEqual(size, len(made))
        self.assertGreater(int(inspect(io.BytesIO(made)).fields["frames"]), 0)

    def test_little_filler(self) -> None:
        """Little of a large film is filler: it plays for as long as its size lets it."""
        made = video(2_000_000, 1)
        self.assertEqual(2_000_000, len(made))
        self.assertLess(len(made) - made.rindex(b"free"), 100_000)

    def test_seed(self) -> None:
        """The same seed gives the same film, another one another."""
        self.assertEqual(video(70_000, 1), video(70_000, 1))
        self.assertNotEqual(video(70_000, 1), video(70_000, 2))

    def test_too_small(self) -> None:
        """Below the smallest size there is no film."""
        self.assertRaises(ValueError, video, SMALLEST["video"] - 1, 1)
