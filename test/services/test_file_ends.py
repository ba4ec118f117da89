"""Whether a file breaks off."""

from __future__ import annotations

import io

from twisted.trial.unittest import SynchronousTestCase

from p2p.experiment.making import audio
from p2p.measure.sample_files import samples
from p2p.services.file_ends import breaks_off


def is_cut(data: bytes) -> bool:
    """Whether these bytes are those of a file that breaks off."""
    return breaks_off(io.BytesIO(data))


def box(kind: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    """A box of ISO media."""
    return (8 + len(body) if length is None else length).to_bytes(4) + kind + body


class FileEndTests(SynchronousTestCase):
    """Files that say where they end, and those that don't."""

    def test_samples(self) -> None:
        """Every sample is whole; of Ogg, WAV and MP4, each beginning of one is known to break off."""
        for sample in samples():
            data = sample.path.read_bytes()
            self.assertFalse(is_cut(data), sample.name)
            says = sample.path.suffix in (".opus", ".wav", ".mp4")
            for part in (13, len(data) // 3, len(data) - 1):
                self.assertEqual(is_cut(data[:part]), says, (sample.name, part))

    def test_riff(self) -> None:
        """Who wrote a stream of RIFF didn't know its length, and more may follow it."""
        data = audio(1000, 1)
        self.assertEqual([is_cut(data), is_cut(data + b"more"), is_cut(data[:-2])], [False, False, True])
        for unknown in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
            self.assertFalse(is_cut(data[:4] + unknown + data[8:500]))

    def test_boxes(self) -> None:
        """A box may have 64 bits of length, or reach to the end of the file; without moov nothing can be played."""
        begin = box(b"ftyp", b"isom")
        long = box(b"mdat", (16 + 5).to_bytes(8) + b"films", 1)
        for rest, cut in (
            (box(b"moov"), False),
            (box(b"moov") + long, False),
            (box(b"moov") + long[:-1], True),
            (box(b"moov") + box(b"mdat", b"films", 0), False),
            (box(b"mdat", b"films"), True),
            (box(b"moov") + b"\0\0", True),
            (box(b"moov") + box(b"free", b"", 5), False),
        ):
            self.assertEqual(is_cut(begin + rest), cut, rest)

    def test_ogg(self) -> None:
        """The last page must be there whole, and say that it is the last."""
        page = b"OggS\0\4" + bytes(20) + b"\2" + bytes([3, 2]) + b"sound"
        self.assertFalse(is_cut(page))
        self.assertTrue(is_cut(page[:-1]))
        self.assertTrue(is_cut(page[:20]))
        self.assertTrue(is_cut(page[:5] + b"\0" + page[6:]))
        self.assertTrue(is_cut(b"OggS" + bytes(70_000)))

    def test_others(self) -> None:
        """Nothing is known of what isn't one of these."""
        for data in (b"", b"RIFF", b"text and nothing else"):
            self.assertFalse(is_cut(data), data)
