"""Tests for ``p2p.report.figures.message_sizes``."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2p.measure.details import MessageSizes
from p2p.report.figures.message_sizes import ROWS, message_sizes
from test.report.figures.cases import drawn, said, small


class MessageSizesTests(SynchronousTestCase):
    """How large messages are."""

    def test_rows(self) -> None:
        """Each content has a row with its message and its reply, unless the reply is empty."""
        made, analysis = small()
        sizes = (
            MessageSizes("transport", "text", 1024, 5, 1024.0, 512.0),
            MessageSizes("transport", "video", 1024, 5, 1024.0, 0.0),
        )
        picture, figure = drawn(message_sizes, made, replace(analysis, sizes=sizes))
        self.assertEqual(sum(len(line.get_xdata()) == 1 for line in figure.axes[0].get_lines()), 3)
        self.assertIn("text, 1 KiB", said(figure))
        self.assertIn("Arm transport, text of 1 KiB: 1.02 kB, reply 512 B.", picture.alt)

    def test_many(self) -> None:
        """More rows than fit are in the table alone, and the caption says how many."""
        made, analysis = small()
        sizes = tuple(MessageSizes("transport", f"t{n}", 1024, 5, 9.0, 9.0) for n in range(ROWS + 2))
        self.assertIn(
            "2 more rows are in the table.", drawn(message_sizes, made, replace(analysis, sizes=sizes))[0].caption
        )

    def test_nothing(self) -> None:
        """Where nothing was answered there is no figure."""
        made, analysis = small()
        self.assertIsNone(message_sizes(made, replace(analysis, sizes=())))
