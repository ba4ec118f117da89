"""Tests for ``p2p.report.limits``."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.raw_data import MissingBlock, Placement, RunFacts
from p2p.report.document import Items, Table
from p2p.report.limits import LISTED, REASON, section
from test.report.subjects import FACTS_OF_RUN, PLAN_TEXT, block, subject

ELSEWHERE = (Placement(what="a", where="x"), Placement(what="b", where="y"))


class LimitTests(SynchronousTestCase):
    """What a measurement can't tell."""

    def said(self, **parts: Any) -> str:
        """All sentences and rows of the section."""
        lines: list[str] = []
        for one in section(subject(**parts)).parts:
            if isinstance(one, Items):
                lines += one.items
            elif isinstance(one, Table):
                lines += [" ".join(row) for row in one.rows] + [one.note]
        return "\n".join(lines)

    def test_one_machine(self) -> None:
        """On one machine it is overhead, not the network, and many pairs wait for processors."""
        text = self.said()
        self.assertIn("this is overhead, not the network", text)
        self.assertIn("up to 10 pairs shared 2 processors", text)
        self.assertNotIn("shared", self.said(blocks=(block(pairs=1),)))

    def test_lab(self) -> None:
        """In a lab it isn't said, and where nobody knows, that is said."""
        lab = FACTS_OF_RUN.model_copy(update={"placement": ELSEWHERE})
        self.assertNotIn("overhead", self.said(facts=lab))
        self.assertNotIn("doesn't say what ran where", self.said(facts=lab))
        self.assertIn("doesn't say what ran where", self.said(facts=RunFacts()))

    def test_load(self) -> None:
        """The closed loop hides what waits; an open load doesn't."""
        self.assertIn("In the closed loop", self.said())
        self.assertNotIn("closed loop", self.said(blocks=(block(load="open:20"),)))

    def test_blocks(self) -> None:
        """How many repetitions a figure rests on is told, and what is missing of the plan."""
        self.assertIn("a figure rests on at most 6 repetitions", self.said())
        self.assertIn("83 of 84 planned blocks are missing", self.said())
        self.assertNotIn("planned blocks", self.said(plan=""))

    def test_unfinished(self) -> None:
        """A run that isn't finished is told."""
        self.assertNotIn("isn't finished", self.said())
        self.assertIn("isn't finished", self.said(facts=RunFacts()))

    def test_plan(self) -> None:
        """A plan that can't be read is told with the reason; one that is missing is in the reader's notes."""
        self.assertNotIn("The plan can't be read", self.said(plan=""))
        found = subject(plan=PLAN_TEXT)
        object.__setattr__(found, "plan_problem", "plan.yaml:1: title: is 5")
        items = section(found).parts[0]
        assert isinstance(items, Items)
        self.assertIn("The plan can't be read: plan.yaml:1: title: is 5.", items.items)

    def test_missing(self) -> None:
        """Missing blocks are named with their reasons, long ones cut, and many of them counted."""
        self.assertIn("5 a pair died", self.said(missing=(MissingBlock(block=5, why="a pair died"),)))
        many = tuple(MissingBlock(block=one, why="x" * 9999) for one in range(LISTED + 7))
        text = self.said(missing=many)
        self.assertIn("And 7 more.", text)
        self.assertLess(max(map(len, text.splitlines())), 400)

    def test_notes(self) -> None:
        """What the reader left out is told, each note cut, and many of them counted."""
        self.assertIn("samples.csv: line 7", self.said(notes=("samples.csv: line 7 was cut off",)))
        text = self.said(notes=("y" * 9999,) * (LISTED + 1))
        self.assertIn("And 1 more.", text)
        self.assertLessEqual(max(map(len, text.splitlines())), max(REASON, 400))
