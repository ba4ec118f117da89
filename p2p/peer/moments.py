"""When the steps of one connection attempt were done, and what the routers said to it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from p2p.base.errors import P2PError
from p2p.link.hello import Steps

__all__ = ["Moments"]


@dataclass(slots=True)
class Moments:
    """The record of an attempt; times are ns on the monotonic clock, 0 for what hasn't happened.

    :ivar bound_ns: the fresh socket listened, on ``port``.
    :ivar asked_ns: the router was asked for the first time.
    :ivar asked: how often it was asked by now; more than once only where somebody was busy.
    :ivar answered_ns: the answer came.
    :ivar address: where the target's router sees the target, as the answer says.
    :ivar dialling: whether the target dials; if not, its own request to this peer goes first.
    :ivar error: what the last question brought instead of an answer.
    :ivar callers: the connections that came to the fresh socket, the latest last.
    """

    began_ns: int
    port: int = 0
    bound_ns: int = 0
    asked_ns: int = 0
    asked: int = 0
    answered_ns: int = 0
    address: str = ""
    dialling: bool = True
    error: P2PError | None = None
    callers: list[Steps] = field(default_factory=list)
