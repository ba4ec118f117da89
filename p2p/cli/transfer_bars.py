"""How far transfers are, drawn on a terminal: a bar for each, with its rate and the time that is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2p.cli.output import duration, printable, size
from p2p.cli.transfer_lines import how_far
from p2p.console.transfer_operations import Done, Failed, Offered, Pending, Progress, TransferEvent, Verified

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

__all__ = ["Bars"]

BARS: Final = 8
"""Bars that are drawn at most; more transfers than that are counted."""


@dataclass(slots=True)
class _Bar:
    """A transfer under way."""

    peer: str
    progress: Progress | None = None
    total: int | None = None
    waits: str = ""

    def cells(self) -> tuple[str, str, str, str]:
        """Percent, bytes, rate, and the time that is left."""
        event = self.progress
        done = event.bytes if event is not None else 0
        percent = f"{self.fraction:.0%}" if self.fraction is not None else ""
        amount = size(done) if self.total is None else f"{size(done)} of {size(self.total)}"
        if self.waits:
            return percent, amount, self.waits, ""
        if event is None or event.rate <= 0:
            return percent, amount, "", ""
        return percent, amount, f"{size(event.rate)}/s", self._left(event)

    def _left(self, event: Progress) -> str:
        """The time that is left, in whole seconds: more digits would only flicker."""
        if self.total is None:
            return ""
        seconds = max(self.total - event.bytes, 0) / event.rate
        return duration(max(round(seconds), 1)) + " left"

    @property
    def fraction(self) -> float | None:
        """How much of the whole has arrived, from 0 to 1; None while nobody knows."""
        if not self.total or self.progress is None:
            return None
        return min(self.progress.bytes / self.total, 1.0)


class Bars:
    """The bars of all transfers of one command, on standard error.

    They are drawn when something is told, a few times a second, and are gone when :meth:`close` returns.
    """

    def __init__(self) -> None:
        self._bars: dict[str, _Bar] = {}
        self._over = 0
        self._live: Live | None = None

    def update(self, event: TransferEvent) -> None:
        """Note what an event tells; :meth:`draw` shows it."""
        if isinstance(event, Done | Failed):
            self._over += self._bars.pop(event.transfer, None) is not None
            return
        bar = self._bars.setdefault(event.transfer, _Bar(event.peer))
        if isinstance(event, Offered):
            bar.total = event.bytes if event.bytes is not None else bar.total
        elif isinstance(event, Progress):
            bar.progress, bar.waits = event, ""
            bar.total = event.bytes_total if event.bytes_total is not None else bar.total
        elif isinstance(event, Pending):
            bar.waits = "waits, is read again" if event.reading else "waits for consent"
        elif not isinstance(event, Verified):
            bar.waits = ""

    def draw(self) -> None:
        """Draw the bars as they are now."""
        if not self._bars:
            self.hide()
            return
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, force_terminal=True)
            # No thread redraws it; and it doesn't catch what is printed, which may be meant for a pipe.
            self._live = Live(
                console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
        self._live.update(self._table(), refresh=True)

    def hide(self) -> None:
        """Take the bars away, so that lines can be printed where they stand, until they are drawn again."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def close(self) -> None:
        """Take them away for good."""
        self._bars.clear()
        self.hide()

    def _table(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        outer = Table.grid(expand=True)
        outer.add_row(Text(printable(self._headline()), no_wrap=True, overflow="ellipsis"))
        grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
        several = len(self._bars) > 1
        if several:
            grid.add_column(no_wrap=True)
        grid.add_column(ratio=1, min_width=8)
        for _ in range(4):
            grid.add_column(no_wrap=True, justify="right")
        for bar in list(self._bars.values())[:BARS]:
            drawn = ProgressBar(total=1.0, completed=bar.fraction or 0.0, pulse=bar.fraction is None)
            name = [Text(printable(bar.peer))] if several else []
            grid.add_row(*name, drawn, *(Text(cell) for cell in bar.cells()))
        outer.add_row(grid)
        return outer

    def _headline(self) -> str:
        """What stands above the bars: with one transfer, its file under way; with several, how many are done."""
        if len(self._bars) + self._over > 1:
            return how_far(self._over, len(self._bars) + self._over, "peer is done", "peers are done")
        (bar,) = self._bars.values()
        if bar.progress is None:
            return bar.peer
        counts = how_far(bar.progress.entries, bar.progress.entries_total, "entry", "entries")
        return f"{bar.peer}  {counts}  {bar.progress.path or ''}"
