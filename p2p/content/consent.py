"""What somebody wants to do at a peer, which rules it meets there, and on what terms it may. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

__all__ = ["Action", "Exists", "Links", "Offer", "Rule", "Terms", "Verdict", "decide"]

Action = Literal["accept", "ask", "refuse"]
Exists = Literal["rename", "replace", "refuse"]
Links = Literal["keep", "refuse"]


@dataclass(frozen=True, slots=True)
class Offer:
    """What somebody wants to do at a peer.

    :ivar sender: who, proved by a certificate.
    :ivar service: by which content service.
    :ivar type: the content type.
    :ivar name: the content's name, as the sender calls it.
    :ivar bytes: how much it is, as the sender says; None if nobody knows.
    :ivar entries: how many files, folders and links, likewise.
    :ivar id: of a transfer.
    """

    sender: str
    service: str
    type: str = "data"
    name: str = ""
    bytes: int | None = None
    entries: int | None = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms something is taken.

    :ivar folder: where it goes.
    :ivar exists: what to do when a name is taken.
    :ivar links: whether links are kept as links or refused.
    :ivar room: is called in threads before so many more bytes are written; raises ``ExchangeFailed`` with ``refused``.
    """

    folder: Path
    exists: Exists
    links: Links
    room: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done with offers of one kind.

    :ivar senders: patterns of peer names, such as ``*.m``; ``*`` stands for any characters.
    :ivar services: names of services; empty for all.
    :ivar types: content types; empty for all.
    :ivar size: bytes that an offer has at most; None if that doesn't matter.
    """

    senders: tuple[str, ...] = ("*",)
    services: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    size: int | None = None
    action: Action = "accept"

    def meets(self, offer: Offer) -> bool:
        """Whether the rule is about this offer; one of unknown size isn't larger than any."""
        return (
            any(fnmatchcase(offer.sender, pattern) for pattern in self.senders)
            and (not self.services or offer.service in self.services)
            and (not self.types or offer.type in self.types)
            and (self.size is None or offer.bytes is None or offer.bytes <= self.size)
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done with an offer.

    :ivar size: bytes that it may have at most, however many it announced; None if any.
    :ivar reason: why, where it is refused.
    """

    action: Action
    size: int | None = None
    reason: str = ""


def decide(rules: Sequence[Rule] | None, offer: Offer, peer: str) -> Verdict:
    """Judge an offer by the first rule that it meets.

    :param rules: None if there are none: then everything is accepted, since only peers of the lab get here.
    :param peer: whose rules they are.
    """
    if rules is None:
        return Verdict("accept")
    kind = f"{offer.service} of type {offer.type}"
    size = "" if offer.bytes is None else f", {offer.bytes} bytes"
    for rule in rules:
        if rule.meets(offer):
            reason = f"a rule of {peer} refuses {kind} from {offer.sender}" if rule.action == "refuse" else ""
            return Verdict(rule.action, rule.size, reason)
    return Verdict("refuse", reason=f"no rule of {peer} accepts {kind} from {offer.sender}{size}")
