"""What this machine's addresses are, and from which of them it would reach another. Nothing is sent to find out."""

from __future__ import annotations

import socket
from typing import Final, NamedTuple

import psutil

__all__ = ["Attachment", "attachment", "is_own_address", "own_addresses", "source_towards"]

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_ELSEWHERE: Final = ("192.0.2.1", "2001:db8::1")
"""Addresses that no machine has (RFC 5737, RFC 3849): the way to them is the way to the internet."""


class Attachment(NamedTuple):
    """How this machine is attached to networks.

    :ivar addresses: those of its interfaces, loopback and link-local ones left out.
    :ivar sources: those that it would use towards the internet, one for each IP version that leads there.
    """

    addresses: frozenset[str]
    sources: frozenset[str]


def is_own_address(host: str) -> bool:
    """Try whether a socket can be bound to an IP address, which it can if that is one of this machine's."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def own_addresses() -> frozenset[str]:
    """The addresses of this machine's interfaces, without loopback and link-local ones."""
    found: set[str] = set()
    for addresses in psutil.net_if_addrs().values():
        found.update(one.address for one in addresses if one.family in _FAMILIES)
    return frozenset(
        one for one in found if "%" not in one and not one.startswith(("127.", "169.254.", "fe80:")) and one != "::1"
    )


def source_towards(host: str) -> str | None:
    """The address from which this machine would reach an IP address now; None if there is no way there."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))  # of UDP that is a look at the routes, and nothing more
            return str(probe.getsockname()[0])
    except OSError:
        return None


def attachment() -> Attachment:
    """How this machine is attached to networks now."""
    sources = (source_towards(host) for host in _ELSEWHERE)
    return Attachment(own_addresses(), frozenset(one for one in sources if one is not None))
