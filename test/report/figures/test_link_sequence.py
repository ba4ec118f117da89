"""Tests for ``p2p.report.figures.link_sequence``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.figures.link_sequence import link_sequence
from test.report.figures.cases import analysed, drawn, empty, said, small


class LinkSequenceTests(SynchronousTestCase):
    """How a link comes to be."""

    def test_steps(self) -> None:
        """The four who take part are named, and each step is there, drawn and told."""
        picture, figure = drawn(link_sequence, *small())
        for text in ("peer n1.n", "router n", "router m", "peer m4.m", "TCP connection", "reply"):
            self.assertIn(text, said(figure))
        self.assertIn("peer n1.n to router n: who is m4.m? (port, ticket);", picture.alt)
        self.assertIn("router m looks into its table;", picture.alt)

    def test_nothing(self) -> None:
        """A run without a figure needs none that explains it."""
        self.assertIsNone(link_sequence(empty(), analysed(empty())))
