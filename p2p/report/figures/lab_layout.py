"""What ran where, read from the facts of a run and the pairs that talked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from p2p.measure.raw_reader import RawRun

__all__ = ["LabLayout", "lab_of"]

_IN_LAB: Final = re.compile(r"(?P<peer>[^,\s]+), (?:daemon (?P<daemon>.+)|(?P<coordinator>coordinator))")
_HERE: Final = re.compile(r"(?P<kind>router|peers)-(?P<cluster>.+)|(?P<coordinator>coordinator)")


@dataclass(frozen=True, slots=True)
class LabLayout:
    """Two clusters, or one, and the pairs that talked between them most.

    :ivar pairs: initiator and receiver, each with the first of ``clusters`` on the left, in the order of their numbers.
    :ivar asked_left: for each pair, whether the left peer asked for the link.
    :ivar more: pairs between other clusters.
    :ivar machine: the one where everything ran; empty if there were several, or nobody knows.
    :ivar machines: by peer, in a lab of several.
    :ivar daemons: that host the peers of a cluster, by cluster, where one does.
    :ivar coordinator: the peer that coordinated, or ``coordinator``; empty if nobody knows.
    :ivar is_own: whether the experiment made the lab itself.
    """

    clusters: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    asked_left: tuple[bool, ...]
    more: int
    machine: str
    machines: dict[str, str]
    daemons: dict[str, str]
    coordinator: str
    coordinator_machine: str
    is_own: bool


def lab_of(run: RawRun) -> LabLayout | None:
    """Find out what ran where; None if the run has no pairs."""
    ways = sorted(set(zip(run.samples["pair"], run.samples["direction"], strict=True)))
    pairs = [(initiator, receiver) for _, way in ways for initiator, _, receiver in [way.partition(">")] if receiver]
    if not pairs:
        return None
    between = Counter(frozenset(map(_cluster, pair)) for pair in pairs)
    most = max(between, key=lambda key: (between[key], sorted(key, reverse=True)))
    clusters = tuple(sorted(most, key=lambda name: _first(name, pairs)))
    chosen = [pair for pair in pairs if frozenset(map(_cluster, pair)) == most]
    asked_left = tuple(_cluster(initiator) == clusters[0] for initiator, _ in chosen)
    placed = run.facts.placement
    where = list(dict.fromkeys(one.where for one in placed))
    machines: dict[str, str] = {}
    daemons: dict[str, str] = {}
    coordinator = coordinator_machine = ""
    is_own = False
    for one in placed:
        if lab := _IN_LAB.fullmatch(one.what):
            machines[lab["peer"]] = one.where
            if lab["coordinator"]:
                coordinator, coordinator_machine = lab["peer"], one.where
        elif here := _HERE.fullmatch(one.what):
            is_own = True
            if here["coordinator"]:
                coordinator, coordinator_machine = one.what, one.where
            elif here["kind"] == "peers":
                daemons[here["cluster"]] = one.what
    return LabLayout(
        clusters=clusters,
        pairs=tuple((a, b) if left else (b, a) for (a, b), left in zip(chosen, asked_left, strict=True)),
        asked_left=asked_left,
        more=len(pairs) - len(chosen),
        machine=where[0] if len(where) == 1 else "",
        machines=machines if len(where) > 1 else {},
        daemons=daemons,
        coordinator=coordinator,
        coordinator_machine=coordinator_machine,
        is_own=is_own,
    )


def _cluster(peer: str) -> str:
    return peer.rpartition(".")[2]


def _first(cluster: str, pairs: Sequence[tuple[str, str]]) -> int:
    """Where a cluster first asks: the one whose peer asked first stands on the left."""
    return next((place for place, (asker, _) in enumerate(pairs) if _cluster(asker) == cluster), len(pairs))
