"""The bars."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from p2p.cli.transfer_bars import BARS, Bars
from p2p.console.transfer_operations import TransferEvent
from test.moves import done, failed, offered, pending, progress, verified, waiting


class BarsTests(SynchronousTestCase):
    """What stands in them."""

    def drawn(self, *events: TransferEvent, width: int = 100) -> list[str]:
        """The lines of the bars after these events."""
        bars = Bars()
        for event in events:
            bars.update(event)
        text = io.StringIO()
        Console(file=text, width=width).print(bars._table())
        return text.getvalue().splitlines()

    def of(self, number: int, **fields: Any) -> dict[str, Any]:
        """The head of one of several transfers."""
        return {"transfer": f"{number:016x}", "peer": f"m{number}.m", **fields}

    def test_one(self) -> None:
        """One transfer: its file under way above its bar."""
        first, second = self.drawn(offered(entries=3), progress(1000, entries=1, entries_total=3))
        self.assertEqual("m4.m  1 of 3 entries  film.mkv", first.rstrip())
        self.assertTrue(second.rstrip().endswith("25%  1.0 kB of 4.0 kB  1.0 kB/s  3 s left"), second)

    def test_before_anything_moves(self) -> None:
        """What is offered shows how much it is; what waits for a person says so, until it goes on."""
        first, second = self.drawn(offered(), verified())
        self.assertEqual("m4.m", first.rstrip())
        self.assertTrue(second.rstrip().endswith("0 bytes of 4.0 kB"), second)
        self.assertIn("waits for consent", self.drawn(offered(), pending())[1])
        self.assertIn("waits, is read again", self.drawn(offered(), pending(reading=True))[1])
        for event in (progress(1), waiting()):
            self.assertNotIn("waits for consent", self.drawn(offered(), pending(), event)[1])

    def test_unknown_length(self) -> None:
        """Where nobody knows how much will come, there is no percentage and no time left."""
        stream = progress(1000, bytes_total=None, entries_total=None)
        _, second = self.drawn(offered(bytes=None, entries=None), stream)
        self.assertTrue(second.rstrip().endswith("1.0 kB  1.0 kB/s"), second)
        _, second = self.drawn(offered(), progress(1000, bytes_total=None))
        self.assertIn("1.0 kB of 4.0 kB", second)

    def test_standstill(self) -> None:
        """Without a rate there is no time left."""
        _, second = self.drawn(progress(1000, rate=0.0))
        self.assertTrue(second.rstrip().endswith("1.0 kB of 4.0 kB"), second)

    def test_several(self) -> None:
        """Each of several transfers has its bar, with its peer, until it is over."""
        events = [progress(1000, **self.of(number)) for number in (1, 2, 3)]
        lines = self.drawn(*events, done(**self.of(2)), failed(**self.of(9)))
        self.assertEqual("1 of 3 peers are done", lines[0].rstrip())
        self.assertEqual(["m1.m", "m3.m"], [line.split()[0] for line in lines[1:]])

    def test_many(self) -> None:
        """Only so many bars are drawn."""
        lines = self.drawn(*(progress(1000, **self.of(number)) for number in range(40)))
        self.assertEqual(BARS + 1, len(lines))

    def test_narrow(self) -> None:
        """On a narrow terminal nothing takes a second line."""
        events = [progress(1_000_000_000, path="x" * 300, bytes_total=3_000_000_000)]
        self.assertEqual(2, len(self.drawn(*events, width=60)))

    def test_nothing_to_draw(self) -> None:
        """Without transfers nothing is drawn."""
        bars = Bars()
        bars.draw()
        bars.close()
