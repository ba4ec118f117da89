"""Tests for :mod:`p2p.base.values`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.values import TYPES, duration_text, parse_duration, parse_rate, parse_size, type_of


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


class DurationTests(SynchronousTestCase):
    """``--deadline``."""

    def test_read(self) -> None:
        """Seconds are meant where nothing else is said; parts are added up."""
        for text, seconds in (
            ("90", 90),
            ("0", 0),
            ("1.5s", 1.5),
            ("10min", 600),
            ("10 m", 600),
            ("1h", 3600),
            ("1h 30min", 5400),
            ("2d", 172_800),
            (" 1h30m ", 5400),
        ):
            self.assertEqual(seconds, parse_duration(text), text)

    def test_wrong(self) -> None:
        """Anything else is told with examples."""
        for text in ("", "h", "1 year", "-5", "1h later", "now 1h", "1e3", "1..5", "∞"):
            error = self.assertRaises(ValueError, parse_duration, text)
            self.assertIn("10min", str(error))

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Whatever is written, it is a time or an error."""
        try:
            self.assertGreaterEqual(parse_duration(text), 0)
        except ValueError:
            return

    def test_written(self) -> None:
        """A time is written in the largest unit that fits, and is read as itself; too long a one is refused."""
        for seconds, text in (
            (3600.0, "1h"),
            (5400.0, "90min"),
            (172_800, "2d"),
            (90, "90s"),
            (0.5, "0.5s"),
            (0, "0d"),
        ):
            self.assertEqual(text, duration_text(seconds))
            self.assertEqual(seconds, parse_duration(text))
        self.assertIn("more than 1d", str(self.assertRaises(ValueError, parse_duration, "25h", 86400)))
        self.assertEqual(86400, parse_duration("24h", 86400))


class RateTests(SynchronousTestCase):
    """``--limit``."""

    def test_rates(self) -> None:
        """A size is one, with or without "/s"; what is none, or too little, is told."""
        self.assertEqual(10_000_000, parse_rate("10MB/s"))
        self.assertEqual(2 << 20, parse_rate("2MiB", least=1024))
        self.assertEqual(1024, parse_rate("1KiB/s", least=1024))
        self.assertIn("10MB/s", str(self.assertRaises(ValueError, parse_rate, "fast")))
        self.assertIn("less than 1024", str(self.assertRaises(ValueError, parse_rate, "1kB/s", 1024)))


class TypeTests(SynchronousTestCase):
    """The type by the ending."""

    def test_types(self) -> None:
        """The ending of the last name of a path tells the type, in capitals or not; what it doesn't tell is data."""
        for path, kind in (
            ("a.txt", "text"),
            ("a.MD", "text"),
            ("a.wav", "audio"),
            ("photos/a.mka", "audio"),
            ("a.mp4", "video"),
            ("a.tar.mkv", "video"),
            (".webm", "video"),
            ("a.zip", "data"),
            ("a.ts", "data"),
            ("a.mkv/b", "data"),
            ("a.mkv ", "data"),
            ("mkv", "data"),
            ("", "data"),
        ):
            self.assertEqual(kind, type_of(path), path)

    def test_all(self) -> None:
        """There are four of them."""
        self.assertEqual({"text", "audio", "video", "data"}, set(TYPES))
