"""Which addresses and ports a TCP connection may go to at all, whoever says so. Pure.

Whoever has others dial could aim them at anything. These rules hold for everybody: a router that passes an address on,
and a peer that is told one, even by its own router.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, NamedTuple, TypeAlias

from p2p.base.errors import P2PError

__all__ = [
    "PORTS",
    "Address",
    "Network",
    "NotAllowed",
    "ProgramPlace",
    "checked_address",
    "is_loopback",
    "normalised",
    "parse_place",
]

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

PORTS: Final = range(1024, 65536)
"""What an unprivileged process can listen on; below are the services that a forged request would be aimed at."""

_THIS_NETWORK = IPv4Network("0.0.0.0/8")
"""RFC 1122, section 3.2.1.3: only ever a source; Linux connects 0.0.0.0 to the machine itself."""


class ProgramPlace(NamedTuple):
    """Where a program listens: an IP address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class NotAllowed(P2PError):
    """An address may not be passed on; the text says which and why."""


@lru_cache(1024)  # a router is told the same ones again and again
def checked_address(text: str) -> Address:
    """Read an IP address literal to which a TCP connection may go; a loopback address is one.

    An IPv4-mapped IPv6 address becomes the IPv4 address that it stands for.

    :raises NotAllowed: with the reason, for anything else.
    """
    try:
        address: Address = ip_address(text)
    except ValueError:
        raise NotAllowed(f"{text[:60]!r} isn't an IP address") from None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise NotAllowed(f"{text[:60]!r} has a zone, which means nothing on another machine")
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return address
    if address.is_unspecified or (isinstance(address, IPv4Address) and address in _THIS_NETWORK):
        kind = "no machine's address"
    elif address.is_multicast:
        kind = "a multicast address"
    elif address.is_link_local:
        kind = "a link-local address"
    elif address == IPv4Address("255.255.255.255"):
        kind = "the broadcast address"
    elif address.is_reserved:  # of IPv6 also ::/8, where IPv4 addresses hide (RFC 4291, RFC 6052)
        kind = "a reserved address"
    else:
        return address
    raise NotAllowed(f"{address} is {kind}")


def normalised(host: str) -> str:
    """Return the address of a connection as it is written everywhere: an IPv4-mapped one is IPv4."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str((isinstance(address, IPv6Address) and address.ipv4_mapped) or address)


def is_loopback(host: str) -> bool:
    """Whether an address of a connection is one of the machine itself; text that is no address isn't."""
    try:
        return ip_address(normalised(host)).is_loopback
    except ValueError:
        return False


def parse_place(text: str) -> ProgramPlace:
    """Read an address and a port, like ``127.0.0.1:5432`` or ``[::1]:5432``; ``localhost`` is ``127.0.0.1``.

    :raises NotAllowed: with the reason, if it is none that a TCP connection may go to.
    """
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_port = len(port) <= 5 and port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if not is_port or (":" in bare) != (bare != host):  # brackets belong to IPv6, and to nothing else
        raise NotAllowed(f"{text[:60]!r} isn't an address and a port, expected them like 127.0.0.1:5432 or [::1]:5432")
    return ProgramPlace(str(checked_address("127.0.0.1" if bare == "localhost" else bare)), int(port))
