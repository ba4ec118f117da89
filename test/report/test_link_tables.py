"""Tests for ``p2p.report.link_tables``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import Outcome
from p2p.measure.results import LookupFigures
from p2p.report.link_tables import causes, daemons, drops, legs, look_ups, round_trips, tcp
from test.report.subjects import arm, daemon, estimate, link, subject
from test.report.subjects import drops as made_drops


class LinkTableTests(SynchronousTestCase):
    """Look-ups and links."""

    def test_look_ups(self) -> None:
        """A row for each size of the table."""
        found = look_ups(subject(lookups=(LookupFigures(20_000, estimate(50.0, 0.1, 20)),)))
        assert found is not None
        self.assertEqual(found.rows, (("20,000", "50 ns (45 to 55)", "20"),))

    def test_legs(self) -> None:
        """A row for each number of pairs, a column for each leg; a leg that isn't known is a dash."""
        found = legs(
            subject(
                links=(
                    link("setup_ns", 10, 7e6),
                    link("tls_ns", 10, 2e6),
                    link("dial_ns", 10, 0.0),
                    link("listen_ns", 10, None),
                    link("setup_ns", 1, 3e6),
                )
            )
        )
        assert found is not None
        self.assertEqual(found.rows[0], ("1", "6", *["\u2013"] * 5, "3 ms", "6 ms"))
        self.assertEqual(found.rows[1], ("10", "60", "\u2013", "\u2013", "0 s", "2 ms", "\u2013", "7 ms", "14 ms"))

    def test_round_trips(self) -> None:
        """What TCP saw is in its own units; what nobody saw is a dash."""
        found = round_trips(
            subject(links=(link("rtt_us", 10, 860.0), link("retransmits", 10, 1.0), link("table_lookup_ns", 1, 500.0)))
        )
        assert found is not None
        self.assertEqual(found.rows[0], ("1", "6", "500 ns (450 to 550)", "\u2013", "\u2013"))
        seen = tcp(subject(links=(link("rtt_us", 10, 860.0), link("retransmits", 10, 1.0), link("setup_ns", 1, 1.0))))
        assert seen is not None
        self.assertEqual(seen.rows, (("10", "60", "860 µs (774 to 946)", "30"),))

    def test_nothing(self) -> None:
        """A run without them has no tables of them."""
        none = subject()
        self.assertEqual([look_ups(none), legs(none), round_trips(none), tcp(none), daemons(none)], [None] * 5)


class DropTests(SynchronousTestCase):
    """What was lost."""

    def test_arms(self) -> None:
        """The whole run comes first, then the arms in the order of the plan."""
        found = drops(
            subject(
                arms=(arm("own"), arm("transport")),
                drops=(
                    made_drops("own"),
                    made_drops(),
                    made_drops("transport", "text", refused=2, causes={"reset": 3}),
                ),
            )
        )
        self.assertEqual([row[0] for row in found.rows], ["whole run", "transport", "own"])
        self.assertEqual(found.rows[1][1:6], ("text", "1,000", "995", "2", "3"))

    def test_causes(self) -> None:
        """Every cause is there, also those that didn't happen, with what they can be at most."""
        found = causes(made_drops(causes={"reset": 3}))
        self.assertEqual([row[0] for row in found.rows], [one.value for one in Outcome if one.is_drop])
        rows = {row[0]: row[1:] for row in found.rows}
        self.assertEqual((rows["timeout"], rows["reset"]), (("0", "≤ 0.299 %"), ("3", "0.0619 % to 0.874 %")))


class DaemonTests(SynchronousTestCase):
    """What daemons held."""

    def test_daemons(self) -> None:
        """Routers come first; a single reading has no share of a processor."""
        found = daemons(
            subject(
                daemons=(replace(daemon("peers-n", "peer"), cpu_share=None), daemon("router-n", "router", (1, 3, 2)))
            )
        )
        assert found is not None
        self.assertEqual(found.rows[0], ("router-n", "router", "1", "3", "2", "1.50 s", "25 %", "50 MB"))
        self.assertEqual(found.rows[1][6], "\u2013")
