"""Tests for ``p2p.report.figures.course``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.details import Second
from p2p.measure.raw_data import RunEvent
from p2p.report.figures.course import POINTS, course
from test.report.figures.cases import drawn, said, small


def seconds(*messages: int, lost: int = 0, latency: float | None = 0.01) -> tuple[Second, ...]:
    """Seconds with so many messages; the first of them has the drops."""
    return tuple(
        Second(place, many, lost if not place else 0, 1000 * many, latency) for place, many in enumerate(messages)
    )


class CourseTests(SynchronousTestCase):
    """What went on in each second."""

    def test_lines(self) -> None:
        """Messages, bytes and time have a panel each, by the second; drops are marked and counted."""
        made, analysis = small()
        picture, figure = drawn(course, made, replace(analysis, seconds=seconds(3, 5, 4, lost=2)))
        self.assertEqual(list(figure.axes[0].get_lines()[0].get_ydata()), [3, 5, 4])
        self.assertEqual(list(figure.axes[0].get_lines()[1].get_xdata()), [0])
        self.assertIn("messages per second", said(figure))
        self.assertIn("seconds with drops, 2 in all.", picture.caption)
        self.assertIn("over 3 seconds: half of them had at least 4 messages, the busiest 5.", picture.alt)
        self.assertIn(
            "Nothing was dropped.", drawn(course, made, replace(analysis, seconds=seconds(1, 2, 3)))[0].caption
        )

    def test_long(self) -> None:
        """Of a long run, neighbouring seconds become one point; times far apart get a logarithmic axis."""
        made, analysis = small()
        there = (*seconds(*[1] * 1000), Second(1200, 1, 0, 10, 5.0), Second(1500, 1, 0, 10, None))
        _, figure = drawn(course, made, replace(analysis, seconds=there))
        self.assertLessEqual(len(figure.axes[0].get_lines()[0].get_xdata()), POINTS)
        self.assertEqual(figure.axes[2].get_yscale(), "log")

    def test_all_lost(self) -> None:
        """A run of which nothing arrived can be drawn."""
        made, analysis = small()
        drawn(course, made, replace(analysis, seconds=seconds(1, 1, 1, lost=1, latency=None)))

    def test_short(self) -> None:
        """A run of two seconds has no course."""
        made, analysis = small()
        self.assertIsNone(course(made, replace(analysis, seconds=seconds(1, 2))))

    def test_events(self) -> None:
        """What was done on purpose is a line in each panel, and named with its second."""
        made, analysis = small()
        block = made.blocks["started_ns"][-1]
        events = (RunEvent(block=1, t_ns=1, what="routers killed"), RunEvent(block=9, t_ns=block + 10**12, what="late"))
        marked = replace(made, facts=made.facts.model_copy(update={"events": events}))
        picture, figure = drawn(course, marked, replace(analysis, seconds=seconds(1, 2, 3)))
        self.assertIn("done on purpose: routers killed in second 0 and late in second", picture.caption)
        upright = [
            line
            for line in figure.axes[2].get_lines()
            if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
        ]
        self.assertEqual(len(upright), 2)
