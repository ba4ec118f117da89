"""Tests for ``p2p.report.figures.panels``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.report.figures.panels import arms, cut, left_out, number_of_blocks, planned, rows, spread, told
from test.report.figures.cases import analysed, columns, merged, run, small


class ChoiceTests(SynchronousTestCase):
    """What of a run is shown."""

    def test_spread(self) -> None:
        """Of many, some are taken evenly, with the first and the last; of few, all."""
        self.assertEqual(spread(range(3), 4), [0, 1, 2])
        self.assertEqual(spread(range(100), 4), [0, 33, 66, 99])

    def test_order_of_the_plan(self) -> None:
        """Arms come in the order of the plan, and those that it doesn't have behind."""
        made = run(plan="arms:\n  zoo:\n    x: 1\n  ape: {}\n")
        self.assertEqual(sorted(["new", "ape", "zoo"], key=lambda arm: planned(made, arm)), ["zoo", "ape", "new"])

    def test_arm_about_sampling(self) -> None:
        """An arm that measures what sampling costs isn't shown among the others, but it is if it is alone."""
        one = run(conditions=("text",), sizes=(1024,), repetitions=1, arm="one")
        cost = run(conditions=("text",), sizes=(1024,), repetitions=1, arm="cost", first_block=10)
        both = merged(one, cost)
        off = columns(both, blocks={"sampling": ["on", "off"]})
        analysis = analysed(both)
        self.assertEqual(arms(off, analysis), ["one"])
        alone = columns(cost, blocks={"sampling": ["off"]})
        self.assertEqual(arms(alone, analysed(cost)), ["cost"])

    def test_titles(self) -> None:
        """What all panels have in common stands above, what they differ in at each of them."""
        made, analysis = small()
        (row,) = rows(made, analysis)
        self.assertEqual(row.title, "Arm transport, 2 pairs at once")
        self.assertEqual([column.title for column in row.columns], ["1 KiB", "64 KiB"])
        other = run(conditions=("text",), sizes=(1024,), repetitions=1, load="open:20", pairs=1)
        (row,) = rows(other, analysed(other))
        self.assertEqual(row.title, "Arm transport, 1 KiB, 1 pair, load open:20")
        self.assertEqual(row.columns[0].title, "")
        mixed = merged(other, run(conditions=("text",), sizes=(1024,), repetitions=1, first_block=10))
        (row,) = rows(mixed, analysed(mixed))
        self.assertEqual([one.title for one in row.columns], ["1 pair, open:20", "2 pairs, closed"])

    def test_left_out(self) -> None:
        """What a figure has no room for is told, and its blocks aren't counted."""
        made, analysis = small()
        shown = rows(made, analysis, columns=4)
        self.assertEqual(left_out(made, analysis, shown), "")
        self.assertEqual(number_of_blocks(analysis, shown), 30)
        few = [replace(shown[0], columns=shown[0].columns[:1])]
        self.assertEqual(
            left_out(made, analysis, few),
            "Of the combinations of size, pairs and load the figure has 1 of 2 of arm transport.",
        )
        self.assertEqual(number_of_blocks(analysis, few), 15)
        self.assertEqual(left_out(made, analysis, []), "1 more arm is in the tables alone.")


class WordsTests(SynchronousTestCase):
    """Words from files that anybody may have written."""

    def test_cut(self) -> None:
        """A name is as long as there is room; what the font lacks or what hides is a question mark or escaped."""
        self.assertEqual(cut("n" * 100, 5), "nnnn…")
        self.assertEqual(cut("Größe Ωμ да"), "Größe Ωμ да")
        self.assertEqual(cut("漢\u202e"), "?\\u202e")

    def test_told(self) -> None:
        """Of many sentences the first are told, and that there are more."""
        self.assertEqual(told(["One.", "Two."], 2), "One. Two.")
        self.assertEqual(told(["One.", "Two."], 1), "One. The tables have more.")
