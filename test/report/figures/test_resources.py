"""Tests for ``p2p.report.figures.resources``."""

from __future__ import annotations

import math
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.raw_reader import RawRun
from p2p.report.figures.resources import LINES, POINTS, resources
from test.report.figures.cases import analysed, columns, drawn, empty, run, said, small


def held(*readings: tuple[int, str, str, int, float, int]) -> RawRun:
    """Make a run whose daemons held this: seconds, daemon, role, sockets, processor time, memory."""
    names = ("t_ns", "daemon", "role", "sockets", "cpu_s", "rss_bytes")
    values: dict[str, list[Any]] = {name: [one[at] for one in readings] for at, name in enumerate(names)}
    values["t_ns"] = [10**9 * second for second in values["t_ns"]]
    return columns(run(conditions=("text",), sizes=(1024,), repetitions=1), daemons=values)


class ResourcesTests(SynchronousTestCase):
    """What the daemons held."""

    def test_panels(self) -> None:
        """Sockets, processor and memory stand one above the other, each with a line for every daemon."""
        picture, figure = drawn(resources, *small())
        self.assertEqual([axes.get_title(loc="left") for axes in figure.axes], ["open sockets", "processor", "memory"])
        for axes in figure.axes:
            self.assertEqual(len(axes.get_lines()), 2)
            self.assertEqual(axes.get_ylim()[0], 0)
        self.assertEqual(list(figure.axes[0].get_lines()[0].get_ydata()), [10, 11, 12, 13, 14])
        cpu = list(figure.axes[1].get_lines()[0].get_ydata())
        self.assertTrue(math.isnan(cpu[0]))
        self.assertEqual(cpu[1:], [0.5] * 4)
        texts = said(figure)
        self.assertTrue({"routers", "peers", "4 s", "5 MB", "time of measuring since the first reading"} <= set(texts))
        self.assertIn("2 daemons, a line each", picture.caption)
        self.assertIn("routers: at most 14 sockets, 50 % of a processor on average, at most 10 MB", picture.alt)

    def test_looks(self) -> None:
        """Daemons of one role have one colour, which is no content type's, and differ in line and marker."""
        made = held(*((second, f"peers-{n}", "peer", 1, 0.0, 1) for n in "mn" for second in range(3)))
        _, figure = drawn(resources, made, analysed(made))
        one, other = figure.axes[0].get_lines()
        self.assertEqual(one.get_color(), other.get_color())
        self.assertNotEqual((one.get_linestyle(), one.get_marker()), (other.get_linestyle(), other.get_marker()))

    def test_interrupted(self) -> None:
        """Where the run was interrupted, or a clock began anew, the line breaks, and no rate is made up."""
        for second in (1000, 1):
            made = held(
                *((at, "p", "peer", 1, float(cpu), 1) for at, cpu in ((2, 5), (3, 6), (second, 2), (second + 1, 3)))
            )
            picture, figure = drawn(resources, made, analysed(made))
            cpu = list(figure.axes[1].get_lines()[0].get_ydata())
            self.assertEqual([round(value, 3) for value in cpu if not math.isnan(value)], [1.0, 1.0])
            self.assertEqual(sum(math.isnan(x) for x in figure.axes[0].get_lines()[0].get_xdata()), 1)
            self.assertIn("Gaps are where the run was interrupted.", picture.caption)

    def test_long(self) -> None:
        """Of a long run, a line has a point for the most of each stretch of time, and hours on its axis."""
        seconds = (*range(0, 9000, 9), 9500)  # and one alone after a break, of which no rate is known
        peak = held(*((second, "p", "peer", 7 if second == 4995 else 1, 0.0, 1) for second in seconds))
        _, figure = drawn(resources, peak, analysed(peak))
        ys = [y for y in figure.axes[0].get_lines()[0].get_ydata() if not math.isnan(y)]
        self.assertLessEqual(len(ys), POINTS + 2)
        self.assertEqual(max(ys), 7)
        self.assertIn("1 h", said(figure))

    def test_many(self) -> None:
        """Of many daemons those of a role are drawn together: their median, and the area that holds all of them."""
        made = held(*((second, f"pc{n:02}", "peer", n, 0.0, n) for n in range(LINES + 1) for second in range(3)))
        picture, figure = drawn(resources, made, analysed(made))
        (line,) = figure.axes[0].get_lines()
        self.assertEqual(set(line.get_ydata()), {LINES / 2})
        area = figure.axes[0].collections[0].get_paths()[0].get_extents()
        self.assertEqual((area.y0, area.y1), (0, LINES))
        self.assertIn("9 peers", said(figure))
        self.assertIn("1 more daemon.", picture.alt)
        self.assertIn("9 daemons; those of one role are drawn together", picture.caption)

    def test_single(self) -> None:
        """A single reading is a point; many daemons with one reading each have no processor time to show."""
        made = held((5, "p", "peer", 3, 1.0, 1000))
        drawn(resources, made, analysed(made))
        made = held(*((5, f"pc{n}", "peer", 3, 1.0, 1000) for n in range(LINES + 1)))
        drawn(resources, made, analysed(made))

    def test_nothing(self) -> None:
        """Without readings there is no figure."""
        self.assertIsNone(resources(empty(), analysed(empty())))
