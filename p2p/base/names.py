"""Names of clusters, peers and routers.

A peer's name is ``<node>.<cluster>``, both of them DNS labels in lower case (RFC 1035, section 2.3.1, with the
digits that RFC 1123 allows in front), so that TLS can check the whole name as a DNS-ID (RFC 9525).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from p2p.base.errors import InvalidName

__all__ = ["ROUTER", "SIGNER", "PeerName", "check_listed", "parse_cluster", "parse_peer", "router_name"]

ROUTER = "router"
"""The node label that no peer may take: ``router.n`` is the TLS name of cluster n's router."""

SIGNER = "signer"
"""The TLS name of the process that has the authority's key. It has no cluster, so that it was never a peer's."""

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


class PeerName(NamedTuple):
    """A peer's name in its two parts; ``str()`` gives it back as ``node.cluster``."""

    node: str
    cluster: str

    def __str__(self) -> str:
        return f"{self.node}.{self.cluster}"


def parse_cluster(text: str) -> str:
    """Check the name of a cluster and return it.

    :raises InvalidName: with the reason, if it isn't a DNS label in lower case that holds a letter.
    """
    _check_label(text, "cluster")
    if text.isdigit():
        raise InvalidName(f"cluster {text!r} has no letter; digits alone could be read as part of an address")
    return text


def parse_peer(text: str) -> PeerName:
    """Take ``n1.n`` apart into its node and its cluster.

    :raises InvalidName: with the reason, if the text isn't ``<node>.<cluster>`` or names a router.
    """
    parts = text.split(".")
    if len(parts) != 2:
        raise InvalidName(f"peer name {_shown(text)} isn't <node>.<cluster>, for example n1.n")
    node, cluster = parts
    _check_label(node, "node")
    if node == ROUTER:
        raise InvalidName(f"peer name {_shown(text)} is reserved: 'router' names the cluster's S-Router")
    return PeerName(node, parse_cluster(cluster))


def check_listed(names: Sequence[str], cluster: str, after: str, limit: int) -> list[str]:
    """Check a page of at most ``limit`` names that a router sent: of peers of its cluster, in order, behind ``after``.

    :raises InvalidName: if it is anything else; a page that doesn't move on would be asked for again for ever.
    """
    if len(names) > limit:
        raise InvalidName(f"a page of {len(names)} names, more than {limit}")
    last = after
    for name in names:
        if parse_peer(name).cluster != cluster or name <= last:
            raise InvalidName(f"{_shown(name)} isn't of cluster {cluster} or out of order")
        last = name
    return list(names)


def router_name(cluster: str) -> str:
    """Return the TLS name of a cluster's router, ``router.n`` for ``n``."""
    return f"{ROUTER}.{cluster}"


def _check_label(label: str, role: str) -> None:
    if _LABEL.match(label):
        return
    if not label:
        reason = "is empty"
    elif len(label) > 63:
        reason = f"has {len(label)} characters, and a DNS label has at most 63"
    elif label != label.lower():
        reason = "has capital letters; names are lower case"
    elif label.startswith("-") or label.endswith("-"):
        reason = "starts or ends with a hyphen"
    else:
        reason = "has a character that isn't a to z, 0 to 9 or a hyphen"
    raise InvalidName(f"{role} name {_shown(label)} {reason}")


def _shown(text: str) -> str:
    """A hostile text is quoted and cut before it reaches a log or a screen."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
