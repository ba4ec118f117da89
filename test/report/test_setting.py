"""Tests for ``p2p.report.setting``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from blake3 import blake3
from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.raw_data import Placement, RunFacts
from p2p.measure.raw_reader import read_run
from p2p.report.document import Code, Facts, Part, Section, Table
from p2p.report.setting import PLAN_CHARACTERS, again, byline, raw_data, section
from test.report.subjects import FACTS_OF_RUN, PLAN_TEXT, block, subject, write_run

_P = TypeVar("_P", bound=Part)


def only(made: Section, kind: type[_P]) -> list[_P]:
    """The parts of one kind."""
    return [one for one in made.parts if isinstance(one, kind)]


class SettingTests(SynchronousTestCase):
    """What was done, and with what."""

    def facts(self, facts: RunFacts = FACTS_OF_RUN) -> dict[str, str]:
        (found,) = only(section(subject(facts=facts)), Facts)
        return dict(found.rows)

    def test_byline(self) -> None:
        """The line below the title has the run's own day, and nothing that isn't known."""
        self.assertEqual(byline(subject()), "Measured 2026-11-23, 04:47 UTC on lab1 with p2p 0.1.0")
        self.assertEqual(byline(subject(facts=RunFacts(versions={"p2p": "1"}))), "With p2p 1")
        self.assertEqual(byline(subject(facts=RunFacts())), "")

    def test_facts(self) -> None:
        """Machine, versions, clock, seed, margin, blocks and messages are told."""
        self.assertEqual(
            self.facts(),
            {
                "measured": "2026-11-23, 04:47 UTC to 2026-11-23, 04:48 UTC",
                "machine": "lab1, Linux 6, a fast one, 2 processors and 8 GB of memory",
                "versions": "p2p 0.1.0, python 3.12.1",
                "clock": "CLOCK_MONOTONIC, resolution 1 ns",
                "seed": "1",
                "margin of equivalence": "±5 %, fixed in the plan",
                "blocks": "1 of 84 planned",
                "messages": "1,000",
            },
        )

    def test_unknown(self) -> None:
        """What the run doesn't say is unknown, and senseless values break nothing."""
        found = self.facts(RunFacts())
        self.assertEqual((found["machine"], found["versions"]), ("unknown", "unknown"))
        self.assertNotIn("measured", found)
        self.assertNotIn("clock", found)
        odd = RunFacts(
            machine={"name": "x" * 999, "processors": "two", "memory_bytes": float("inf")},
            clock={"resolution_ns": "fine"},
            started="2026-11-23T04:47:39",
        )
        found = self.facts(odd)
        self.assertLess(len(found["machine"]), 300)
        self.assertEqual((found["clock"], found["measured"]), ("unknown", "2026-11-23, 04:47 UTC"))

    def test_unsampled(self) -> None:
        """Blocks without sampling are told apart."""
        found = subject(blocks=(block(),), plan="")
        run = replace(found.run, blocks=found.run.blocks | {"block": [1, 2]})
        (made,) = only(section(replace(found, run=run)), Facts)
        self.assertEqual(dict(made.rows)["blocks"], "2; 1 of them without sampling, to see what it costs")

    def test_what_ran_where(self) -> None:
        """The table of what ran where comes first, and the arms of the plan follow."""
        made = section(subject())
        where, arms = only(made, Table)
        self.assertEqual(where.rows, (("router-n", "lab1"), ("peers-n", "lab1")))
        self.assertEqual(
            arms.rows[0],
            (
                *("transport", "echo", "text, audio, video, text-as-audio", "1 KiB, 64 KiB, 1 MiB", "10", "closed"),
                *("40, 30, 12", "2", "6"),
            ),
        )
        self.assertEqual((arms.rows[1][1], arms.rows[1][6:]), ("what each type is for", ("as in 250 ms", "2", "6")))

    def test_no_plan(self) -> None:
        """Without a plan and a placement there are no tables of them."""
        made = section(subject(plan="", facts=RunFacts()))
        self.assertEqual(only(made, Table), [])


class AgainTests(SynchronousTestCase):
    """How to run it again."""

    def test_commands(self) -> None:
        """The commands hold on any machine: they have no path of this one."""
        made = again(subject())
        commands, plan = only(made, Code)
        self.assertEqual(
            commands.text.splitlines(),
            [
                "p2p experiment run plan.yaml --out ../again",
                "p2p report ../again",
                "p2p experiment compare . ../again",
            ],
        )
        self.assertEqual(plan.text, PLAN_TEXT.rstrip())

    def test_lab(self) -> None:
        """A run in a lab is run again in a lab."""
        facts = RunFacts(placement=(Placement(what="a", where="x"), Placement(what="b", where="y")))
        self.assertIn("--lab hosts.yaml", only(again(subject(facts=facts)), Code)[0].text)

    def test_plan(self) -> None:
        """A plan that is missing isn't shown, and one that is far too long is cut."""
        self.assertEqual(len(only(again(subject(plan="")), Code)), 1)
        found = subject()
        long = replace(found, run=replace(found.run, plan="#" * 10**6))
        self.assertEqual(len(only(again(long), Code)[1].text), PLAN_CHARACTERS)


class RawDataTests(SynchronousTestCase):
    """Where the figures come from."""

    def test_files(self) -> None:
        """Each file is named with what it holds and its digest; one that is missing has none."""
        folder = write_run(Path(self.mktemp()))
        (folder / "links.csv").unlink()
        found = subject()
        (files,) = only(raw_data(replace(found, run=read_run(folder))), Table)
        rows = {row[0]: row[1:] for row in files.rows}
        self.assertEqual(rows["samples.csv"][1], "144")
        self.assertEqual(rows["samples.csv"][2], blake3((folder / "samples.csv").read_bytes()).hexdigest()[:16])
        self.assertEqual(rows["links.csv"][1:], ("0", "\u2013"))
        self.assertEqual(len(rows), 7)
