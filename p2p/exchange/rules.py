"""What somebody wants to do at a peer, and which of its rules that meets. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["GROWTH", "Action", "Agreement", "Offer", "Rule", "Verdict", "decide"]

Action = Literal["accept", "ask", "refuse"]

GROWTH: Final = 1024 * 1024
"""Bytes, and besides a hundredth of what was offered, by which more may come than a person has agreed to: a log goes on
growing while it waits to be sent."""


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
class Agreement:
    """What a person has agreed to take.

    :ivar bytes: how much was offered; None if nobody knew.
    """

    bytes: int | None

    @property
    def most(self) -> int | None:
        """Bytes that may come; None if any."""
        return None if self.bytes is None else self.bytes + self.bytes // 100 + GROWTH

    def covers(self, offer: Offer) -> bool:
        """Whether the person needn't be asked about this as well; if its size isn't known, it is held to the one agreed
        to."""
        return self.most is None or offer.bytes is None or offer.bytes <= self.most


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
            any(_fits(offer.sender, pattern) for pattern in self.senders)
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


def _fits(name: str, pattern: str) -> bool:
    """Whether a name is one of those that a pattern stands for."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None
