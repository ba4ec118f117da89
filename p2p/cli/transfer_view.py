"""Shows people and programs what happens to the transfers of a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import click

from p2p.base.errors import Outcome
from p2p.cli.output import ExitCode, next_step_of, on_terminal, printable, problem, show_json
from p2p.cli.transfer_bars import Bars
from p2p.cli.transfer_lines import counted, entry_line, is_file, note, summary, why_left_out
from p2p.console.transfer_operations import (
    Done,
    Failed,
    Moved,
    MovedOne,
    Offered,
    Pending,
    Progress,
    Resumed,
    Stalled,
    TransferEvent,
    Verified,
    Waiting,
)

__all__ = ["GOES_ON", "JSONView", "PeopleView", "TransferView"]

LINES: Final = 20
"""Files of one transfer that get a line each; more of them are counted, unless somebody wants to see them all."""

PROBLEMS: Final = 100
"""The same for entries that didn't get through."""

LARGE_BYTES: Final = 64 * 1024 * 1024
"""A file that is so large gets its line all the same."""

LINES_AT_ONCE: Final = 200
"""Lines that wait for the next drawing of the bars at most."""

COUNT_S: Final = 10.0
"""Seconds until the first count where there are no bars; each time twice as many pass until the next."""

COUNT_MAX_S: Final = 600.0

GOES_ON: Final = "the same command goes on where this one stopped"


BEGIN_ANEW: Final = "if that ends like this again, give it up (p2p transfers --cancel {transfer}) to begin anew"


class TransferView(Protocol):
    """Shows the events of a command's transfers.

    Whatever ends the command, :meth:`close` is called before anything else is printed.
    """

    def show(self, event: TransferEvent) -> None:
        """Show an event."""

    def show_end(self, moved: Moved, code: ExitCode) -> None:
        """Show what the events haven't told, after the last of them."""

    def close(self) -> None:
        """Leave nothing behind on the terminal."""


class JSONView:
    """Prints each event, and at the end how it ended, as JSON objects, one a line."""

    def show(self, event: TransferEvent) -> None:
        """Print an event."""
        show_json(event.model_dump(mode="json"))

    def show_end(self, moved: Moved, code: ExitCode) -> None:
        """Print the end."""
        show_json({"event": "ended", **moved.model_dump(mode="json"), "exit_code": code})

    def close(self) -> None:
        """Nothing is left behind."""


class _Told:
    """What was told of one transfer."""

    def __init__(self) -> None:
        self.before: int | None = None  # bytes that were there before anything came
        self.files = 0
        self.lines = 0
        self.problems = 0
        self.counts = False
        self.failed = False
        self.relayed_by = ""


class PeopleView:
    """Prints a line for each finished file and a total, and on a terminal draws bars.

    Lines go to standard output, and what a person has to know meanwhile to standard error.

    :param several: whether there are several peers, so that each line says whose it is.
    :param verbose: whether every entry gets its line, however many they are.
    :param now: reads a clock, seconds.
    :param quiet_output: whether standard output is the content's own, so that all lines go to standard error.
    """

    def __init__(self, *, several: bool, verbose: bool, now: Callable[[], float], quiet_output: bool = False) -> None:
        self._several = several
        self._verbose = verbose
        self._now = now
        self._quiet_output = quiet_output
        self._told: dict[str, _Told] = {}
        self._bars = Bars() if on_terminal() else None
        self._lines: list[tuple[str, bool]] = []
        self._wait_s = COUNT_S
        self._counted_at = now()

    def show(self, event: TransferEvent) -> None:
        """Show an event."""
        told = self._told.setdefault(event.transfer, _Told())
        if self._bars is not None:
            self._bars.update(event)
        if told.before is None and isinstance(event, Resumed | Progress | Verified):
            told.before = event.bytes if isinstance(event, Resumed) else 0
        match event:
            case Verified():
                self._show_entry(event, told)
                if self._bars is not None and len(self._lines) < LINES_AT_ONCE:
                    return  # there may be thousands a second; they are printed with the next progress
            case Progress():
                self._count(event, told)
                if event.relayed_by != told.relayed_by:
                    told.relayed_by = event.relayed_by
                    way = f"is relayed by {event.relayed_by}" if event.relayed_by else "goes directly now"
                    self._say(printable(f"{event.peer}: {way}"))
            case Pending() | Resumed() | Stalled() | Waiting():
                self._say(note(event))
            case Done():
                self._print(summary(event, told.files, told.before or 0))
            case Failed():
                told.failed = True
                self._show_failed(event, resumable=event.resumable)
            case Offered():
                pass  # only the bars show how much it is
        self._flush()
        if self._bars is not None:
            self._bars.draw()

    def show_end(self, moved: Moved, code: ExitCode) -> None:
        """Show what the events haven't told."""
        for one in moved.transfers:
            told = self._told.get(one.transfer, _Told())
            if one.detached:
                self._print(
                    printable(f"{one.peer}: transfer {one.transfer} goes on by itself; to see it: p2p transfers")
                )
            elif one.outcome != Outcome.OK and not told.failed:
                self._show_failed(one, resumable=False)
        self.close()

    def close(self) -> None:
        """Print what waits, and take the bars away."""
        self._flush()
        if self._bars is not None:
            self._bars.close()

    def _show_entry(self, event: Verified, told: _Told) -> None:
        prefix = f"{event.peer}: " if self._several else ""
        file = is_file(event)
        told.files += file
        if event.outcome != Outcome.OK:
            told.problems += 1
            if self._verbose or told.problems <= PROBLEMS:
                self._say(problem(prefix + why_left_out(event)))
            elif told.problems == PROBLEMS + 1:
                self._say("further problems are counted, not listed; to see each: --verbose")
        elif (
            self._verbose or (file and (told.lines < LINES or event.size >= LARGE_BYTES)) or self._is_worth(event, told)
        ):
            told.lines += 1
            self._print(printable(prefix) + entry_line(event))
        elif file and not told.counts:
            told.counts = True
            self._say("further files are counted, not listed; to see each: --verbose")

    def _is_worth(self, event: Verified, told: _Told) -> bool:
        """Whether an entry is told of because it isn't quite what is at the sender's; many such are not."""
        told.problems += bool(event.note)
        return bool(event.note) and told.problems <= PROBLEMS

    def _count(self, event: Progress, told: _Told) -> None:
        if self._bars is not None or not told.counts or self._now() - self._counted_at < self._wait_s:
            return
        self._counted_at = self._now()
        self._wait_s = min(2 * self._wait_s, COUNT_MAX_S)
        self._print(printable(f"{event.peer}: {counted(event)}"))

    def _show_failed(self, failed: Failed | MovedOne, *, resumable: bool) -> None:
        text = ": ".join(part for part in (failed.peer, failed.outcome, failed.reason) if part)
        step = next_step_of(failed.outcome)
        if resumable and failed.outcome == Outcome.CORRUPT:
            step = f"{GOES_ON}; {BEGIN_ANEW.format(transfer=failed.transfer)}"
        elif resumable:
            step = f"change what the reason names; then {GOES_ON}" if failed.outcome == Outcome.REFUSED else GOES_ON
        self._say(problem(text, step))

    def _print(self, line: str) -> None:
        self._lines.append((line, self._quiet_output))

    def _say(self, line: str) -> None:
        self._lines.append((line, True))

    def _flush(self) -> None:
        if not self._lines:
            return
        if self._bars is not None:
            self._bars.hide()
        lines, self._lines = self._lines, []
        for line, to_stderr in lines:
            click.echo(line, err=to_stderr)
