"""Tests of p2p.measure.raw_writer."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import LocalFileError
from p2p.measure.raw_data import (
    BLOCKS,
    PILOTS,
    SAMPLES,
    BlockRow,
    BrokenRow,
    DaemonRow,
    LinkRow,
    LookupRow,
    PilotRow,
    RunFacts,
    SampleRow,
    Unaccounted,
)
from p2p.measure.raw_reader import read_run
from p2p.measure.raw_writer import RunWriter, remove_run

ROOT = Path(__file__).resolve().parents[2]
FACTS = RunFacts(title="made up", seed=3)


def sample(block: int, pair: int = 1) -> SampleRow:
    """An exchange that was ok."""
    way = (pair, f"n{pair}.n>m{pair}.m", "echo", "text-1k")
    return SampleRow(block, "transport", "text", 1024, 2, "closed", *way, 1024, 1024, 10, 15, 20, "ok", "a\nb")


def ended(block: int, offered: int = 2) -> BlockRow:
    """The end of a block."""
    return BlockRow(block, block, "transport", "text", 1024, 2, "closed", 1, 2, 10, 20, offered)


class RunWriterTests(SynchronousTestCase):
    """Writing a run, and going on with it."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()) / "run"

    def create(self) -> RunWriter:
        writer = RunWriter.create(self.folder, "title: made up\n", FACTS)
        self.addCleanup(writer.close)
        return writer

    def write(self, writer: RunWriter, block: int) -> None:
        writer.add(sample(block))
        writer.add(sample(block, 2))
        writer.add(LinkRow(block, 1, "n1.n", 5_000_000, 900, None))
        writer.finish_block(ended(block))

    def test_round_trip(self) -> None:
        """What was written is read back; a line break in a reason doesn't break its row."""
        with self.create() as writer:
            self.write(writer, 1)
            writer.add(LookupRow(10, 250.5))
            writer.add(DaemonRow(1, "router-n", "router", 12, 0.5, 10**7))
            writer.finish()
        run = read_run(self.folder)
        self.assertEqual((run.finished, run.notes, run.plan, run.facts), ({1}, (), "title: made up\n", FACTS))
        self.assertEqual(run.samples["reason"], ["a b", "a b"])
        self.assertEqual((run.links["router_lookup_ns"], run.lookups["ns"]), ([None], [250.5]))
        self.assertEqual(run.daemons["daemon"], ["router-n"])

    def test_removed(self) -> None:
        """A run is removed with all of its files and nothing else; where that can't be done, the file is named."""
        with self.create() as writer:
            self.write(writer, 1)
        (self.folder / "report.html").touch()
        remove_run(self.folder)
        self.assertEqual([one.name for one in self.folder.iterdir()], ["report.html"])
        remove_run(self.folder / "nowhere")
        (self.folder / "run.json").mkdir()
        self.assertIn("run.json", str(self.assertRaises(LocalFileError, remove_run, self.folder)))

    def test_finished_blocks_outlive_a_crash(self) -> None:
        """A finished block is on the disk when the call returns, and nothing of the next one is."""
        writer = self.create()
        self.write(writer, 1)
        writer.add(sample(2))
        self.assertEqual((read_run(self.folder).finished, read_run(self.folder).notes), ({1}, ()))

    def test_abandon(self) -> None:
        """A block that was abandoned can be done again; nothing of the first time is left."""
        with self.create() as writer:
            writer.add(sample(1))
            writer.abandon_block()
            self.write(writer, 1)
        self.assertEqual(len(read_run(self.folder).samples["block"]), 2)

    def test_finish_drops_the_open_block(self) -> None:
        """What belongs to a block that never ended isn't written at the end of the run."""
        with self.create() as writer:
            writer.add(sample(1))
            writer.finish()
        self.assertEqual(read_run(self.folder).samples["block"], [])

    def test_unaccounted(self) -> None:
        """A block that has more or fewer samples than it offered isn't finished; a try tells of every message."""
        row = BrokenRow(2, 1, 3, "a", 1, 1, "closed", 1, "text", 1, "n1.n>m1.m", "no", "reset", 2)
        with self.create() as writer:
            writer.add(sample(1))
            with self.assertRaisesRegex(Unaccounted, "block 1: 2 messages were planned, and 1 are known"):
                writer.finish_block(ended(1))
            with self.assertRaisesRegex(Unaccounted, "block 2: 3 messages were planned, and 2 are known"):
                writer.break_block([row])
        self.assertEqual((read_run(self.folder).finished, read_run(self.folder).broken["block"]), (set(), []))

    def test_broken(self) -> None:
        """A try that came to nothing leaves no samples, and says where its messages went; a new run keeps it."""
        row = BrokenRow(1, 1, 3, "a", 1, 1, "closed", 1, "text", 1, "n1.n>m1.m", "no", "reset", 2, "gone")
        with self.create() as writer:
            writer.add(sample(1))
            writer.break_block([row, replace(row, sent="yes", outcome="ok", count=1, reason="")])
        with RunWriter.resume(self.folder) as writer:
            self.write(writer, 1)
        run = read_run(self.folder)
        self.assertEqual((run.finished, len(run.samples["block"]), run.notes), ({1}, 2, ()))
        self.assertEqual((run.broken["count"], run.broken["sent"]), ([2, 1], ["no", "yes"]))

    def test_pilot(self) -> None:
        """What a pilot has found is on the disk before the block that it is for."""
        writer = self.create()
        writer.add(sample(1))
        writer.pilot(PilotRow("a", "text", 1, 1, "closed", 40, 20, 125_000_000))
        run = read_run(self.folder)
        self.assertEqual((run.pilots["exchanges"], run.samples["block"], run.notes), ([40], [], ()))
        writer._files[PILOTS].close()
        writer._files[PILOTS] = _FullDisk(self.folder / PILOTS.file, room=10)
        with self.assertRaises(LocalFileError):
            writer.pilot(PilotRow("b", "text", 1, 1, "closed", 40, 20, 125_000_000))
        self.assertEqual(read_run(self.folder).notes, ())

    def test_not_over_another_run(self) -> None:
        """A folder that holds a run is never begun anew."""
        self.create().close()
        with self.assertRaisesRegex(LocalFileError, "holds a run already"):
            self.create()

    def test_one_writer(self) -> None:
        """A second writer is refused while the first one is there, and welcome afterwards."""
        writer = self.create()
        with self.assertRaisesRegex(LocalFileError, "another run writes there now"):
            RunWriter.resume(self.folder)
        writer.close()
        RunWriter.resume(self.folder).close()

    def test_resume(self) -> None:
        """Going on keeps the finished blocks and removes what was cut off or not finished."""
        with self.create() as writer:
            for block in (1, 2, 3):
                self.write(writer, block)
        blocks = self.folder / BLOCKS.file
        blocks.write_bytes(blocks.read_bytes()[:-2])
        with RunWriter.resume(self.folder) as writer:
            self.assertEqual(writer.finished, {1, 2})
            self.write(writer, 3)
            self.assertEqual(writer.finished, {1, 2, 3})
        run = read_run(self.folder)
        self.assertEqual((run.notes, run.samples["block"]), ((), [1, 1, 2, 2, 3, 3]))

    def test_resume_after_lost_samples(self) -> None:
        """A block that lost samples counts as not done."""
        with self.create() as writer:
            self.write(writer, 1)
            self.write(writer, 2)
        samples = self.folder / SAMPLES.file
        samples.write_bytes(samples.read_bytes()[:-2])
        with RunWriter.resume(self.folder) as writer:
            self.assertEqual(writer.finished, {1})
        self.assertEqual(read_run(self.folder).notes, ())

    def test_nothing_to_resume(self) -> None:
        """Going on needs a run."""
        with self.assertRaisesRegex(LocalFileError, "No such file"):
            RunWriter.resume(self.folder)
        self.folder.mkdir(parents=True)
        with self.assertRaisesRegex(LocalFileError, r"blocks\.csv: No such file"):
            RunWriter.resume(self.folder)

    def test_without_the_extra(self) -> None:
        """Raw data is written and read without the extra ``report``: a lab machine needs none of it."""
        program = "import sys, p2p.measure.raw_writer; print({'numpy', 'pandas', 'scipy'} & set(sys.modules))"
        self.assertEqual(subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, timeout=60), b"set()\n")

    def test_facts(self) -> None:
        """``run.json`` is replaced whole."""
        with self.create() as writer:
            writer.facts(RunFacts(title="later"))
        self.assertEqual(read_run(self.folder).facts.title, "later")

    def test_folder_cannot_be_made(self) -> None:
        """A folder that can't be made is told by name."""
        self.folder.parent.write_text("a file")
        with self.assertRaisesRegex(LocalFileError, "run: .*make it writable, or make room"):
            self.create()

    def test_full_disk(self) -> None:
        """A disk that fills while a block is written costs that block alone; no half row of it stays behind."""
        writer = self.create()
        self.write(writer, 1)
        full = _FullDisk(self.folder / BLOCKS.file, room=10)
        healthy, writer._files[BLOCKS] = writer._files[BLOCKS], full
        with self.assertRaisesRegex(LocalFileError, "No space left on device; the finished blocks, 1, are kept"):
            self.write(writer, 2)
        self.assertEqual(writer.finished, {1})
        self.assertEqual((read_run(self.folder).finished, read_run(self.folder).notes), ({1}, ()))
        full.close()
        writer._files[BLOCKS] = healthy
        writer.abandon_block()
        self.write(writer, 2)
        self.assertEqual((read_run(self.folder).samples["block"], writer.finished), ([1, 1, 2, 2], {1, 2}))


class _FullDisk(io.FileIO):
    """A file on a disk with room for a few more bytes; it writes what fits, as the kernel does."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(path, "ab")
        self._room = room

    def write(self, data: Any) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        fits = bytes(data)[: self._room]
        self._room -= len(fits)
        super().write(fits)
        return len(fits)
