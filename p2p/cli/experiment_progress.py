"""What the command line shows while an experiment runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from p2p.cli.output import duration, on_terminal, printable, problem
from p2p.measure.experiment import Telling

__all__ = ["Silence", "experiment_progress"]


@contextmanager
def experiment_progress() -> Iterator[Telling]:
    """A bar on a terminal, a line now and then elsewhere."""
    if on_terminal():
        with _bar() as bar:
            yield bar
    else:
        yield _Lines()


class Silence:
    """Tells nothing; beside JSON."""

    def step(self, what: str) -> None:
        """Say nothing."""

    def blocks(self, done: int, total: int, seconds: float) -> None:
        """Say nothing."""

    def missing(self, what: str) -> None:
        """Say nothing; the result has it."""


class _Lines:
    """Tells the steps, and every tenth of the blocks, a line each."""

    def __init__(self) -> None:
        self._tenth = -1

    def step(self, what: str) -> None:
        """Tell a step."""
        click.echo(f"{what} ...", err=True)

    def blocks(self, done: int, total: int, seconds: float) -> None:
        """Tell it now and then."""
        tenth = 10 * done // max(total, 1)
        if tenth != self._tenth:
            self._tenth = tenth
            left = f", about {duration(seconds)} left" if done < total and seconds > 0 else ""
            click.echo(f"{done} of {total} blocks{left}", err=True)

    def missing(self, what: str) -> None:
        """Tell it at once."""
        click.echo(problem(what), err=True)


@contextmanager
def _bar() -> Iterator[Telling]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.description:<22}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        console=Console(stderr=True),
    ) as bars:
        yield _Bar(bars)


class _Bar:
    """Shows the blocks as a bar with the time that is left, by what the blocks so far took."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._task: Any = bars.add_task("", total=None, left="")

    def step(self, what: str) -> None:
        """Show a step."""
        self._bars.update(self._task, description=what)

    def blocks(self, done: int, total: int, seconds: float) -> None:
        """Show how far it is."""
        left = f"{duration(seconds)} left" if seconds > 0 else ""
        self._bars.update(self._task, description="blocks", completed=done, total=total, left=left)

    def missing(self, what: str) -> None:
        """Show it above the bar."""
        self._bars.console.print(printable(what), style="red", markup=False, highlight=False)
