"""Content of an exact size, the same from the same seed."""

from __future__ import annotations

import io
import struct
import wave
from hashlib import sha256

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
        self.assertRaises(ValueError, audio, 45, 3)
        with wave.open(io.BytesIO(audio(46, 3))) as file:
            self.assertEqual(1, file.getnframes())

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

    def test_smallest(self) -> None:
        """What a plan may ask for at least: a byte, or as much as makes the format valid."""
        self.assertEqual({"text": 1, "audio": 46, "video": 4096, "zeros": 1, "random": 1}, SMALLEST)

    def test_same_everywhere(self) -> None:
        """Content is the same on every machine and in every version, so that runs of different days are comparable."""
        for make, digest in (
            (text, "d5afc0e682e6fcc38cfec6e5b422ee55b6bbbce68ff8afc86e0586c7d368d3f6"),
            (noise, "d2690bc58d2e85032146adec2e44d2781eb236a133567acb57aa73d3e88e555f"),
        ):
            self.assertEqual(digest, sha256(make(70_000, 1)).hexdigest())
        made = audio(200_000, 1)
        head = "52494646 380d0300 57415645 666d7420 10000000 01000100 803e0000 007d0000 02001000 64617461 140d0300"
        self.assertEqual(bytes.fromhex(head), made[:44])
        samples = struct.unpack("<64000h", made[44 : 44 + 128_000])
        self.assertEqual(
            [-4207, -4258, -4446, 4927, 4433, 3522, -3771, 5359, 4499, -5147, -5424, 4241, -5499, -4202, -6260, 5287],
            [samples[place] for place in range(100, 64_000, 4001)],
        )

    def test_large(self) -> None:
        """What is longer than what was made for it begins again."""
        for make in (text, audio):
            self.assertEqual(1_000_000, len(make(1_000_000, 1)))
