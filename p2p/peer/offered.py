"""Which of its addresses a machine names to others, and which of theirs it dials since they are on its own networks.

Pure: what the interfaces are is said by :mod:`p2p.wire.own_address`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_interface, ip_network

from p2p.base.addresses import Network, NotAllowed, checked_address

__all__ = ["Interface", "OwnAddresses", "own_addresses_of"]

Interface = tuple[str, str, int]
"""The name of an interface, one of its addresses, and the length of the prefix of its network."""


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """The addresses of this machine.

    :ivar named: those that others are told, best first.
    :ivar all: all of them.
    :ivar networks: those to which the machine is attached at an address that is named.
    """

    named: tuple[str, ...] = ()
    all: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    def behind_nat(self, observed: str) -> bool:
        """Whether a router that sees this machine at an address sees it through a NAT."""
        try:
            return not ip_address(observed).is_loopback and observed not in self.all
        except ValueError:
            return False

    def attached(self, addresses: Iterable[str]) -> list[str]:
        """Return those addresses of another machine that are on a network of this one, and not its own."""
        found = []
        for text in addresses:
            try:
                address = checked_address(text)
            except NotAllowed:
                continue
            near = any(address in network for network in self.networks)
            if near and not address.is_loopback and str(address) not in self.all:
                found.append(str(address))
        return found


def own_addresses_of(
    interfaces: Iterable[Interface], sources: Collection[str], offer: Sequence[str], leave_out: Sequence[str]
) -> OwnAddresses:
    """Choose what is named of a machine's addresses: first those from which it reaches the internet.

    :param sources: these.
    :param offer: names of interfaces, maybe with ``*``, and networks; all, if there are none.
    :param leave_out: more of these, which are left out.
    """
    interfaces = sorted(set(interfaces), key=lambda one: (one[1] not in sources, one))
    kept = [
        (name, address, prefix)
        for name, address, prefix in interfaces
        if (not offer or _is_among(name, address, offer)) and not _is_among(name, address, leave_out)
    ]
    return OwnAddresses(
        tuple(dict.fromkeys(address for _, address, _ in kept)),
        frozenset(address for _, address, _ in interfaces),
        tuple(dict.fromkeys(ip_interface(f"{address}/{prefix}").network for _, address, prefix in kept)),
    )


def _is_among(name: str, address: str, choices: Sequence[str]) -> bool:
    return any(_fits(name, address, choice) for choice in choices)


def _fits(name: str, address: str, choice: str) -> bool:
    try:
        return ip_address(address) in ip_network(choice)
    except ValueError:
        return fnmatchcase(name, choice)
