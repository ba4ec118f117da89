"""Which peers are meant: names as they are, and patterns such as ``*.m`` for those that a cluster has now."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from p2p.base.errors import ExchangeFailed, InvalidName, InvalidRequest, Outcome
from p2p.base.names import check_listed, parse_cluster, parse_peer
from p2p.control.channel import ControlLost, ControlTimeout
from p2p.control.commands import ControlError, ListPeers
from p2p.peer.node import HostedPeer

__all__ = ["MAX_NAMES", "MAX_TARGETS", "expanded", "list_peers"]

MAX_NAMES: Final = 100_000
"""Names of a cluster that are listed at most."""

MAX_TARGETS: Final = 1000
"""Peers that one transfer goes to at most."""

_MAGIC: Final = frozenset("*?[")


async def list_peers(peer: HostedPeer, cluster: str) -> list[str]:
    """The names of the peers that a cluster has now, sorted.

    :raises InvalidName: if that isn't a cluster's name.
    :raises ExchangeFailed: with the outcome, if the routers don't tell.
    """
    parse_cluster(cluster)
    names: list[str] = []
    more = True
    try:
        while more and len(names) < MAX_NAMES:
            page = await peer.registration.call(ListPeers, cluster=cluster, after=names[-1] if names else "")
            try:
                names += check_listed(page["names"], cluster, names[-1] if names else "", MAX_NAMES)
            except InvalidName as error:
                raise ExchangeFailed(
                    Outcome.CORRUPT, f"the router sent a list of peers that is none: {error}"
                ) from error
            more = page["more"] and bool(page["names"])
    except (ControlError, ControlTimeout, ControlLost) as error:
        raise ExchangeFailed(error.outcome, str(error)) from error
    return names


async def expanded(peer: HostedPeer, patterns: Sequence[str]) -> list[str]:
    """The names that patterns stand for, each once, in their order; a pattern never stands for the asking peer itself.

    :raises InvalidName: if something is neither a peer's name nor a pattern.
    :raises InvalidRequest: if they are too many, or a pattern leaves the cluster open.
    :raises ExchangeFailed: ``unknown-peer`` if a pattern stands for nobody, else as :func:`list_peers`.
    """
    chosen: dict[str, None] = {}
    listed: dict[str, list[str]] = {}
    for pattern in patterns:
        if not _MAGIC & set(pattern):
            parse_peer(pattern)
            chosen[pattern] = None
            continue
        cluster = pattern.rpartition(".")[2]
        if _MAGIC & set(cluster):
            raise InvalidRequest(f"{pattern[:80]!r} leaves the cluster open; name it, for example '*.m'")
        if cluster not in listed:
            listed[cluster] = await list_peers(peer, cluster)
        found = [name for name in listed[cluster] if fnmatchcase(name, pattern) and name != peer.name]
        if not found:
            raise ExchangeFailed(
                Outcome.UNKNOWN_PEER,
                f"no other peer that is registered now is called {pattern[:80]}; to see who is: p2p peers {cluster}",
            )
        chosen.update(dict.fromkeys(found))
    if len(chosen) > MAX_TARGETS:
        raise InvalidRequest(f"these are {len(chosen)} peers, and at most {MAX_TARGETS} are allowed at once")
    return list(chosen)
