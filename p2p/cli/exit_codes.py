"""What the exit codes of ``p2p`` mean, and what a person can do next: the one place that says so."""

from __future__ import annotations

from enum import IntEnum
from typing import Self

from p2p.base.errors import (
    ConfigError,
    ConsoleUnreachable,
    ExchangeFailed,
    IdentityError,
    InvalidName,
    InvalidRequest,
    LocalFileError,
    Outcome,
)

__all__ = ["NEXT_STEPS", "ExitCode", "exit_code_of", "exit_code_of_outcome", "exit_codes_text", "next_step_of"]


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
