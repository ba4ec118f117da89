"""Whether others can dial this peer where its router sees it, and what people read of dials that failed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address

from p2p.base.errors import DialFailure

__all__ = [
    "failed_dials",
    "families",
    "family_of",
    "hindrances",
    "host_of",
    "is_foreign",
    "no_common_family",
    "told_to_dial",
    "unreached",
]

BOTH = "tcp6:0"
"""The endpoint on which a fresh socket takes IPv6 and IPv4."""

_PHRASES: dict[str, str] = {
    DialFailure.REFUSED: "the connection was refused",
    DialFailure.SILENT: "nothing answered",
    DialFailure.UNREACHABLE: "there is no way there from {target}",
    DialFailure.FORBIDDEN: "the machine of {target} doesn't let it connect there",
    DialFailure.NO_LINK: "what answered there didn't become the link",
}


def families(host: str) -> frozenset[int]:
    """Return the IP versions that a socket takes which is bound to an address; '' is all of IPv4, '::' is both."""
    if host in ("", "::"):
        return frozenset({4, 6} if host else {4})
    return frozenset({ip_address(host).version})


def family_of(address: str) -> int | None:
    """Return the IP version of an address, None if it is none."""
    try:
        return ip_address(address).version
    except ValueError:
        return None


def host_of(address: str) -> str:
    """Return the host of ``host:port`` or ``[host]:port``, or of a host alone, IPv4-mapped addresses as IPv4."""
    host = address if family_of(address) else address.rpartition(":")[0].strip("[]")
    if not family_of(host):
        return host
    ip = ip_address(host)
    return str((isinstance(ip, IPv6Address) and ip.ipv4_mapped) or ip)


def hindrances(name: str, router: str, observed: str, host: str) -> list[str]:
    """Say why those who are told to dial a peer where its router sees it won't reach it, and what to do.

    :param host: the address that its fresh sockets are bound to, as :func:`families` takes it.
    """
    seen = family_of(observed)
    found = []
    if seen is not None and seen not in families(host):
        found.append(
            f"{router} sees {name} at {observed}, and 'listen' covers IPv{min(families(host))} alone, so nobody can "
            f"dial it there; let 'listen' in its YAML be {BOTH}"
        )
    return found


def told_to_dial(target: str, dials: Sequence[str], port: int) -> str:
    """Say where a target was told to dial."""
    where = " and ".join(dials) if dials else "this machine"
    return f"{target} was told to dial {where}, port {port}"


def failed_dials(target: str, port: int, failures: Sequence[tuple[str, str]]) -> str:
    """Say how the dials of a target ended, as it reports: addresses, and kinds of failure, maybe of a later version."""
    parts = []
    for address, failure in failures:
        phrase = _PHRASES.get(failure, "it came to nothing").format(target=target)
        parts.append(f"{address}, port {port}: {phrase}")
    return f"{target} was told to dial {'; '.join(parts)}" if parts else f"{target} couldn't dial"


def unreached(
    target: str,
    port: int,
    dials: Sequence[str],
    failures: Sequence[tuple[str, str]],
    target_port: int,
    own_failures: Sequence[tuple[str, str]],
) -> str:
    """Say why no link came to stand though both ends dialled, and what to do.

    :param port: the one on which this end listens, ``dials`` where the target was told to dial it, and ``failures`` how
        that ended, as far as it reports.
    :param target_port: the one on which the target listens, 0 if it doesn't, and ``own_failures`` how this end's own
        dials there ended.
    """
    told = (
        failed_dials(target, port, failures) if failures else f"{told_to_dial(target, dials, port)}, and says nothing"
    )
    if not target_port:
        return told
    own = [f"{host}, port {target_port}: {_PHRASES.get(how, 'it came to nothing')}" for host, how in own_failures]
    here = f"from here, {'; '.join(own)}" if own else "from here it can't be dialled"
    kinds = {how for _, how in (*failures, *own_failures)}
    if kinds == {DialFailure.UNREACHABLE}:
        why = "the two have no IP version, or no network, in common; give both an address of one, or appoint a relay"
    else:
        why = "neither machine lets in what the other begins; let a firewall on one of the two let TCP in"
    return f"{told}; {here.format(target='here')}: {why}"


def no_common_family(address: str, dials: Sequence[str]) -> bool:
    """Whether a target, seen at an address, was told to dial addresses of the other family alone."""
    own = family_of(address)
    return own is not None and bool(dials) and all(family_of(one) not in (own, None) for one in dials)


def is_foreign(failures: Sequence[tuple[str, str]]) -> bool:
    """Whether all dials reached something that didn't become the link."""
    return bool(failures) and all(failure == DialFailure.NO_LINK for _, failure in failures)
