"""What an attempt shows of the networks between two machines: each address that was dialled, and where this one stands.

It is read from the record of the attempt, :class:`p2p.peer.moments.Moments`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from p2p.base.errors import DialFailure
from p2p.console.operations import Candidate
from p2p.link.hello import Steps
from p2p.peer.moments import Moments
from p2p.peer.reachable import host_of

__all__ = ["LINK", "UNKNOWN", "candidates", "position"]

LINK: Final = "link"
"""What became of the dial that made the link."""

UNKNOWN: Final = "unknown"
"""What became of one that wasn't made, or of which nobody has told."""


def candidates(own: str, target: str, moments: Moments, link: Steps | None, local: str = "") -> list[Candidate]:
    """List the addresses that either end was to dial, those of the target's dials first, with what became of each.

    :param link: how the connection that became the link came to be; None if none did.
    :param local: the address of this machine that the link has, ``host:port``.
    """
    came = link is not None and not link.dialled
    # Behind a NAT the address that was dialled isn't this machine's own.
    at = next((host for host in moments.dials if host == host_of(local)), next(iter(moments.dials), ""))
    theirs = dict(moments.failures)
    found = [
        Candidate(by=target, address=host, port=moments.port, what=_became(came and host == at, theirs.get(host)))
        for host in moments.dials
    ]
    endpoints = [(host, moments.target_port) for host in moments.reachable]
    if moments.target_mapped:
        endpoints.append((moments.mapped_at, moments.target_mapped))
    ours = dict(moments.own_failures)
    reached = None
    if link is not None and link.dialled:
        reached = host_of(link.remote), int(link.remote.rpartition(":")[2])
    for host, port in endpoints:
        what = _became((host, port) == reached, ours.get(host))
        found.append(Candidate(by=own, address=host, port=port, what=what))
    return found


def _became(linked: bool, failure: str | None) -> str:
    return LINK if linked else failure or UNKNOWN


def position(own: str, router: str, observed: str, moments: Moments, link: Steps | None, *, behind_nat: bool) -> str:
    """Say where this machine stands: open, behind a firewall, or behind a NAT, and of which kind.

    :param observed: where the router sees this peer.
    """
    where = f"{router} sees {own} at {observed}, which isn't an address of this machine: " if behind_nat else ""
    if behind_nat and moments.mapped:
        kind = "keeps the numbers of ports" if moments.mapped == moments.port else "gives ports other numbers"
        where += f"a NAT is between that {kind} ({moments.port} is seen as {moments.mapped})"
    elif behind_nat:
        where += "a NAT is between"
    if link is not None and not link.dialled:
        firewall = "what others begin came in"
    else:
        firewall = _firewall([how for _, how in moments.failures])
    return "; ".join(part for part in (where, firewall) if part)


def _firewall(failures: Sequence[str]) -> str:
    kinds = set(failures)
    if DialFailure.SILENT in kinds:
        return "a firewall here, or on the way, drops what others begin"
    if DialFailure.REFUSED in kinds:
        return "a firewall here, or on the way, refuses what others begin"
    return ""
