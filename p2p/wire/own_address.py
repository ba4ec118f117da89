"""Whether an address is one of this machine."""

from __future__ import annotations

import socket

__all__ = ["is_own_address"]


def is_own_address(host: str) -> bool:
    """Try whether a socket can be bound to an IP address, which it can if that is one of this machine's."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
