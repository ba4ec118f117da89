"""The sample files: real, of several sizes, found by the demo, and made by the script beside them."""

from __future__ import annotations

import runpy
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import P2PError
from p2p.measure.sample_files import SampleFile, installed_folders, samples

DATA = Path(__file__).resolve().parents[2] / "data"


def frames(path: Path) -> dict[str, int]:
    """Decode a file from beginning to end: the number of frames by kind of stream."""
    counted: dict[str, int] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            counted[packet.stream.type] = counted.get(packet.stream.type, 0) + len(packet.decode())
    return counted


class SampleFileTests(SynchronousTestCase):
    """The files in data/."""

    def of_type(self, content_type: str) -> list[SampleFile]:
        """The samples of one content type; there must be some."""
        found = [sample for sample in samples([DATA]) if sample.content_type == content_type]
        self.assertNotEqual([], found)
        return found

    def test_sizes(self) -> None:
        """Each content type has three sizes, each at least twice the one before, and one of about 256 KiB."""
        for content_type in ("text", "audio", "video"):
            sizes = [sample.size for sample in self.of_type(content_type)]
            self.assertGreaterEqual(len(sizes), 3)
            self.assertTrue(all(2 * small <= large * 1.05 for small, large in pairwise(sizes)), sizes)
            self.assertTrue(any(abs(size - 262144) < 13107 for size in sizes), sizes)

    def test_total(self) -> None:
        """All files together take less than 4 MB."""
        self.assertLess(sum(sample.size for sample in samples([DATA])), 4_000_000)

    def test_names_tell_sizes(self) -> None:
        """The KiB in a file's name are its size, within 6 %."""
        for sample in samples([DATA]):
            kib = int(sample.path.stem.partition("-")[2].removesuffix("k"))
            self.assertLess(abs(sample.size / 1024 / kib - 1), 0.06, sample.name)

    def test_text(self) -> None:
        """Every text is valid UTF-8 with small, capital and non-ASCII letters, and some that get longer in capitals."""
        for sample in self.of_type("text"):
            text = sample.path.read_bytes().decode("utf-8")
            self.assertFalse(text.isascii())
            self.assertNotIn(text, (text.upper(), text.lower()))
            self.assertGreater(len(text.upper()), len(text))
            self.assertTrue(text.endswith("\n"))

    def test_audio(self) -> None:
        """Every audio file decodes from beginning to end, as one sound."""
        for sample in self.of_type("audio"):
            found = frames(sample.path)
            self.assertEqual({"audio"}, set(found), sample.name)
            self.assertGreater(found["audio"], 10, sample.name)

    def test_video(self) -> None:
        """Every video decodes from beginning to end, as pictures and a sound."""
        for sample in self.of_type("video"):
            found = frames(sample.path)
            self.assertEqual({"audio", "video"}, set(found), sample.name)
            self.assertGreater(min(found.values()), 24, sample.name)


class MakingTests(SynchronousTestCase):
    """The script in data/."""

    def setUp(self) -> None:
        """Load the script as a module that nobody called."""
        self.script: dict[str, Any] = runpy.run_path(str(DATA / "make_samples.py"))
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def test_text_again(self) -> None:
        """The texts in data/ are those that the script makes."""
        for kib in (1, 16, 256):
            self.assertEqual((DATA / f"text-{kib}k.txt").read_bytes(), self.script["text"](kib * 1024))

    def test_wav_again(self) -> None:
        """The WAV file in data/ is the one that the script makes."""
        made = self.folder / "again.wav"
        self.script["write_wav"](made, 8000, 2.04)
        self.assertEqual((DATA / "audio-32k.wav").read_bytes(), made.read_bytes())

    def test_media(self) -> None:
        """The script writes pictures with sound, of the length asked for, the same each time."""
        sound = self.script["Sound"]("aac", 44100, 48_000, "fltp")
        picture = self.script["Picture"]("mpeg4", 64, 32, 100_000)
        made = [self.folder / name for name in ("one.mp4", "two.mp4")]
        for path in made:
            self.script["write_media"](path, 0.5, sound, picture)
        self.assertEqual(12, frames(made[0])["video"])
        self.assertEqual(made[0].read_bytes(), made[1].read_bytes())


class FindingTests(SynchronousTestCase):
    """Where the samples are looked for."""

    def folder(self, *names: str) -> Path:
        """Make a folder of files whose sizes are 1, 2, 3 ... bytes."""
        made = Path(self.mktemp())
        made.mkdir()
        for size, name in enumerate(names, 1):
            (made / name).write_bytes(b"x" * size)
        return made

    def test_checkout(self) -> None:
        """Without folders, the samples come from data/ beside the package."""
        self.assertEqual(samples([DATA]), samples())

    def test_order(self) -> None:
        """Samples are listed by content type and then by size, and what isn't one is left out."""
        folder = self.folder(
            "video-1k.mp4", "text-2k.txt", "README.rst", "audio-1k.wav", "text-1k.txt", "make_audio.py"
        )
        (folder / "text-folder.d").mkdir()
        self.assertEqual(
            [
                SampleFile("text-2k.txt", folder / "text-2k.txt", "text", 2),
                SampleFile("text-1k.txt", folder / "text-1k.txt", "text", 5),
                SampleFile("audio-1k.wav", folder / "audio-1k.wav", "audio", 4),
                SampleFile("video-1k.mp4", folder / "video-1k.mp4", "video", 1),
            ],
            samples([folder]),
        )

    def test_first_complete_folder(self) -> None:
        """A folder without a content type is passed over: it may be somebody else's ``data``."""
        incomplete = self.folder("text-1k.txt", "audio-1k.wav")
        complete = self.folder("text-1k.txt", "audio-1k.wav", "video-1k.mp4")
        found = samples([Path(self.mktemp()), incomplete, complete, DATA])
        self.assertEqual({complete}, {sample.path.parent for sample in found})

    def test_none(self) -> None:
        """Without samples the error names the folders and says what to do."""
        error = self.assertRaises(P2PError, samples, [Path("/absent/one"), Path("/absent/two")])
        self.assertIn("/absent/one or /absent/two; run 'make samples'", str(error))


class InstalledFoldersTests(SynchronousTestCase):
    """Where files may lie that come with p2p."""

    def test_where(self) -> None:
        """A checkout comes first, then what a wheel installs below sys.prefix."""
        checkout, *installed = installed_folders("etc")
        self.assertTrue((checkout / "demo-experiment.yaml").is_file())
        self.assertIn(Path(sys.prefix) / "share/p2p/etc", installed)
