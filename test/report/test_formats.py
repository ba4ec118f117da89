"""Tests for ``p2p.report.formats``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.estimates import share
from p2p.report import formats
from p2p.report.formats import NOTHING
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
            self.assertEqual(formats.number(value), text, value)

    def test_exact(self) -> None:
        """An exact whole number stays one: a margin of 7 % isn't 7.00 %."""
        self.assertEqual(
            (formats.number(5.0), formats.percent(0.07), formats.times(2000.0)), ("5", "7 %", "2,000 times")
        )

    def test_no_figure(self) -> None:
        """What isn't finite is no figure, and neither is what isn't there."""
        self.assertEqual({formats.number(float(name)) for name in ("nan", "inf", "-inf")}, {formats.NOTHING})
        nothing = [formats.seconds(None), formats.bytes_(None), formats.rate(None), formats.percent(None)]
        self.assertEqual({*nothing, formats.probability(None), formats.interval(1.0, None)}, {formats.NOTHING})

    def test_counts(self) -> None:
        """Whole numbers have their thousands apart, and one of a thing is one."""
        self.assertEqual(formats.count(24060), "24,060")
        self.assertEqual(
            [formats.counted(number, "block") for number in (0, 1, 2)], ["0 blocks", "1 block", "2 blocks"]
        )
        self.assertEqual(formats.counted(2, "entry", "entries"), "2 entries")

    def test_probability(self) -> None:
        """A p that three digits can't show isn't shown as 0."""
        self.assertEqual([formats.probability(value) for value in (0.0001, 0.031, 1.0)], ["< 0.001", "0.031", "1.000"])


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
            self.assertEqual(formats.seconds(value), text)

    def test_bytes(self) -> None:
        """Rates and memory go by 1000; sizes of content by 1024, or are in bytes."""
        self.assertEqual(
            (formats.bytes_(148e6), formats.rate(1.85e9), formats.bytes_(5)), ("148 MB", "1.85 GB/s", "5 B")
        )
        self.assertEqual(
            [formats.size(value) for value in (1024, 65536, 1 << 20, 3 << 30, 1000, 0)],
            ["1 KiB", "64 KiB", "1 MiB", "3 GiB", "1,000 B", "0 B"],
        )

    def test_spread(self) -> None:
        """An interval is in the unit of its median, so that all three compare at a glance."""
        self.assertEqual(formats.spread(estimate(0.999, 0.1), "s"), "999 ms (899 to 1,099)")
        self.assertEqual(formats.spread(estimate(51.8, 0.1), "ns"), "51.8 ns (46.6 to 57.0)")
        self.assertEqual(formats.spread(estimate(863.0, 0.1), "µs"), "863 µs (777 to 949)")
        self.assertEqual(formats.spread(estimate(1.8e9, 0.1), "B/s"), "1.80 GB/s (1.62 to 1.98)")

    def test_bare_spread(self) -> None:
        """A number without a unit is written as a ratio is, with its interval if there is one."""
        self.assertEqual(formats.NOTHING, formats.spread(None, ""))
        self.assertEqual(formats.ratio(1.25), formats.spread(estimate(1.25), ""))
        shown = formats.spread(estimate(1.25, 0.1), "")
        self.assertTrue(shown.startswith(f"{formats.ratio(1.25)} ("), shown)

    def test_no_spread(self) -> None:
        """Without an interval there is the median alone; without a median, nothing."""
        self.assertEqual(formats.spread(estimate(0.002), "s"), "2 ms")
        self.assertEqual([formats.spread(estimate(None), "s"), formats.spread(None, "s")], [formats.NOTHING] * 2)

    def test_day(self) -> None:
        """A day is that of the run, in UTC; whatever is no day is left out."""
        self.assertEqual(formats.day("2026-11-23T04:47:39+00:00"), "2026-11-23, 04:47 UTC")
        self.assertEqual(formats.day("yesterday"), "")


class TextTests(SynchronousTestCase):
    """Texts, which may come from anywhere."""

    def test_listed(self) -> None:
        """Names stand in a sentence as people list them."""
        self.assertEqual([formats.listed(["a", "b", "c"][:n]) for n in range(4)], ["", "a", "a and b", "a, b and c"])

    def test_cut(self) -> None:
        """A long text is cut, and one sees that."""
        self.assertEqual((formats.cut("short"), len(formats.cut("x" * 900, 40))), ("short", 40))
        self.assertTrue(formats.cut("x" * 900).endswith("…"))

    def test_not_cut(self) -> None:
        """A text that is as long as the limit stays whole."""
        self.assertEqual("x" * 160, formats.cut("x" * 160))
        self.assertEqual("x" * 159 + "…", formats.cut("x" * 161))

    def test_cut_words(self) -> None:
        """A word without an end is cut, and its sentence goes on."""
        self.assertEqual(formats.cut_words("a " + "x" * 900 + " b", 10), "a xxxxxxxxx… b")
        self.assertEqual(formats.cut_words("x" * 10, 10), "x" * 10)

    def test_shown(self) -> None:
        """What could hide itself or turn the text around is escaped; letters of all people are not."""
        self.assertEqual(formats.shown("a\u202eb\x00\x1b[2J\ud800\n"), "a\\u202eb\\x00\\x1b[2J\\ud800\\n")
        self.assertEqual(formats.shown("Größe 中 é\u00a0%"), "Größe 中 é\u00a0%")
        self.assertEqual(formats.shown("a\nb\r", lines=True), "a\nb\\r")


class ShareTests(SynchronousTestCase):
    """Shares with their intervals."""

    def test_shares(self) -> None:
        """The interval of none has one side, that of something two, and that of nothing offered none."""
        self.assertEqual(formats.share_interval(share(0, 300)), "≤ 0.994 %")
        self.assertEqual(formats.share_interval(share(3, 300)), "0.207 % to 2.89 %")
        self.assertEqual(formats.share_interval(share(0, 0)), NOTHING)


class WordTests(SynchronousTestCase):
    """Numbers that are words, and shares that are next to nothing."""

    def test_ordinal(self) -> None:
        """Small ordinal numbers are words."""
        self.assertEqual([formats.ordinal(value) for value in (1, 4, 10, 11)], ["first", "fourth", "tenth", "11th"])

    def test_tiny(self) -> None:
        """What is less than a hundredth of a percent is only called that."""
        for value, text in ((0.0, "< 0.01 %"), (0.00009, "< 0.01 %"), (0.0001, "0.0100 %"), (0.5, "50 %")):
            self.assertEqual(formats.tiny(value), text)

    def test_ratio(self) -> None:
        """Ratios near 1 have three decimals, others three digits."""
        for value, text in ((0.99, "0.990"), (1.0, "1.000"), (2.5, "2.50"), (15.62, "15.6"), (0.0549, "0.0549")):
            self.assertEqual(formats.ratio(value), text)
