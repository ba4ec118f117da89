"""Tests for ``p2p.report.glance``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.results import LookupFigures
from p2p.report.glance import links_at_a_glance, messages_at_a_glance
from p2p.report.subject import Messages
from test.report.subjects import arm, block, drops, estimate, link, subject


class MessageTests(SynchronousTestCase):
    """What a course asks for of messages."""

    def test_names(self) -> None:
        """Every measurement is there under the words of the course."""
        names = "\n".join(row[0] for row in messages_at_a_glance(subject()).rows)
        for word in ("Average message size", "Transmission time", "Bytes per second", "Message drops", "Cycle time"):
            self.assertIn(word, names)

    def test_figures(self) -> None:
        """Figures are medians over blocks, of the run and of each arm."""
        found = subject(
            arms=(arm("transport"), arm("own")),
            blocks=(
                block(figures={"latency_s": 0.001}),
                block(figures={"latency_s": 0.003}),
                block("own", figures={"latency_s": 0.005, "cycle_s": None}),
            ),
            drops=(
                drops(offered=3000),
                drops("transport", offered=2000),
                drops("own", causes={"timeout": 5}),
                drops("own", "text"),
            ),
        )
        made = messages_at_a_glance(replace(found, messages={"": Messages(2e3, 1e3), "own": Messages(3e3, 0.0)}))
        rows = {row[0]: row[1:] for row in made.rows}
        self.assertEqual(made.heads, ("measurement", "whole run", "arm transport", "arm own"))
        self.assertEqual(rows["Messages offered"], ("3,000", "2,000", "1,000"))
        self.assertEqual(rows["Average message size"], ("2 kB", "\u2013", "3 kB"))
        self.assertEqual(rows["Average size of the reply"], ("1 kB", "\u2013", "0 B"))
        self.assertEqual(rows["Transmission time, median"], ("3 ms", "2 ms", "5 ms"))
        self.assertEqual(rows["Cycle time"], ("\u2013",) * 3)
        self.assertEqual(rows["Message drops"], ("0", "0", "5"))
        self.assertEqual(rows["Share of message drops, 95 %"][0], "≤ 0.0998 %")

    def test_many_arms(self) -> None:
        """One arm alone is the run; more than fit beside each other have no column."""
        for number in (1, 5):
            arms = tuple(arm(f"arm{one}") for one in range(number))
            self.assertEqual(len(messages_at_a_glance(subject(arms=arms)).heads), 2)


class LinkTests(SynchronousTestCase):
    """What a course asks for of look-ups and links."""

    def test_figures(self) -> None:
        """The smallest and the largest of each are shown, once where there is one alone."""
        found = subject(
            lookups=tuple(LookupFigures(size, estimate(size * 2.0, 0.1)) for size in (10, 100, 1000)),
            links=(link("setup_ns", 1, 7e6), link("router_lookup_ns", 1, 1e6), link("router_lookup_ns", 10, 2e6)),
        )
        made = links_at_a_glance(found)
        assert made is not None
        self.assertEqual(
            made.rows,
            (
                ("Routing-table look-up time, table of 10 entries", "20 ns (18 to 22)", "\u2013"),
                ("Routing-table look-up time, table of 1,000 entries", "2 µs (1.80 to 2.20)", "\u2013"),
                ("Look-up from router to router, there and back, 1 pair at once", "1 ms (0.900 to 1.10)", "2 ms"),
                ("Look-up from router to router, there and back, 10 pairs at once", "2 ms (1.80 to 2.20)", "4 ms"),
                ("Set-up of a direct link, 1 pair at once", "7 ms (6.30 to 7.70)", "14 ms"),
            ),
        )

    def test_nothing(self) -> None:
        """A run without look-ups and links has no such table."""
        self.assertIsNone(links_at_a_glance(subject()))
