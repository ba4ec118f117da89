"""Tests for ``p2p.report.chapters``: what explains, and what of it depends on the run."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.raw_data import ArmEnding
from p2p.report import chapters
from p2p.report.document import Code, Graph, Items, Section, Text
from test.report.subjects import FACTS_OF_RUN, subject


def texts(section: Section) -> str:
    """All that a section says."""
    found = [part.text for part in section.parts if isinstance(part, Text | Code)]
    return "\n".join([*found, *(item for part in section.parts if isinstance(part, Items) for item in part.items)])


class ChapterTests(SynchronousTestCase):
    """Chapters for somebody who reads of p2p for the first time."""

    def test_problem(self) -> None:
        """The limit up to which a difference counts as none is that of the plan."""
        self.assertIn("here ±5 % of the transmission time", texts(chapters.problem(subject())))

    def test_design(self) -> None:
        """Each drawing stands behind what it shows; without drawings the text is the same."""
        one, other = Graph("a", "", ""), Graph("b", "", "")
        made = chapters.design([one], [other])
        self.assertEqual([made.parts.index(one), made.parts.index(other)], [1, 3])
        self.assertEqual(texts(made), texts(chapters.design([], [])))

    def test_measuring(self) -> None:
        """The seed is named if there is a plan, and matched sets only if there are any."""
        self.assertIn("which the seed 1 drew", texts(chapters.measuring(subject())))
        bare = subject(plan="")
        self.assertNotIn("seed 1 drew", texts(chapters.measuring(bare)))
        self.assertNotIn("matched sets", texts(chapters.measuring(bare)))
        run = replace(bare.run, samples={**bare.run.samples, "set": [1]})
        self.assertIn("matched sets", texts(chapters.measuring(replace(bare, run=run))))

    def test_analysis(self) -> None:
        """The rules are those of the code: six repetitions, looks after eight and then every fourth, 299 messages."""
        found = texts(chapters.analysis(subject()))
        for words in (
            "±5 %",
            "takes 6 repetitions",
            "looks after 8, and then after every fourth",
            "takes 299 messages",
        ):
            self.assertIn(words, found)

    def test_user_guide(self) -> None:
        """The terminal shows what the report said of this run, in lines that fit."""
        answer = "arm transport: equivalent. " + "The content type doesn't matter. " * 9
        made = chapters.user_guide([answer])
        terminals = [part for part in made.parts if isinstance(part, Code) and part.terminal]
        self.assertIn("arm transport: equivalent.", terminals[-1].text)
        self.assertLessEqual(max(len(line) for one in terminals for line in one.text.splitlines()), 92)

    def test_endings(self) -> None:
        """Why an arm ended that was to go on until it is precise is said; of others there is nothing to say."""
        endings = tuple(ArmEnding(arm=why, repetitions=12, why=why) for why in ("planned", "precise", "time"))
        found = subject(facts=FACTS_OF_RUN.model_copy(update={"endings": endings}))
        text = texts(chapters.measuring(found))
        self.assertIn("Arm precise went on until its intervals were narrow enough, which took 12 repetitions.", text)
        self.assertIn("its time was over before, after 12 repetitions.", text)
        self.assertNotIn("Arm planned", text)
