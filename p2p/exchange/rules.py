"""What somebody wants to do at a peer, which of its rules that meets, and what may come of it then. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Final, Literal

from blake3 import blake3

from p2p.base.values import DATA, TYPES, type_of
from p2p.exchange.paths import shown, to_bytes

__all__ = ["GROWTH", "GROWTH_ENTRIES", "NAMES_BYTES", "Action", "Agreement", "Arrived", "Bounds", "Names", "Offer"]
__all__ += ["Rule", "Verdict", "decide"]

Action = Literal["accept", "ask", "refuse"]

GROWTH: Final = 1024 * 1024
"""Bytes, and besides a hundredth of what was offered, by which more may come than a person has agreed to: a log goes on
growing while it waits to be sent."""

GROWTH_ENTRIES: Final = 16
"""Entries, and besides a hundredth of those offered, by which more may come: a folder gets files while it waits. Of a
single entry no more than that one."""

NAMES_BYTES: Final = 16384
"""Bytes of the names that an offer lists; what doesn't fit is counted, and known by a digest."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names at the top of a transfer, in the order in which they come.

    :ivar listed: those that an offer has room for, the first ones.
    :ivar count: how many there are.
    :ivar digest: over all of them, where not all are listed; else empty.
    """

    listed: tuple[str, ...]
    count: int
    digest: str = ""

    @classmethod
    def of(cls, names: Sequence[str]) -> Names:
        """Names as an offer has them."""
        left = NAMES_BYTES + 1
        for index, name in enumerate(names):
            left -= len(to_bytes(name)) + 1
            if left < 0:
                return cls(tuple(names[:index]), len(names), reduce(_digest, names, ""))
        return cls(tuple(names), len(names))


@dataclass(frozen=True, slots=True)
class Offer:
    """What somebody wants to do at a peer.

    :ivar sender: who, proved by a certificate.
    :ivar service: by which content service.
    :ivar type: the content type, as the sender says.
    :ivar name: the content's name, as the sender calls it.
    :ivar bytes: how much it is, as the sender says; None if nobody knows.
    :ivar entries: how many files, folders and links, likewise.
    :ivar id: of a transfer.
    :ivar names: of files and folders; None where there are none, or the sender doesn't say.
    :ivar by_type: how many bytes the files of each content type have, the types without files left out; None if
        nobody knows.
    """

    sender: str
    service: str
    type: str = DATA
    name: str = ""
    bytes: int | None = None
    entries: int | None = None
    id: str = ""
    names: Names | None = None
    by_type: Mapping[str, int] | None = field(default=None, hash=False)

    @property
    def types(self) -> frozenset[str]:
        """The content types that there are in it: those that the names tell, and that which the sender says.

        ``data`` is also what a folder and a mixture are called, so it counts only where nothing better is known.
        """
        if self.names is None:
            return frozenset({self.type})
        found: set[str] = {type_of(name) for name in self.names.listed}
        if self.by_type is not None:
            found = found - {DATA} | self.by_type.keys()
        return frozenset(found | {self.type} - {DATA} or {DATA})

    def bytes_of(self, types: frozenset[str]) -> int | None:
        """How many bytes there are of some types, of all if none is named; None if nobody knows."""
        if self.by_type is None or not types:
            return self.bytes
        return _bytes_of(self.by_type, types)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a person has agreed to take.

    :ivar bytes: how much was offered, as ``entries``; None if nobody knew.
    :ivar names: those that were offered; None if nobody knew.
    :ivar types: the content types that were in it; None if nobody knew.
    """

    bytes: int | None
    entries: int | None = None
    names: Names | None = None
    types: frozenset[str] | None = None

    @classmethod
    def to(cls, offer: Offer) -> Agreement:
        """The agreement to all that an offer says."""
        return cls(offer.bytes, offer.entries, offer.names, None if offer.by_type is None else offer.types)

    @property
    def most(self) -> int | None:
        """Bytes that may come; None if any."""
        return None if self.bytes is None else self.bytes + self.bytes // 100 + GROWTH

    @property
    def most_entries(self) -> int | None:
        """Entries that may come; None if any."""
        if self.entries is None or self.entries <= 1:
            return self.entries
        return self.entries + self.entries // 100 + GROWTH_ENTRIES

    def covers(self, offer: Offer) -> bool:
        """Whether the person needn't be asked about this as well; what the offer doesn't say, it is held to."""
        return (
            (self.most is None or offer.bytes is None or offer.bytes <= self.most)
            and (self.most_entries is None or offer.entries is None or offer.entries <= self.most_entries)
            and (self.names is None or offer.names is None or offer.names == self.names)
            and (self.types is None or offer.by_type is None or offer.types <= self.types)
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done with offers of one kind.

    :ivar senders: patterns of peer names, such as ``*.m``; ``*`` stands for any characters.
    :ivar services: names of services; empty for all.
    :ivar types: content types; empty for all.
    :ivar size: bytes that an offer has of these types at most; None if that doesn't matter.
    """

    senders: tuple[str, ...] = ("*",)
    services: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    size: int | None = None
    action: Action = "accept"

    def meets(self, offer: Offer, kind: str) -> bool:
        """Whether the rule is about what an offer has of a content type; an unknown size isn't larger than any."""
        size = None if self.size is None else offer.bytes_of(self.types)
        return (
            any(_fits(offer.sender, pattern) for pattern in self.senders)
            and (not self.services or offer.service in self.services)
            and (not self.types or kind in self.types)
            and (self.size is None or size is None or size <= self.size)
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done with an offer.

    :ivar size: bytes that it may have at most, however many it announced; None if any.
    :ivar reason: why, where it is refused.
    :ivar rules: the rule for each content type, None where no rule is met; None if there are no rules.
    """

    action: Action
    size: int | None = None
    reason: str = ""
    rules: Mapping[str, Rule | None] | None = field(default=None, compare=False)


def decide(rules: Sequence[Rule] | None, offer: Offer, peer: str) -> Verdict:
    """Judge an offer: for each content type in it by the first rule that is met, and in all by the strictest of them.

    :param rules: None if there are none: then everything is accepted, since only peers of the lab get here.
    :param peer: whose rules they are.
    """
    if rules is None:
        return Verdict("accept")
    types = offer.types
    first = {kind: next((one for one in rules if one.meets(offer, kind)), None) for kind in (*TYPES, *sorted(types))}
    size = "" if offer.bytes is None else f", {offer.bytes} bytes"
    most: int | None = None
    action: Action = "accept"
    for kind, rule in first.items():
        if kind not in types:
            continue
        what = f"{offer.service} of type {kind} from {offer.sender}"
        if rule is None:
            return Verdict("refuse", reason=f"no rule of {peer} accepts {what}{size}", rules=first)
        if rule.action == "refuse":
            return Verdict("refuse", rule.size, f"a rule of {peer} refuses {what}", first)
        if rule.action == "ask":
            action = "ask"
        if rule.size is not None:
            most = rule.size if most is None else min(most, rule.size)
    return Verdict(action, most, rules=first)


@dataclass(slots=True)
class Arrived:
    """What has come of a transfer, in all its sessions.

    :ivar entries: how many were taken.
    :ivar by_type: bytes of the files that were taken, by content type.
    :ivar names: how many names at the top have come, taken or not.
    :ivar digest: over them.
    """

    entries: int = 0
    by_type: dict[str, int] = field(default_factory=dict)
    names: int = 0
    digest: str = ""

    def add(self, path: str, size: int, *, taken: bool) -> None:
        """An entry has come; ``size`` are the bytes of a file."""
        name = path.removesuffix("/")
        if "/" not in name:
            self.names += 1
            self.digest = _digest(self.digest, name)
        if taken:
            self.entries += 1
            if size:
                kind = type_of(path)
                self.by_type[kind] = self.by_type.get(kind, 0) + size


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may come of a transfer: what the rules say of each content type, and what a person has agreed to.

    :ivar agreement: None if nobody was asked.
    """

    peer: str
    sender: str
    rules: Mapping[str, Rule | None]
    agreement: Agreement | None = None

    def why_not(self, arrived: Arrived, path: str, size: int | None) -> str:
        """Why an entry isn't taken; empty if it is.

        :param path: of something at the top, or in a folder that was taken.
        :param size: bytes of a file, 0 while they aren't known; None if it is a folder or a link.
        """
        agreed = self.agreement
        if agreed is not None:
            names = agreed.names
            if names is not None and "/" not in path and path not in names.listed:
                if names.count == len(names.listed):
                    return f"the user of {self.peer} wasn't asked about {shown(path)}; offer it by its name"
                if arrived.names >= names.count:
                    return f"the user of {self.peer} agreed to {names.count} names; offer {shown(path)} again"
            if agreed.most_entries is not None and arrived.entries >= agreed.most_entries:
                return f"more entries come than the user of {self.peer} agreed to; offer it again as it is now"
        return "" if size is None else self.why_no_more(arrived, path, size)

    def why_no_more(self, arrived: Arrived, path: str, size: int) -> str:
        """Why a file of so many bytes isn't taken; empty if it is."""
        agreed, kind = self.agreement, type_of(path)
        rule = self.rules[kind]
        if rule is None or rule.action == "refuse":
            whose = "no rule" if rule is None else "a rule"
            verb = "accepts" if rule is None else "refuses"
            return f"{whose} of {self.peer} {verb} files of type {kind} from {self.sender}"
        if rule.action == "ask" and (agreed is None or (agreed.types is not None and kind not in agreed.types)):
            return f"{self.peer} asks its user about files of type {kind}, and the offer didn't say that there are any"
        if rule.size is not None and _bytes_of(arrived.by_type, rule.types) + size > rule.size:
            return f"a rule of {self.peer} takes at most {rule.size} bytes at a time from {self.sender}"
        most = None if agreed is None else agreed.most
        if most is not None and sum(arrived.by_type.values()) + size > most:
            return f"more comes than the user of {self.peer} agreed to; offer it again as it is now"
        return ""

    def why_not_all(self, arrived: Arrived) -> str:
        """Why what has come isn't what was agreed to, when all has come; empty if it is."""
        names = None if self.agreement is None else self.agreement.names
        if names is None or not names.digest or (names.count, names.digest) == (arrived.names, arrived.digest):
            return ""
        return f"the names that came aren't the {names.count} that the user of {self.peer} agreed to"


def _bytes_of(by_type: Mapping[str, int], types: frozenset[str]) -> int:
    """The bytes of some types, of all if none is named."""
    return sum(size for kind, size in by_type.items() if not types or kind in types)


def _digest(before: str, name: str) -> str:
    """The digest over names and one more, in hex."""
    return blake3(before.encode("ascii") + b"/" + to_bytes(name)).hexdigest()


def _fits(name: str, pattern: str) -> bool:
    """Whether a name is one of those that a pattern stands for."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None
