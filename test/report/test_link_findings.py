"""Tests for ``p2p.report.link_findings``: each sentence is said where the figures bear it out, and only there."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.results import LookupFigures
from p2p.measure.verdicts import VerdictOutcome
from p2p.report.link_findings import (
    about_drops,
    about_links,
    about_look_ups,
    about_resources,
    about_sampling,
    about_tcp,
)
from test.report.subjects import FACTS_OF_RUN, comparison, daemon, drops, estimate, link, subject, verdict


class LookUpTests(SynchronousTestCase):
    """The look-up against the size of the table."""

    def said(self, *found: tuple[int, float | None]) -> str:
        return "\n".join(
            about_look_ups(subject(lookups=tuple(LookupFigures(size, estimate(ns, 0.1)) for size, ns in found)))
        )

    def test_hardly(self) -> None:
        """A table 2,000 times as large that takes twice as long hardly matters."""
        text = self.said((10, 20.0), (20_000, 50.0))
        self.assertIn(
            "In a table of 20,000 entries a look-up takes 50 ns (45 to 55), 2.50 times that in a table of 10,", text
        )
        self.assertIn("2,000 times fewer: the look-up grows far less than the table", text)

    def test_grows(self) -> None:
        """A look-up that grows with the table isn't said not to."""
        text = self.said((10, 20.0), (100, 150.0))
        self.assertIn("7.50 times that in a table of 10.", text)
        self.assertNotIn("hardly", text)

    def test_too_little(self) -> None:
        """One size alone, a table of none, and times that aren't there show nothing."""
        self.assertEqual(
            [self.said((10, 20.0)), self.said((0, 5.0), (10, 20.0)), self.said((1, None), (2, 1.0))], [""] * 3
        )

    def test_between_routers(self) -> None:
        """Where the table is a small part of the routers' question, the way is the rest."""
        links = link("table_lookup_ns", 1, 2e3), link("router_lookup_ns", 1, 1e6)
        self.assertIn(
            "Of the question from router to router, 1 ms with 1 pair at once, the look-up in the table is 0.200 %",
            "".join(about_look_ups(subject(links=links))),
        )
        for other in (
            (link("table_lookup_ns", 1, 5e5), links[1]),
            links[1:],
            (links[0], link("router_lookup_ns", 1, None)),
        ):
            self.assertEqual(list(about_look_ups(subject(links=other))), [])


class LinkTests(SynchronousTestCase):
    """The set-up of links."""

    def test_growth_and_legs(self) -> None:
        """The fewest and the most pairs are told, and the leg that always takes longest."""
        links = [
            link(figure, pairs, pairs * 1e6 * share)
            for pairs in (1, 100)
            for figure, share in (("setup_ns", 7.0), ("instruct_ns", 4.0), ("tls_ns", 2.0))
        ]
        text = "\n".join(about_links(subject(links=tuple(links))))
        self.assertIn(
            "stands after 7 ms (6.30 to 7.70) with 1 pair at once, and after 700 ms (630 to 770) with 100", text
        )
        self.assertIn("Of its legs the routers' answer takes longest at every number of pairs.", text)

    def test_one_number_of_pairs(self) -> None:
        """With one number of pairs alone there is nothing to compare."""
        text = "\n".join(about_links(subject(links=(link("setup_ns", 10, 7e6), link("tls_ns", 10, 2e6)))))
        self.assertNotIn(", and after", text)
        self.assertIn("the TLS handshake takes longest.", text)

    def test_changing_leg(self) -> None:
        """Where the longest leg changes with the pairs, none is named."""
        links = (
            *(link("setup_ns", pairs, 7e6) for pairs in (1, 10)),
            *(link("tls_ns", pairs, 2e6) for pairs in (1, 10)),
            link("dial_ns", 10, 3e6),
        )
        self.assertEqual(len(list(about_links(subject(links=links)))), 1)

    def test_nothing(self) -> None:
        """Without links nothing is said; without legs, nothing of legs."""
        self.assertEqual(list(about_links(subject())), [])
        self.assertEqual(len(list(about_links(subject(links=(link("setup_ns", 1, 7e6),))))), 1)


class DropTests(SynchronousTestCase):
    """What was lost."""

    def said(self, refused: int = 0, **causes: int) -> str:
        return "\n".join(about_drops(subject(drops=(drops(refused=refused, causes=causes),))))

    def test_none(self) -> None:
        """None of n is at most 3/n, and isn't called impossible."""
        text = self.said()
        self.assertIn(
            "None of 1,000 messages was dropped; with 95 % confidence the share of drops is at most 0.299 %.", text
        )
        self.assertNotIn("By cause", text)

    def test_some(self) -> None:
        """Drops are told with their share, and by cause, the most frequent first."""
        text = self.said(timeout=2, reset=5)
        self.assertIn("7 of 1,000 messages were dropped, 0.700 % (95 % interval 0.282 % to 1.44 %).", text)
        self.assertIn("By cause: reset 5 and timeout 2.", text)
        self.assertIn("1 of 1,000 messages was dropped", self.said(corrupt=1))

    def test_refused(self) -> None:
        """What was refused is no drop."""
        self.assertIn("3 messages were refused, which is no drop.", self.said(refused=3))
        self.assertIn("None of 1,000", self.said(refused=3))


class ResourceTests(SynchronousTestCase):
    """What daemons held."""

    def test_daemons(self) -> None:
        """Who held most is named; routers that held no more sockets than at first are told."""
        found = (
            daemon("router-n", "router"),
            daemon("peers-n", "peer", (10, 25, 12), rss_bytes_most=148_000_000, cpu_share=0.5),
            daemon("peers-m", "peer", cpu_share=None),
        )
        text = "\n".join(about_resources(subject(daemons=found)))
        self.assertIn("The most memory was held by peers-n: 148 MB.", text)
        self.assertIn("by peers-n: 50 % of one processor.", text)
        self.assertIn("No router held more sockets than at first", text)
        self.assertIn("The open sockets of peers-n went from 10 to at most 25, and were 12 at the last reading.", text)

    def test_quiet(self) -> None:
        """Nothing is said of what didn't happen or isn't known."""
        found = (daemon("router-n", "router", (10, 12, 10), cpu_share=None),)
        text = "\n".join(about_resources(subject(daemons=found)))
        self.assertNotIn("No router", text)
        self.assertNotIn("processor", text)
        steady = "\n".join(about_resources(subject(daemons=(daemon("a", "peer"),))))
        self.assertNotIn("open sockets", steady)
        self.assertNotIn("No router", steady)
        self.assertEqual(list(about_resources(subject())), [])


class TcpTests(SynchronousTestCase):
    """What TCP sent again."""

    def test_again(self) -> None:
        """How many segments, on how many links; on one machine that isn't loss, and it is said what it is."""
        links = (link("retransmits", 10, 1.0),)
        text = "\n".join(about_tcp(subject(links=links)))
        self.assertIn("TCP sent 30 segments again on 60 links, 0.500 on average.", text)
        self.assertIn("On one machine nothing gets lost on the way", text)
        elsewhere = FACTS_OF_RUN.model_copy(update={"placement": ()})
        self.assertNotIn("one machine", "\n".join(about_tcp(subject(links=links, facts=elsewhere))))

    def test_none(self) -> None:
        """None is said to be none, and nothing is said of what nobody knows."""
        never = (replace(link("retransmits", 10, 0.0), total=0.0),)
        self.assertEqual(list(about_tcp(subject(links=never))), ["TCP sent no segment again on 60 links."])
        self.assertEqual(list(about_tcp(subject())), [])


class SamplingTests(SynchronousTestCase):
    """What measuring costs."""

    def said(self, outcome: VerdictOutcome, ratio: float, low: float | None = 0.9) -> str:
        one = comparison("off", "on", outcome, ratio=ratio, low=low, high=low and 1.1)
        found = subject(sampling=verdict(outcome, one, kind="sampling", margin=0.02))
        return "".join(about_sampling(found))

    def test_outcomes(self) -> None:
        """Each verdict has its sentence, and none says more than the verdict."""
        self.assertIn("Sampling costs less than 2 % of throughput", self.said("equivalent", 0.99))
        self.assertIn("remains open", self.said("inconclusive", 0.96))
        self.assertIn("Sampling costs throughput", self.said("differs", 0.8))
        self.assertIn("can't have made it higher", self.said("differs", 1.3))

    def test_nothing(self) -> None:
        """A run that didn't ask has no answer."""
        self.assertEqual(list(about_sampling(subject())), [])
        self.assertEqual(self.said("inconclusive", 0.9, None), "")
