"""The operations of the console that join a program of this machine with one at another peer's.

A request brings the program's connection along: the descriptor of a connected stream socket, of UNIX or TCP. The daemon
reads and writes it once the other end is there, and shuts it down at the end.
"""

from __future__ import annotations

from pydantic import Field

from p2p.base.config_fields import Patterns
from p2p.console.operations import ActingArguments, ConsoleAnswer, PeerArguments

__all__ = ["PipeArguments", "PipeListenArguments", "ProgramJoined", "TunnelArguments", "TunnelTold"]


class TunnelArguments(PeerArguments):
    """``tunnel``: to which port of the peer; without a connection it only asks whether that is open."""

    port: int = Field(ge=1, le=65535)
    stream: bool = False


class TunnelTold(ConsoleAnswer):
    """What ``tunnel`` answers where it only asked: the address and port that are dialled there."""

    peer: str
    to: str


class PipeArguments(PeerArguments):
    """``pipe``: with which peer."""

    stream: bool = False


class PipeListenArguments(ActingArguments):
    """``pipe-listen``: with the first peer that comes; ``senders`` is ``from`` on the wire, a keyword of Python."""

    senders: Patterns = Field(
        default=["*"],
        validation_alias="from",
        serialization_alias="from",
        description="A name or a pattern such as '*.m': who may be joined.",
    )
    stream: bool = False


class ProgramJoined(ConsoleAnswer):
    """How it went: the peer, and the bytes that the program here sent and got."""

    peer: str
    sent: int
    received: int
