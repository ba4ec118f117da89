"""Certificates that end soon, and who is told."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from p2p.identity.authority import days_left

__all__ = ["warn_of_expiry"]

EXPIRES_SOON_DAYS: Final = 30
"""Days before the end of a certificate from which on it is warned of at each start."""

log = Logger()


def warn_of_expiry(certificates: Iterable[Path]) -> None:
    """Warn of each certificate that is about to expire."""
    for certificate in certificates:
        left = days_left(certificate)
        if left < EXPIRES_SOON_DAYS:
            log.warn(
                "the certificate {certificate} expires in {left:.1f} days; issue a new one before",
                certificate=str(certificate),
                left=left,
            )
