"""How the command line speaks: plain text or JSON on standard output, errors with a next step on standard error."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
from rich.filesize import decimal

from p2p.base.errors import ExchangeFailed, P2PError
from p2p.cli.exit_codes import ExitCode, exit_code_of, next_step_of

__all__ = [
    "columns",
    "describe",
    "duration",
    "json_option",
    "on_terminal",
    "printable",
    "problem",
    "rate",
    "show_error",
    "show_json",
    "size",
]

_F = TypeVar("_F", bound=Callable[..., Any])

_HARMLESS = {"\u200c", "\u200d"}
"""Joiners: Persian, Hindi and many emoji are written with them, and they can't steer a terminal."""


def json_option(command: _F) -> _F:
    """Give a command the option ``--json``, as its parameter ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs; errors too.")(command)


def printable(text: str, *, lines: bool = False) -> str:
    """Escape what could steer a terminal or hide itself: control characters, changes of direction, lone surrogates.

    :param lines: leave line feeds and tabs as they are.
    """
    return "".join(c if _is_safe(c) or (lines and c in "\n\t") else _escaped(c) for c in text)


def _is_safe(character: str) -> bool:
    return character.isprintable() or character in _HARMLESS or unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def on_terminal() -> bool:
    """Whether a person watches standard error, where progress is shown."""
    return sys.stderr.isatty()


def show_json(fields: Mapping[str, Any]) -> None:
    """Print one object on one line, in ASCII, so that nothing in it can steer a terminal."""
    click.echo(json.dumps(fields))


def describe(error: BaseException) -> dict[str, Any]:
    """Return what JSON says of an error: ``outcome`` (or null), ``reason``, ``next_step`` and ``exit_code``."""
    if isinstance(error, click.ClickException):
        return {"outcome": None, "reason": error.format_message(), "next_step": None, "exit_code": ExitCode.USAGE}
    outcome = error.outcome if isinstance(error, ExchangeFailed) else None
    if isinstance(error, KeyboardInterrupt):
        reason = str(error) or "interrupted; what was under way is cancelled"
    elif isinstance(error, P2PError):
        reason = str(error)
    else:
        reason = f"unexpected error: {type(error).__name__}: {error}"
    return {
        "outcome": outcome,
        "reason": reason,
        "next_step": next_step_of(outcome),
        "exit_code": exit_code_of(error),
    }


def show_error(error: BaseException, subject: str | None = None) -> None:
    """Tell a person on standard error what happened, to what, and what to do."""
    known = describe(error)
    parts = [part for part in (subject, known["outcome"], known["reason"]) if part]
    click.echo(problem(": ".join(parts), known["next_step"]), err=True)


def problem(text: str, next_step: str | None = None) -> str:
    """Say what is wrong, and on a second line what to do."""
    shown = click.style("p2p: ", fg="red", bold=True) + printable(text, lines=True)
    return shown if next_step is None else f"{shown}\n{click.style('next: ', bold=True)}{next_step}"


def size(count: float) -> str:
    """Show bytes, ``1.5 MB``."""
    return decimal(int(count))


def rate(count: int, seconds: float) -> str:
    """Show bytes in seconds as ``1.5 MB/s``."""
    return f"{size(count / seconds)}/s" if seconds > 0 else "at once"


def duration(seconds: float) -> str:
    """Show a time in few digits: ``0.9 µs``, ``0.42 ms``, ``3.14 s``, ``2 min 5 s``, ``3 h 20 min``."""
    if seconds < 1e-4:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Set rows under their heads, each column as wide as its widest cell."""
    table = [list(heads), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(heads))]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([click.style(lines[0], bold=True), *lines[1:]])
