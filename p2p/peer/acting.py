"""Which hosted peer does what a client of the console asks for."""

from __future__ import annotations

from collections.abc import Mapping

from p2p.base.errors import InvalidRequest
from p2p.console.operations import ActingArguments
from p2p.peer.node import HostedPeer

__all__ = ["acting_peer"]


def acting_peer(peers: Mapping[str, HostedPeer], arguments: ActingArguments) -> HostedPeer:
    """The hosted peer that the arguments name, or the only one.

    :raises InvalidRequest: if it isn't hosted, or several are and none is named.
    """
    if arguments.acting is None:
        if len(peers) > 1:
            raise InvalidRequest(
                f"this daemon hosts {len(peers)} peers; say which of them acts, for example --as {next(iter(peers))}"
            )
        return next(iter(peers.values()))
    peer = peers.get(arguments.acting)
    if peer is None:
        raise InvalidRequest(f"this daemon doesn't host {arguments.acting!r:.80}")
    return peer
