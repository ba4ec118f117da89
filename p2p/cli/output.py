"""How the command line speaks and ends: text or JSON on standard output, errors with a next step, exit codes.

This is the one place that says what the exit codes mean, and what a person can do next.
"""

from __future__ import annotations

import errno
import json
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Self, TypeVar

import click
from rich.filesize import decimal

from p2p.base.errors import (
    ConfigError,
    ConsoleUnreachable,
    ExchangeFailed,
    IdentityError,
    InvalidName,
    InvalidRequest,
    LocalFileError,
    Outcome,
    P2PError,
)

__all__ = [
    "NEXT_STEPS",
    "ExitCode",
    "NotWritten",
    "columns",
    "describe",
    "duration",
    "exit_code_of",
    "exit_code_of_outcome",
    "exit_codes_text",
    "json_option",
    "next_step_of",
    "not_written",
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


class ExitCode(IntEnum):
    """An exit code and its meaning."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make a code that knows its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    OK = 0, "done"
    UNEXPECTED = 1, "an unexpected error, here or in the daemon"
    USAGE = 2, "wrong usage or configuration"
    UNKNOWN = 3, "unknown peer or cluster"
    UNREACHABLE = 4, "the cluster or one's own router can't be reached"
    REFUSED = 5, "the other side refused"
    CONNECT_FAILED = 6, "no direct link could be made"
    TIMEOUT = 7, "no answer in time"
    CUT_OFF = 8, "reset or truncated: the link ended in the middle"
    CORRUPT = 9, "what arrived isn't what was sent"
    NO_DAEMON = 10, "no daemon answers on its console"
    LOCAL_FILE = 11, "a file of this machine can't be used"
    INTERRUPTED = 130, "interrupted with Ctrl-C, or cancelled"


_OF_OUTCOMES = {
    Outcome.OK: ExitCode.OK,
    Outcome.UNKNOWN_PEER: ExitCode.UNKNOWN,
    Outcome.UNKNOWN_CLUSTER: ExitCode.UNKNOWN,
    Outcome.CLUSTER_UNREACHABLE: ExitCode.UNREACHABLE,
    Outcome.REFUSED: ExitCode.REFUSED,
    Outcome.CONNECT_FAILED: ExitCode.CONNECT_FAILED,
    Outcome.TIMEOUT: ExitCode.TIMEOUT,
    Outcome.RESET: ExitCode.CUT_OFF,
    Outcome.TRUNCATED: ExitCode.CUT_OFF,
    Outcome.CORRUPT: ExitCode.CORRUPT,
}

_OF_ERRORS: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (ConsoleUnreachable, ExitCode.NO_DAEMON),
    (LocalFileError, ExitCode.LOCAL_FILE),
    (ConfigError, ExitCode.USAGE),
    (IdentityError, ExitCode.USAGE),
    (InvalidName, ExitCode.USAGE),
    (InvalidRequest, ExitCode.USAGE),
)


class NotWritten(LocalFileError):
    """Standard output doesn't take what is printed."""


_NOT_WRITTEN = {
    errno.EPIPE: "nobody reads standard output any more",
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
        "standard output can't be written: {reason}; see to the disk that it goes to",
    ),
}


def not_written(error: OSError) -> NotWritten | None:
    """What to tell of an error that came of printing; None if it is about a file with a name."""
    text = None if error.filename is not None else _NOT_WRITTEN.get(error.errno or 0)
    return None if text is None else NotWritten(text.format(reason=error.strerror))


NEXT_STEPS = {
    Outcome.UNKNOWN_PEER: "list the names that a cluster knows now: p2p peers CLUSTER",
    Outcome.UNKNOWN_CLUSTER: "check the name; the router's YAML lists the clusters it knows under 'neighbours'",
    Outcome.CLUSTER_UNREACHABLE: "see whether your own router is connected: p2p status; else start the other one",
    Outcome.REFUSED: "change what the reason names, then try again",
    Outcome.CONNECT_FAILED: "see which leg fails, and what to do: p2p why PEER; often a firewall on this machine keeps "
    "the other one from connecting",
    Outcome.TIMEOUT: "try again; if it goes on, see whether that peer's daemon runs and what its log says",
    Outcome.RESET: "try again; the log of the peer daemon says why the link ended",
    Outcome.TRUNCATED: "try again; the content ended before its announced length",
    Outcome.CORRUPT: "try again, with a file that doesn't change while it is sent; if that doesn't help, install the "
    "same version of p2p on both machines; a peer that gives other answers than it was asked for isn't to be trusted",
}
"""What a person can do about each outcome that isn't ``ok``."""


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code that an error ends the command with."""
    if isinstance(error, ExchangeFailed):
        return _OF_OUTCOMES[error.outcome]
    return next((code for kind, code in _OF_ERRORS if isinstance(error, kind)), ExitCode.UNEXPECTED)


def exit_code_of_outcome(outcome: str) -> ExitCode:
    """Return the exit code for an outcome, which a newer daemon may have more of."""
    return _OF_OUTCOMES[Outcome(outcome)] if outcome in set(Outcome) else ExitCode.UNEXPECTED


def next_step_of(outcome: str | None) -> str | None:
    """Return what a person can do about an outcome."""
    return NEXT_STEPS.get(Outcome(outcome)) if outcome in set(Outcome) else None


def exit_codes_text() -> str:
    """Return the table of all codes, a line each."""
    return "\n".join(f"{code:>5}  {code.meaning}" for code in ExitCode)


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
