"""Tests of p2p.measure.raw_reader."""

from __future__ import annotations

import shutil
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import LocalFileError
from p2p.measure.raw_data import (
    BLOCKS,
    BROKEN,
    DAEMONS,
    FACTS,
    LINKS,
    LOOKUPS,
    PLAN,
    SAMPLES,
    RunFacts,
    Unaccounted,
)
from p2p.measure.raw_reader import read_run
from test.measure.synthetic_run import Synthetic

FILES = (PLAN, FACTS, *(table.file for table in (SAMPLES, LINKS, BLOCKS, LOOKUPS, DAEMONS)))


def write_run(folder: Path, run: Synthetic) -> None:
    """Write a made-up run as its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = run.run()
    (folder / PLAN).write_text("title: made up\n", encoding="utf-8")
    (folder / FACTS).write_text(RunFacts(seed=run.seed).to_json(), encoding="utf-8")
    tables = {
        SAMPLES: made.samples,
        LINKS: made.links,
        BLOCKS: made.blocks,
        LOOKUPS: made.lookups,
        DAEMONS: made.daemons,
    }
    for table, columns in tables.items():
        (folder / table.file).write_text(table.dump(columns), encoding="utf-8")


SMALL = Synthetic(conditions=("text", "audio"), sizes=(1024,), repetitions=3, pairs=2, exchanges=3)
"""Six blocks of six exchanges."""


class ReadRunTests(SynchronousTestCase):
    """Reading a run's folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        write_run(self.folder, SMALL)

    def cut(self, file: str, until: int) -> None:
        path = self.folder / file
        path.write_bytes(path.read_bytes()[:until])

    def drop_lines(self, file: str, first: int, last: int) -> None:
        path = self.folder / file
        lines = path.read_text("utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[: first - 1] + lines[last:]), encoding="utf-8")

    def test_whole(self) -> None:
        """A whole run is read without a word."""
        run = read_run(self.folder)
        self.assertEqual((run.finished, run.notes, run.facts.seed), (frozenset(range(1, 7)), (), SMALL.seed))
        self.assertEqual(run.plan, "title: made up\n")
        self.assertEqual(run.samples, SMALL.run().samples)

    def test_a_file_is_missing(self) -> None:
        """Without samples or blocks there is no run, and the error names the file; of the others a note does."""
        for file in FILES:
            kept = (self.folder / file).read_bytes()
            (self.folder / file).unlink()
            if file in (SAMPLES.file, BLOCKS.file):
                self.assertIn(file, str(self.assertRaises(LocalFileError, read_run, self.folder)))
            else:
                (note,) = read_run(self.folder).notes
                self.assertTrue(note.startswith(f"{file} is missing"), note)
            (self.folder / file).write_bytes(kept)

    def test_a_block_without_its_end(self) -> None:
        """A block that was never marked as finished is left out with its samples and links, and told."""
        self.drop_lines(BLOCKS.file, 7, 7)
        run = read_run(self.folder)
        self.assertEqual(run.finished, frozenset(range(1, 6)))
        self.assertEqual((len(run.samples["block"]), len(run.links["block"])), (30, 10))
        self.assertEqual(
            run.notes,
            (
                "samples.csv: block 6 isn't finished; its rows, 6, are left out",
                "links.csv: block 6 isn't finished; its rows, 2, are left out",
            ),
        )

    def test_samples_cut_off(self) -> None:
        """Where the last sample is cut off, its block is left out, and the others are kept."""
        self.cut(SAMPLES.file, -3)
        run = read_run(self.folder)
        self.assertEqual(run.finished, frozenset(range(1, 6)))
        self.assertEqual(
            run.notes[:2],
            ("samples.csv: line 37 was cut off and is left out", "block 6 lost samples and is left out"),
        )

    def test_samples_cut_off_between_lines(self) -> None:
        """A file that ends too early at the end of a line is noticed by what was offered."""
        self.drop_lines(SAMPLES.file, 30, 37)
        run = read_run(self.folder)
        self.assertEqual(run.finished, frozenset(range(1, 5)))
        self.assertIn("block 5 lost samples and is left out", run.notes)

    def test_a_damaged_sample(self) -> None:
        """A damaged line in the middle takes its block along, no other."""
        path = self.folder / SAMPLES.file
        lines = path.read_text("utf-8").splitlines()
        lines[10] = "\0" * 20
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.assertEqual(read_run(self.folder).finished, frozenset({1, 3, 4, 5, 6}))

    def test_miscounted(self) -> None:
        """Samples that are missing from the middle of a whole file are no accident of writing, and not hidden."""
        self.drop_lines(SAMPLES.file, 10, 10)
        with self.assertRaisesRegex(Unaccounted, "block 2: 6 messages were planned, and 5 are in samples.csv"):
            read_run(self.folder)

    def test_older(self) -> None:
        """A run of an earlier version lacks columns and files that came later, and is read without a word."""
        for table, later in ((SAMPLES, ("set", "label", "content")), (BLOCKS, ("sets",))):
            path = self.folder / table.file
            kept = len(table.columns) - len(later)
            self.assertEqual(table.columns[kept:], list(later))
            lines = [line.split(",")[:kept] for line in path.read_text("utf-8").splitlines()]
            path.write_text("".join(",".join(line) + "\n" for line in lines), encoding="utf-8")
        run = read_run(self.folder)
        self.assertEqual((run.finished, run.notes), (frozenset(range(1, 7)), ()))
        self.assertEqual((set(run.samples["set"]), set(run.blocks["sets"])), ({None}, {None}))

    def test_broken(self) -> None:
        """The rows of a try that came to nothing must come to what was planned, unless the file is damaged."""
        path = self.folder / BROKEN.file
        row = "7,1,6,a,1024,2,closed,1,text,1,n1.n>m1.m,{},reset,{},gone\n"
        path.write_text(BROKEN.header() + row.format("yes", 2) + row.format("no", 4))
        self.assertEqual((read_run(self.folder).broken["count"], read_run(self.folder).notes), ([2, 4], ()))
        for count, why in ((3, "1 messages short of"), (5, "1 messages above")):
            path.write_text(BROKEN.header() + row.format("yes", 2) + row.format("no", count))
            with self.assertRaisesRegex(Unaccounted, f"block 7, try 1: .* {why} what was planned"):
                read_run(self.folder)
        path.write_text(BROKEN.header() + row.format("yes", 2) + row.format("no", 4)[:-4])
        self.assertEqual(read_run(self.folder).notes, ("broken.csv: line 3 was cut off and is left out",))

    def test_without_sampling(self) -> None:
        """A block with sampling off has no samples, and is finished all the same."""
        write_run(self.folder, Synthetic(repetitions=1, sampling="off"))
        run = read_run(self.folder)
        self.assertEqual((len(run.finished), run.notes), (12, ()))

    def test_facts_that_make_no_sense(self) -> None:
        """A broken ``run.json`` is told with what is wrong, and costs nothing else."""
        for text, where in (
            ("{", "can't be used: "),
            ('{"margin": 2}', "can't be used at margin: "),
        ):
            (self.folder / FACTS).write_text(text, encoding="utf-8")
            run = read_run(self.folder)
            self.assertIn(f"run.json {where}", run.notes[0])
            self.assertEqual((run.facts, len(run.finished)), (RunFacts(), 6))

    @settings(deadline=None, max_examples=60)
    @given(st.sampled_from(FILES), st.floats(0, 1))
    def test_cut_anywhere(self, file: str, share: float) -> None:
        """Wherever whichever file ends, reading never fails, keeps whole blocks alone, and says if any is gone."""
        folder = Path(self.mktemp())
        shutil.copytree(self.folder, folder)
        path = folder / file
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])
        run = read_run(folder)
        counted = {block: run.samples["block"].count(block) for block in run.finished}
        self.assertEqual(counted, dict.fromkeys(run.finished, 6))
        self.assertEqual(set(run.samples["block"]), set(run.finished))
        if len(run.finished) < 6:
            self.assertTrue(run.notes)
