"""Tests for ``p2p.report.contents``."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.raw_data import MissingBlock, RunFacts
from p2p.report.contents import contents, headlines
from p2p.report.document import Answer, Document, Graph, Items, Section, Table, Text
from p2p.report.subject import subject_of
from test.report.subjects import arm, comparison, drops, level, measured, subject, verdict

NAMES = (
    *("setup-diagram", "link-sequence", "content-types", "ratios", "variation", "message-sizes", "latency", "spectrum"),
    *("cycle", "offered", "throughput", "scaling", "by-pair", "lookup", "setup-legs", "tcp", "drops", "resources"),
    "course",
)


@dataclass
class Drawn:
    """A picture that nobody drew."""

    name: str
    caption: str = "a caption"
    alt: str = "what it shows"


class ContentsTests(SynchronousTestCase):
    """The document of a run."""

    def made(self) -> Document:
        return contents(subject_of(*measured()), [Drawn(name) for name in NAMES])

    def sections(self, report: Document) -> dict[str, Section]:
        """All sections by their keys."""
        return {one.key: one for outer in report.sections for one in (outer, *outer.sections)}

    def test_sections(self) -> None:
        """Everything that a report must have is there, in its order, answers first."""
        report = self.made()
        self.assertEqual(report.title, "Does it matter?")
        self.assertEqual(report.made, "2026-11-23T04:47:39+00:00")
        self.assertEqual(
            [one.key for one in report.sections],
            [
                *("abstract", "problem", "design", "method", "results", "discussion", "conclusions", "limits"),
                *("user-guide", "again"),
            ],
        )
        questions = [
            *("glance", "types", "where-from", "message-size", "message-time", "cycle-time", "open-load"),
            *("bytes-per-second", "pairs", "single-pairs", "look-up", "set-up", "seen-by-tcp", "message-drops"),
            *("daemons", "seconds"),
        ]
        self.assertEqual([one.key for one in self.sections(report)["results"].sections], questions)

    def test_figures(self) -> None:
        """Every picture is shown once."""
        found = [
            part.name for one in self.sections(self.made()).values() for part in one.parts if isinstance(part, Graph)
        ]
        self.assertEqual(sorted(found), sorted(NAMES))

    def test_no_pictures(self) -> None:
        """A question without a picture and a table isn't there; one with a table is."""
        keys = set(self.sections(contents(subject_of(*measured()), [])))
        self.assertNotIn("pairs", keys)
        self.assertIn("message-time", keys)

    def test_keys(self) -> None:
        """No section has the id of a picture, which is part of the page too."""
        self.assertEqual(set(self.sections(self.made())) & set(NAMES), set())

    def test_abstract(self) -> None:
        """The abstract has the answer of each arm that asks, the caution of its control, and the other answers."""
        found = subject(
            arms=(
                arm("own", caution="Take care."),
                arm("transport", "differs", comparison(outcome="differs", ratio=2.0)),
                arm("alone", verdict=verdict("inconclusive", conditions=("text",))),
            ),
            drops=(drops(), drops("own"), drops("transport"), drops("alone")),
            plan="",
        )
        parts = self.sections(contents(found, []))["abstract"].parts
        self.assertEqual(
            [(one.subject, one.outcome) for one in parts if isinstance(one, Answer)],
            [("Arm own", "equivalent"), ("Arm transport", "differs")],
        )
        planned = self.sections(
            contents(subject(arms=(arm("own"), arm("transport")), drops=found.analysis.drops[:3]), [])
        )
        self.assertEqual(
            [one.subject for one in planned["abstract"].parts if isinstance(one, Answer)],
            ["Arm transport (service echo for every type)", "Arm own (a service of its own for each type)"],
        )
        self.assertIn(Text("Take care.", "caution"), parts)
        self.assertTrue(any(isinstance(one, Items) and "None of 1,000 messages" in one.items[0] for one in parts))
        self.assertEqual([one.outcome for one in headlines(found)][-1], "not asked")

    def test_missing(self) -> None:
        """Whatever is missing is hinted at where everybody reads, and only then."""

        def hints(**parts: object) -> int:
            abstract = self.sections(contents(subject(plan="", **parts), []))["abstract"]  # type: ignore[arg-type]  # parts
            return sum(isinstance(one, Text) and "missing" in one.text for one in abstract.parts)

        self.assertEqual(hints(), 0)
        self.assertEqual(hints(missing=(MissingBlock(block=1, why="x"),)), 1)
        self.assertEqual(hints(notes=("links.csv is missing",)), 1)

    def test_untitled(self) -> None:
        """A run without facts has a title all the same."""
        self.assertEqual(contents(subject(facts=RunFacts()), []).title, "An experiment")

    def test_controls(self) -> None:
        """The control of the same bytes under another label stands with the verdicts, and is discussed."""
        label = verdict("differs", comparison("text", "text-as-video", "differs"), kind="label")
        found = self.sections(contents(subject(arms=(arm(labels=(label,), caution="Don't rely."),)), []))
        answers = [one for one in found["types"].parts if isinstance(one, Answer)]
        self.assertEqual(answers[-1].subject, "Arm transport, control: same bytes, other label")
        self.assertIn(Text("Don't rely.", "caution"), found["abstract"].parts)
        self.assertTrue(any(isinstance(one, Table) for one in found["types"].parts))

    def test_conclusions(self) -> None:
        """The conclusions begin with the answer of the whole experiment."""
        (items,) = self.sections(self.made())["conclusions"].parts
        assert isinstance(items, Items)
        self.assertTrue(items.items[0].startswith("Does the content type matter?"))
        self.assertGreater(len(items.items), 3)

    def test_overloaded(self) -> None:
        """Of an arm whose load passes what the system can do, the abstract says what its times are."""
        levels = (level(load="open:900", messages_per_s=20.0), level("own", load="open:9", messages_per_s=90.0))
        lost = (drops(), drops("own"), drops("transport"))
        found = subject(arms=(arm("own"), arm("transport")), levels=levels, drops=lost, plan="")
        parts = self.sections(contents(found, []))["abstract"].parts
        (caution,) = [one.text for one in parts if isinstance(one, Text) and one.kind == "caution"]
        self.assertIn("Arm transport: its load passes what the system can do", caution)
        self.assertNotIn("Arm own", caution)

    def test_one_message(self) -> None:
        """A run of one message says that it is one, and claims nothing of shares."""
        parts = self.sections(contents(subject(drops=(drops(offered=1), drops("transport", offered=1))), []))
        text = "\n".join(one.text for one in parts["abstract"].parts if isinstance(one, Text))
        self.assertIn("a single message on one machine, so every figure here is that of this one", text)
        (items,) = [one for one in parts["abstract"].parts if isinstance(one, Items)]
        self.assertIn("The one message wasn't dropped", items.items[0])
        limits = next(one for one in parts["limits"].parts if isinstance(one, Items))
        self.assertIn("a single message: every figure", limits.items[0])
