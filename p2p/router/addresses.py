"""Which addresses a peer may be told to dial. Pure.

A router that passed on any address would be a port scanner for whoever asks (server-side request forgery), and one
that passed on a loopback address would open the services of the dialling machine itself. So a target is told only

* the address at which the initiator's router sees the initiator, and
* addresses that lie in the networks which the configuration of the target's router grants the initiator's cluster;

and only those to which a TCP connection can go at all. A loopback address means "on the machine of the router that
saw it" and is replaced by that machine's address for everybody who is elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from p2p.base.errors import P2PError

__all__ = ["Address", "Network", "NotAllowed", "checked_address", "dialable", "granted", "normalised", "seen_through"]

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_THIS_NETWORK = IPv4Network("0.0.0.0/8")
"""RFC 1122, section 3.2.1.3: only ever a source; Linux connects 0.0.0.0 to the machine itself."""


class NotAllowed(P2PError):
    """An address may not be passed on; the text says which and why."""


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


def granted(candidates: Iterable[str], networks: Sequence[Network]) -> list[Address]:
    """Return the candidates that lie in one of the networks; never a loopback address.

    :raises NotAllowed: for a candidate that isn't an address or is of a kind that nobody can dial.
    """
    kept = []
    for text in candidates:
        address = checked_address(text)
        within = [one for one in networks if address.version == one.version and address in one]
        if within and not address.is_loopback and not any(_is_broadcast(address, one) for one in within):
            kept.append(address)
    return kept


def seen_through(observed: str, via: str | None) -> str:
    """Return where an observed address is for someone who is told of it over a connection to ``via``.

    :param observed: what a router saw.
    :param via: the address of that router, None if it is this one.
    :raises NotAllowed: if it isn't an address that can be dialled.
    """
    address = checked_address(observed)
    if via is not None and address.is_loopback and not checked_address(via).is_loopback:
        address = checked_address(via)
    return str(address)


def dialable(
    observed: str, candidates: Iterable[str], networks: Sequence[Network], *, via: str | None, target: str, here: str
) -> list[str]:
    """Return the addresses that a target may dial, best first, none twice.

    :param observed: where the initiator's router sees the initiator.
    :param candidates: further addresses that the initiator names.
    :param networks: what the configuration grants the initiator's cluster.
    :param via: the address of the initiator's router, None if that is this router.
    :param target: where this router sees the target.
    :param here: the address at which the target reached this router.
    :raises NotAllowed: with the reason, if no address is left, or one of them is no address at all.
    """
    kept = granted(candidates, networks)
    reason = "no candidate lies in a network that is granted to the cluster"
    try:
        address = checked_address(seen_through(observed, via))
        if address.is_loopback and not checked_address(target).is_loopback:
            address = checked_address(here)
            if address.is_loopback:
                raise NotAllowed(f"{address} means another machine for {target}")
        kept.insert(0, address)
    except NotAllowed as error:
        reason = f"{error}, and {reason}"
    if not kept:
        raise NotAllowed(f"no address to dial: {reason}")
    return [str(address) for address in dict.fromkeys(kept)]


def _is_broadcast(address: Address, network: Network) -> bool:
    """Whether it is the directed broadcast of this network, which IPv6 and networks of one or two addresses lack."""
    return address.version == 4 and network.num_addresses > 2 and address == network.broadcast_address
