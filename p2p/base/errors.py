"""What can go wrong, in the words that code, logs, documents and the command line share."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

__all__ = [
    "CancelledThere",
    "ConfigError",
    "ConsoleUnreachable",
    "DaemonFault",
    "DialFailure",
    "ExchangeFailed",
    "IdentityError",
    "InvalidName",
    "InvalidRequest",
    "LocalFileError",
    "Outcome",
    "P2PError",
    "ProtocolViolation",
]


class Outcome(StrEnum):
    """How an exchange ended: exactly one of these, whatever happened."""

    OK = "ok"
    UNKNOWN_PEER = "unknown-peer"
    UNKNOWN_CLUSTER = "unknown-cluster"
    CLUSTER_UNREACHABLE = "cluster-unreachable"
    REFUSED = "refused"
    CONNECT_FAILED = "connect-failed"
    TIMEOUT = "timeout"
    RESET = "reset"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"

    @property
    def is_drop(self) -> bool:
        """Whether a message was lost: everything but ``ok`` and ``refused`` is a drop."""
        return self not in (Outcome.OK, Outcome.REFUSED)


class DialFailure(StrEnum):
    """How a dial ended without a link; no more than that is told of an address to who isn't there."""

    REFUSED = "refused"
    SILENT = "no-answer"
    UNREACHABLE = "unreachable"
    FORBIDDEN = "forbidden"
    NO_LINK = "no-link"
    OTHER = "other"


class P2PError(Exception):
    """The base of every expected failure; its text tells a person what happened and what to do."""


class ConfigError(P2PError):
    """A configuration file can't be used; the text reads ``file:line: what is wrong``."""


class InvalidName(P2PError, ValueError):
    """A text isn't a name of a peer or a cluster; the text says why."""


class IdentityError(P2PError):
    """A key or certificate can't be used, or the other end isn't who it must be."""


class ConsoleUnreachable(P2PError):
    """No daemon answers on its console socket."""


class InvalidRequest(P2PError, ValueError):
    """A request to a daemon isn't one that it can carry out; the text says why."""


class LocalFileError(P2PError):
    """A file or a folder of this machine can't be used; the text names it and says why."""


class DaemonFault(P2PError):
    """A daemon met a fault of its own, or gave an answer that makes no sense; its log has the details."""


class ProtocolViolation(P2PError):
    """The other side broke the protocol: the connection is aborted and nobody else suffers."""


class ExchangeFailed(P2PError):
    """An exchange ended with anything but ``ok``.

    :ivar outcome: which of the outcomes it was.
    :ivar fields: what else is known of it, as the console names it: ``planned_ns``, ``end_ns``, ``bytes``.
    """

    def __init__(self, outcome: Outcome, reason: str, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.fields: Mapping[str, Any] = fields or {}


class CancelledThere(ExchangeFailed):
    """The other side has given up for good what the exchange was a part of; to who doesn't know that, it is refused."""

    def __init__(self, reason: str) -> None:
        super().__init__(Outcome.REFUSED, reason)
