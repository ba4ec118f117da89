"""When certificates are renewed. Pure; all times are Unix seconds."""

from __future__ import annotations

from typing import Final

__all__ = ["RENEWED_AT", "due"]

RENEWED_AT: Final = 2 / 3
"""The part of a certificate's life after which it is renewed: the rest is for signers and routers that are away."""


def due(begin: float, end: float) -> float:
    """Return when a certificate that is valid from one time to another is to be renewed."""
    return begin + (end - begin) * RENEWED_AT
