"""Pictures of sound and of films."""

from __future__ import annotations

import io

from PIL import Image
from twisted.trial.unittest import SynchronousTestCase

from p2p.services.drawing import CELL, CELLS, Thumbnails, contact_sheet, png, waveform

PAPER = (0xF4, 0xF4, 0xF1)


def opened(data: bytes) -> Image.Image:
    """Read a picture with somebody else's code."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


class DrawingTests(SynchronousTestCase):
    def test_png(self) -> None:
        """Each pixel comes out as it went in."""
        pixels = bytes(range(2 * 3 * 3))
        self.assertEqual(pixels, opened(png(2, 3, pixels)).tobytes())

    def test_waveform(self) -> None:
        """A sound is as high in the picture as it is loud, from left to right."""
        image = opened(waveform([(-1, 1)] * 500 + [(-32768, 32767)] * 500))
        width, height = image.size
        columns = [sum(image.getpixel((x, y)) != PAPER for y in range(height)) for x in (0, width - 1)]
        self.assertEqual(height, columns[1])
        self.assertLess(columns[0], 4)

    def test_short_waveform(self) -> None:
        """A sound of one moment fills the width, and no sound is an empty picture."""
        image = opened(waveform([(-100, 100)]))
        self.assertNotEqual(PAPER, image.getpixel((image.width - 1, image.height // 2)))
        self.assertEqual(1, len(set(opened(waveform([])).get_flattened_data())))

    def test_sheet(self) -> None:
        """Pictures stand in rows of four; the rest of the last row stays empty."""
        cell = CELL[0] * CELL[1]
        image = opened(contact_sheet([bytes([number, 0, 0]) * cell for number in range(6)]))
        self.assertEqual((4 * CELL[0], 2 * CELL[1]), image.size)
        seen = [image.getpixel((CELL[0] * x, CELL[1] * y)) for y in range(2) for x in range(4)]
        self.assertEqual([(number, 0, 0) for number in range(6)] + [PAPER] * 2, seen)

    def test_thumbnails(self) -> None:
        """However many pictures come, a sheet has few, spread over all of them, and few are held."""
        for count, expected in ((0, 0), (3, 3), (CELLS, CELLS), (1000, CELLS)):
            thumbnails = Thumbnails()
            for number in range(count):
                if thumbnails.wants_next():
                    thumbnails.add(number.to_bytes(4))
            chosen = [int.from_bytes(one) for one in thumbnails.chosen()]
            self.assertEqual(expected, len(chosen))
            self.assertEqual(sorted(set(chosen)), chosen)
        self.assertEqual(0, chosen[0])
        self.assertGreater(chosen[-1], 700)
