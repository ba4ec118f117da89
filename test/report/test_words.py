"""Tests for ``p2p.report.words``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.report import words
from test.report.subjects import estimate


class NumberTests(SynchronousTestCase):
    """Figures."""

    def test_three_digits(self) -> None:
        """A figure has three significant digits, whatever its size, and is never in powers of ten."""
        for value, text in (
            (0.0, "0"),
            (1.0, "1"),
            (1.005, "1.00"),
            (0.99951, "1.00"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (99.94, "99.9"),
            (99.96, "100"),
            (123.4, "123"),
            (12345.6, "12,346"),
            (0.0123456, "0.0123"),
            (0.000001234, "0.000001"),
            (-0.5, "-0.500"),
        ):
            self.assertEqual(words.number(value), text, value)

    def test_exact(self) -> None:
        """An exact whole number stays one: a margin of 7 % isn't 7.00 %."""
        self.assertEqual((words.number(5.0), words.percent(0.07), words.times(2000.0)), ("5", "7 %", "2,000 times"))

    def test_no_figure(self) -> None:
        """What isn't finite is no figure, and neither is what isn't there."""
        self.assertEqual({words.number(float(name)) for name in ("nan", "inf", "-inf")}, {words.NOTHING})
        nothing = [words.seconds(None), words.bytes_(None), words.rate(None), words.percent(None)]
        self.assertEqual({*nothing, words.probability(None), words.interval(1.0, None)}, {words.NOTHING})

    def test_counts(self) -> None:
        """Whole numbers have their thousands apart, and one of a thing is one."""
        self.assertEqual(words.count(24060), "24,060")
        self.assertEqual([words.counted(number, "block") for number in (0, 1, 2)], ["0 blocks", "1 block", "2 blocks"])
        self.assertEqual(words.counted(2, "entry", "entries"), "2 entries")

    def test_probability(self) -> None:
        """A p that three digits can't show isn't shown as 0."""
        self.assertEqual([words.probability(value) for value in (0.0001, 0.031, 1.0)], ["< 0.001", "0.031", "1.000"])


class UnitTests(SynchronousTestCase):
    """Figures with their units."""

    def test_times(self) -> None:
        """A time is in the unit that suits it."""
        for value, text in (
            (22.2e-9, "22.2 ns"),
            (1.93e-6, "1.93 µs"),
            (0.0145, "14.5 ms"),
            (0.99996, "1.00 s"),
            (90.5, "90.5 s"),
            (0.0, "0 s"),
            (1e-12, "0.00100 ns"),
        ):
            self.assertEqual(words.seconds(value), text)

    def test_bytes(self) -> None:
        """Rates and memory go by 1000; sizes of content by 1024, or are in bytes."""
        self.assertEqual((words.bytes_(148e6), words.rate(1.85e9), words.bytes_(5)), ("148 MB", "1.85 GB/s", "5 B"))
        self.assertEqual(
            [words.size(value) for value in (1024, 65536, 1 << 20, 3 << 30, 1000, 0)],
            ["1 KiB", "64 KiB", "1 MiB", "3 GiB", "1,000 B", "0 B"],
        )

    def test_spread(self) -> None:
        """An interval is in the unit of its median, so that all three compare at a glance."""
        self.assertEqual(words.spread(estimate(0.999, 0.1), "s"), "999 ms (899 to 1,099)")
        self.assertEqual(words.spread(estimate(51.8, 0.1), "ns"), "51.8 ns (46.6 to 57.0)")
        self.assertEqual(words.spread(estimate(863.0, 0.1), "µs"), "863 µs (777 to 949)")
        self.assertEqual(words.spread(estimate(1.8e9, 0.1), "B/s"), "1.80 GB/s (1.62 to 1.98)")

    def test_no_spread(self) -> None:
        """Without an interval there is the median alone; without a median, nothing."""
        self.assertEqual(words.spread(estimate(0.002), "s"), "2 ms")
        self.assertEqual([words.spread(estimate(None), "s"), words.spread(None, "s")], [words.NOTHING] * 2)

    def test_day(self) -> None:
        """A day is that of the run, in UTC; whatever is no day is left out."""
        self.assertEqual(words.day("2026-11-23T04:47:39+00:00"), "2026-11-23, 04:47 UTC")
        self.assertEqual(words.day("yesterday"), "")


class TextTests(SynchronousTestCase):
    """Texts, which may come from anywhere."""

    def test_listed(self) -> None:
        """Names stand in a sentence as people list them."""
        self.assertEqual([words.listed(["a", "b", "c"][:n]) for n in range(4)], ["", "a", "a and b", "a, b and c"])

    def test_cut(self) -> None:
        """A long text is cut, and one sees that."""
        self.assertEqual((words.cut("short"), len(words.cut("x" * 900, 40))), ("short", 40))
        self.assertTrue(words.cut("x" * 900).endswith("…"))

    def test_cut_words(self) -> None:
        """A word without an end is cut, and its sentence goes on."""
        self.assertEqual(words.cut_words("a " + "x" * 900 + " b", 10), "a xxxxxxxxx… b")
        self.assertEqual(words.cut_words("x" * 10, 10), "x" * 10)

    def test_shown(self) -> None:
        """What could hide itself or turn the text around is escaped; letters of all people are not."""
        self.assertEqual(words.shown("a\u202eb\x00\x1b[2J\ud800\n"), "a\\u202eb\\x00\\x1b[2J\\ud800\\n")
        self.assertEqual(words.shown("Größe 中 é\u00a0%"), "Größe 中 é\u00a0%")
        self.assertEqual(words.shown("a\nb\r", lines=True), "a\nb\\r")
