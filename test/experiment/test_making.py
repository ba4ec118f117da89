"""Content of an exact size, the same from the same seed."""

from __future__ import annotations

import io
import wave

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.experiment.making import RATE, SMALLEST, audio, noise, text, zeros

SIZES = st.integers(1, 100_000)


class MakingTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(SIZES)
    def test_text(self, size: int) -> None:
        """Text has exactly the bytes asked for, and is UTF-8 wherever it ends."""
        made = text(size, 3)
        self.assertEqual(size, len(made))
        made.decode()

    @settings(deadline=None)
    @given(SIZES.filter(lambda size: size >= SMALLEST["audio"]))
    def test_audio(self, size: int) -> None:
        """Sound has exactly the bytes asked for, and is WAV."""
        made = audio(size, 3)
        self.assertEqual(size, len(made))
        with wave.open(io.BytesIO(made)) as file:
            self.assertEqual((1, 2, RATE, (size - 44) // 2), (*file.getparams()[:3], file.getnframes()))

    def test_no_audio(self) -> None:
        """There is no WAV file without a sample."""
        self.assertRaises(ValueError, audio, SMALLEST["audio"] - 1, 3)

    @settings(deadline=None)
    @given(SIZES)
    def test_controls(self, size: int) -> None:
        """Zeros and noise have exactly the bytes asked for."""
        self.assertEqual(bytes(size), zeros(size))
        self.assertEqual(size, len(noise(size, 3)))

    def test_seed(self) -> None:
        """The same seed gives the same content, another one another."""
        for make in (text, audio, noise):
            self.assertEqual(make(70_000, 1), make(70_000, 1))
            self.assertNotEqual(make(70_000, 1), make(70_000, 2))

    def test_large(self) -> None:
        """What is longer than what was made for it begins again."""
        for make in (text, audio):
            self.assertEqual(1_000_000, len(make(1_000_000, 1)))
