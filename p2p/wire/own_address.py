"""What this machine's addresses are, and from which of them it would reach another. Nothing is sent to find out."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Final, NamedTuple

import psutil

__all__ = ["Attachment", "attachment", "is_own_address", "own_interfaces", "source_towards"]

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_ELSEWHERE: Final = ("192.0.2.1", "2001:db8::1")
"""Addresses that no machine has (RFC 5737, RFC 3849): the way to them is the way to the internet."""


class Attachment(NamedTuple):
    """How this machine is attached to networks.

    :ivar interfaces: the name, the address and the length of the prefix of each, loopback and link-local ones left out.
    :ivar sources: addresses that it would use towards the internet, one for each IP version that leads there.
    """

    interfaces: frozenset[tuple[str, str, int]]
    sources: frozenset[str]

    @property
    def addresses(self) -> frozenset[str]:
        """The addresses of the interfaces."""
        return frozenset(address for _, address, _ in self.interfaces)


def is_own_address(host: str) -> bool:
    """Try whether a socket can be bound to an IP address, which it can if that is one of this machine's."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def own_interfaces() -> frozenset[tuple[str, str, int]]:
    """This machine's interfaces: name, address and length of the prefix, without loopback and link-local ones."""
    found = set()
    for name, addresses in psutil.net_if_addrs().items():
        for one in addresses:
            if one.family in _FAMILIES and "%" not in one.address:
                address = ip_address(one.address)
                if not (address.is_loopback or address.is_link_local):
                    mask = ip_address(one.netmask) if one.netmask else None
                    prefix = address.max_prefixlen if mask is None else int(mask).bit_count()
                    found.add((name, one.address, prefix))
    return frozenset(found)


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
    return Attachment(own_interfaces(), frozenset(one for one in sources if one is not None))
