"""Tests for ``p2p.report.figures.sheet``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.estimates import Estimate
from p2p.report import formats
from p2p.report.figures import LIGHT, sheet
from p2p.report.figures.units import durations, seconds


def new_axes() -> Any:
    """Make axes; what can be asked of them has too many types to be told."""
    return Figure().subplots()


AXES: Final = new_axes()
"""For many tries: making axes takes long."""


def ticks(draw: Callable[..., None], *arguments: object, **more: object) -> tuple[list[float], list[str]]:
    """Make an axis and return its ticks with their labels."""
    axes = new_axes()
    draw(axes, *arguments, **more)
    return axes.get_xticks().tolist(), [label.get_text() for label in axes.get_xticklabels()]


class LogarithmicTests(SynchronousTestCase):
    """Logarithmic axes."""

    def test_round(self) -> None:
        """Ticks are round, have units, and are as many as there is room for."""
        for high, inches, expected in (
            (2e-3, 6.0, "1 ms,1.20 ms,1.50 ms,2 ms"),
            (1e-2, 2.5, "1 ms,2 ms,5 ms,10 ms"),
            (1e-1, 1.3, "1 ms,10 ms,100 ms"),
            (1e1, 1.6, "1 ms,100 ms,10 s"),
        ):
            _, labels = ticks(sheet.logarithmic, "x", 1e-3, high, formats.seconds, inches=inches)
            self.assertEqual(",".join(labels), expected)

    def test_narrow(self) -> None:
        """An axis shows a good part of its middle even if there is one value alone; it has a tick still."""
        axes = new_axes()
        sheet.logarithmic(axes, "y", 1.0, 1.0, formats.seconds, inches=1.0)
        low, high = axes.get_ylim()
        self.assertGreater(high / low, 1.4)
        self.assertTrue(axes.get_yticks().tolist())

    # The first draw of a run reads the constants of all modules there are, which takes a busy machine a second.
    @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.floats(min_value=1e-9, max_value=1e9),
        st.floats(min_value=1.0, max_value=1e9),
        st.floats(min_value=0.3, max_value=7.0),
    )
    def test_labels_never_touch(self, low: float, factor: float, inches: float) -> None:
        """Whatever the values, the ticks lie on the axis, and no label touches the next one."""
        axes = AXES
        sheet.logarithmic(axes, "x", low, low * factor, formats.seconds, inches=inches)
        at = axes.transAxes.inverted().transform(axes.transData.transform([(tick, 0) for tick in axes.get_xticks()]))
        labels = [label.get_text() for label in axes.get_xticklabels()]
        ends = 0.0
        for place, (x, label) in enumerate(zip(at[:, 0].tolist(), labels, strict=True)):
            self.assertTrue(-0.01 <= x <= 1.01)
            half = len(label) * 0.06 / 2
            if place:
                self.assertGreaterEqual(x * inches - half, ends - 1e-6)
            ends = x * inches + half


class PlacesTests(SynchronousTestCase):
    """Axes of values that were chosen."""

    def test_values(self) -> None:
        """Each value has a tick; where labels would touch, some have none, but the first and the last have."""
        at, labels = ticks(sheet.places, [1024, 65536, 1 << 20], formats.size, inches=3.0)
        self.assertEqual(labels, ["1 KiB", "64 KiB", "1 MiB"])
        sizes = [1 << power for power in range(10, 27)]
        at, labels = ticks(sheet.places, sizes, formats.size, inches=2.0)
        self.assertEqual((at[0], at[-1]), (sizes[0], sizes[-1]))
        self.assertLess(len(labels), 6)

    def test_one_value(self) -> None:
        """A single value stands in the middle."""
        axes = new_axes()
        sheet.places(axes, [7], formats.count, inches=3.0)
        low, high = axes.get_xlim()
        self.assertAlmostEqual(low * high, 49)
        self.assertEqual(axes.get_xticks().tolist(), [7])


class LinearTests(SynchronousTestCase):
    """Linear axes."""

    def test_round(self) -> None:
        """Ticks are round in the unit that is asked for."""
        self.assertEqual(ticks(sheet.linear, "x", 0, 0.01, seconds)[1], ["0", "2 ms", "4 ms", "6 ms", "8 ms", "10 ms"])
        self.assertEqual(ticks(sheet.linear, "x", 0, 200, durations, per=60.0)[1], ["0", "1 min", "2 min", "3 min"])


class MarksTests(SynchronousTestCase):
    """Marks and legends."""

    def test_interval(self) -> None:
        """An interval is drawn where there is one, along the axis that it belongs to."""
        axes = new_axes()
        sheet.interval(axes, "x", 1, Estimate(2, 5.0), LIGHT.ink)
        self.assertEqual(len(axes.get_lines()), 0)
        sheet.interval(axes, "y", 1, Estimate(5, 5.0, 4.0, 7.0), LIGHT.ink, factor=2)
        (line,) = axes.get_lines()
        self.assertEqual((list(line.get_xdata()), list(line.get_ydata())), ([1, 1], [8.0, 14.0]))

    def test_legend(self) -> None:
        """The types stand in their order, each with its line and marker, beside the data and not over them."""
        figure = sheet.new(2)
        sheet.legend(figure, {"video", "text", "text-as-video"}, LIGHT)
        legend: Any = figure.legends[0]
        self.assertEqual([text.get_text() for text in legend.get_texts()], ["text", "text-as-video", "video"])
        self.assertEqual([line.get_marker() for line in legend.get_lines()], ["o", "^", "^"])
        self.assertEqual(legend._outside_loc, "upper")

    def test_wide_legends(self) -> None:
        """A legend that is too wide has more lines; a single entry, and none, do no harm."""
        for number, columns in ((12, 4), (1, 1), (0, 1)):
            figure = sheet.new(2)
            sheet.keys(figure, {f"a rather long name {n}": Line2D([], []) for n in range(number)})
            legend: Any = figure.legends[0]
            self.assertLessEqual(legend._ncols, columns)
        figure = sheet.new(2)
        sheet.keys(figure, {f"area {n}": Patch() for n in range(5)})
        legend = figure.legends[0]
        self.assertEqual(legend._ncols, 5)

    def test_finite(self) -> None:
        """Only figures that can be drawn on a logarithmic axis are taken."""
        self.assertEqual(sheet.finite([1.0, None, float("nan"), 0.0, -1.0, float("inf")]), [1.0])
