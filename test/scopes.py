"""Scopes for tests."""

from __future__ import annotations

from p2p.base.config import PeerLimits
from p2p.base.scopes import StreamScope

__all__ = ["stream_scope"]


def stream_scope(**limits: int) -> StreamScope:
    """The scope of a stream in a daemon of its own, whose limits are the usual ones but for those that are named."""
    system = PeerLimits().model_copy(update=limits).scopes()
    return system.link("n1.n", lambda reason: None).stream(lambda reason: None)
