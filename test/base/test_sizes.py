"""Tests for :mod:`p2p.base.sizes`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.sizes import parse_size


class ParseSizeTests(SynchronousTestCase):
    """Sizes as people write them."""

    def test_units(self) -> None:
        """kB, MB, GB and TB count in thousands, KiB to TiB in 1024s; the B may be left out, and letters be of any
        case."""
        for text, size in (
            ("0", 0),
            ("4096", 4096),
            ("5B", 5),
            ("500kB", 500_000),
            ("500KB", 500_000),
            ("500k", 500_000),
            ("10MB", 10_000_000),
            ("10m", 10_000_000),
            ("10GB", 10_000_000_000),
            ("2TB", 2_000_000_000_000),
            ("1KiB", 1024),
            ("1mib", 1024**2),
            ("1GiB", 1024**3),
            ("1TiB", 1024**4),
        ):
            self.assertEqual(size, parse_size(text), text)

    def test_fractions(self) -> None:
        """Fractions are exact, and cut off at whole bytes."""
        self.assertEqual(1_500_000_000, parse_size("1.5GB"))
        self.assertEqual(1536, parse_size("1.5KiB"))
        self.assertEqual(1, parse_size("1.9"))
        self.assertEqual(999_999_999_999_999_999, parse_size("999999999.999999999GB"))

    def test_spaces(self) -> None:
        """Spaces around the size and before its unit don't matter."""
        self.assertEqual(10_000_000, parse_size(" 10 MB "))

    def test_none(self) -> None:
        """What is no size is refused with examples of sizes."""
        for text in (
            "",
            "MB",
            "-5",
            "+5",
            "5XB",
            "5 M B",
            "5,5MB",
            "1e9",
            "5MB/s",
            ".5GB",
            "5.GB",
            "0x10",
            "٣",
            "1\n2",
        ):
            error = self.assertRaises(ValueError, parse_size, text)
            self.assertEqual(f"{text!r} is no size; write it like 500kB, 10MB, 2GiB or 4096", str(error))

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Whatever the text is, it is a size of 0 bytes or more, or it is refused."""
        try:
            self.assertGreaterEqual(parse_size(text), 0)
        except ValueError as error:
            self.assertIn("is no size", str(error))

    @given(st.integers(0, 10**18 - 1))
    def test_plain_numbers(self, size: int) -> None:
        """A number alone is so many bytes."""
        self.assertEqual(size, parse_size(str(size)))
