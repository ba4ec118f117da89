"""Tests for ``p2p.report.figures.units``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.figures.units import bytes_, durations, plain, rates, seconds, shares


class UnitsTests(SynchronousTestCase):
    """The labels of an axis."""

    def test_one_unit(self) -> None:
        """All labels of an axis have the unit that suits the largest, and 0 has none."""
        self.assertEqual(seconds([0, 0.0005, 0.001]), ["0", "0.5 ms", "1 ms"])
        self.assertEqual(seconds([0, 5e-9]), ["0", "5 ns"])
        self.assertEqual(seconds([1e-12]), ["0.001 ns"])
        self.assertEqual(rates([0, 2.5e6, 5e6]), ["0", "2.5 MB/s", "5 MB/s"])
        self.assertEqual(bytes_([0, 5e7, 1e8]), ["0", "50 MB", "100 MB"])

    def test_every_unit(self) -> None:
        """A tick of 1 in a unit is written in that unit."""
        for ticks, units in ((seconds, ("s", "ms", "µs", "ns")), (bytes_, ("B", "kB", "MB", "GB", "TB"))):
            for power, unit in enumerate(units):
                self.assertEqual(ticks([1000.0 ** (power if ticks is bytes_ else -power)]), [f"1 {unit}"])
        self.assertEqual(bytes_([5]), ["5 B"])

    def test_nothing(self) -> None:
        """An axis without ticks has no labels."""
        self.assertEqual([seconds([]), rates([]), durations([]), plain([])], [[], [], [], []])

    def test_long_times(self) -> None:
        """Long times are in minutes or hours."""
        self.assertEqual(durations([0, 60, 120]), ["0", "1 min", "2 min"])
        self.assertEqual(durations([0, 7200]), ["0", "2 h"])
        self.assertEqual(durations([0, 30, 90]), ["0", "30 s", "90 s"])

    def test_shares_and_numbers(self) -> None:
        """Shares are in percent, and thousands are apart; what floating point adds isn't seen."""
        self.assertEqual(shares([0, 0.00001, 0.1, 0.30000000000000004]), ["0", "0.001 %", "10 %", "30 %"])
        self.assertEqual(plain([0, 1500, 2.5]), ["0", "1,500", "2.5"])
