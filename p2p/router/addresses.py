"""Which addresses a peer may be told to dial, and on whose word. Pure.

A router that passed on any address would be a port scanner for whoever asks (server-side request forgery), and one
that passed on a loopback address would open the services of the dialling machine itself. So a target is told only

* the address at which the initiator's router sees the initiator, which, where that is another router, must lie in the
  networks that the configuration grants the initiator's cluster, if it grants any; and
* addresses that the initiator names, if they lie in those networks;

and only those to which a TCP connection can go at all (:mod:`p2p.base.addresses`). A loopback address means "on the
machine of the router that saw it", whatever it is: it is replaced by the address at which that router reaches this one,
and by this machine's address for a target that is elsewhere. So nobody's word but this router's own leads to a loopback
address, and then only to the one at which a router of this very machine is.

Two peers that are seen at one address are behind one NAT, or on one machine. Those are told of each other's further
addresses as well, apart from the others: a peer dials one of these only if it is attached to that network itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from p2p.base.addresses import Address, Network, NotAllowed, checked_address, is_loopback

__all__ = ["behind_one_nat", "dialable", "granted", "seen_through"]


def granted(candidates: Iterable[str], networks: Sequence[Network]) -> list[Address]:
    """Return the candidates that lie in one of the networks; never a loopback address.

    :raises NotAllowed: for a candidate that isn't an address or is of a kind that nobody can dial.
    """
    addresses = [checked_address(text) for text in candidates]
    return [address for address in addresses if not address.is_loopback and _is_granted(address, networks)]


def seen_through(observed: str, via: str | None) -> str:
    """Return where an observed address is for someone who is told of it over a connection to ``via``.

    :param observed: what a router saw.
    :param via: the address of that router, None if it is this one.
    :raises NotAllowed: if it isn't an address that can be dialled.
    """
    address = checked_address(observed)
    return str(address if via is None or not address.is_loopback else checked_address(via))


def dialable(
    observed: str,
    candidates: Iterable[str],
    networks: Sequence[Network] | None,
    *,
    via: str | None,
    target: str,
    here: str,
) -> list[str]:
    """Return the addresses that a target may dial, best first, none twice.

    :param observed: where the initiator's router sees the initiator.
    :param candidates: further addresses that the initiator names.
    :param networks: what the configuration grants the initiator's cluster; None if it says nothing of it.
    :param via: the address of the initiator's router, None if that is this router.
    :param target: where this router sees the target.
    :param here: the address at which the target reached this router.
    :raises NotAllowed: with the reason, if no address is left, or one of them is no address at all.
    """
    kept = granted(candidates, networks or ())
    reason = "no candidate lies in a network that is granted to the cluster"
    try:
        address = checked_address(seen_through(observed, via))
        # The other router's own address needs no grant: it can have nobody dial another one by that.
        if via not in (None, str(address)) and networks is not None and not _is_granted(address, networks):
            raise NotAllowed(f"{address}, where its router sees it, is in none of the networks of its cluster")
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


def behind_one_nat(one: str, other: str, named: Iterable[str], told: Sequence[str]) -> list[str]:
    """Return the addresses of one peer that another may dial if it is attached to their network.

    :param one: where a router sees the peer whose addresses these are, ``other`` where one sees the other.
    :param named: the addresses that the peer names, checked.
    :param told: those at which it is to be dialled anyway.
    """
    named = list(named)
    if one != other or one in named or is_loopback(one):
        return []
    return [address for address in named if address not in told and not is_loopback(address)]


def _is_granted(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks, and isn't the broadcast address of one."""
    within = [one for one in networks if address.version == one.version and address in one]
    return bool(within) and not any(_is_broadcast(address, one) for one in within)


def _is_broadcast(address: Address, network: Network) -> bool:
    """Whether it is the directed broadcast of this network, which IPv6 and networks of one or two addresses lack."""
    return address.version == 4 and network.num_addresses > 2 and address == network.broadcast_address
