"""Who may open one more connection while it is not yet known who they are, and how much may be under way. Pure.

A connection costs a descriptor, and from its first byte on memory and a TLS handshake, before anybody has shown a
certificate. So the number of those is limited: in total, and for each source, so that one machine can't take the
place of all the others. Where the places are taken, somebody makes way: the one that has said nothing for the longest
time, for whoever connects to speak does so at once; else the oldest of the source that has the most, if that has more
than whoever comes. Some places are kept for those who were let in before.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network, ip_address

__all__ = ["Admission", "Crowded", "Place", "Slots", "source_of"]

KNOWN = 4096
"""Sources that are remembered because somebody from there was let in; the longest unseen are forgotten."""

_IPV6_SITE = 64
"""The prefix that one site gets (RFC 6177): whoever has one has 2**64 addresses, so it counts as one source."""


class Crowded(Exception):
    """There is no place for one more; the text says why."""


class Place:
    """That of one connection among those of whom it isn't known who they are.

    :ivar source: where it comes from, see :func:`source_of`.
    :ivar cut: cuts it off; set by whoever has the connection.
    """

    __slots__ = ("_admission", "cut", "source")

    def __init__(self, admission: Admission, source: str) -> None:
        self._admission = admission
        self.source = source
        self.cut: Callable[[], object] = lambda: None

    def heard(self) -> None:
        """Be told that the first byte came: it doesn't make way so soon any more."""
        self._admission._heard(self)

    def leave(self, *, known: bool = False) -> None:
        """Give the place back, at the latest when the connection ends; a second time does nothing.

        :param known: whether it turned out to be somebody who may come in, and whose source is remembered for it.
        """
        self._admission._leave(self, known)


class Admission:
    """The places of the connections that are not yet authenticated.

    :param total: how many there are.
    :param per_source: how many of them one source gets, see :func:`source_of`.
    :param kept: how many of them only sources get from which somebody was let in before.
    """

    def __init__(self, total: int, per_source: int, kept: int = 0) -> None:
        self._total = total
        self._per_source = per_source
        self._strangers = total - kept
        self._places: dict[Place, None] = {}  # these three in the order in which they came
        self._silent: dict[Place, None] = {}
        self._by_source: dict[str, dict[Place, None]] = {}
        self._known: dict[str, None] = {}  # in the order in which they were last seen

    @property
    def pending(self) -> int:
        """How many connections are waiting now."""
        return len(self._places)

    def enter(self, address: str) -> tuple[Place, Place | None]:
        """Let a connection in.

        :param address: where it comes from.
        :returns: its place, and the one that makes way for it, if one has to: its connection is to be cut off.
        :raises Crowded: with the reason, if there is none, because its source has too many already.
        """
        source = source_of(address)
        own = self._by_source.get(source, {})
        way: Place | None = None
        if len(own) >= self._per_source:
            way = next((one for one in own if one in self._silent), None)
            if way is None:
                raise Crowded(f"{len(own)} connections from {source} are not yet authenticated, which is the limit")
        elif len(self._places) >= (self._total if source in self._known else self._strangers):
            way = self._who_makes_way(source, len(own))
            if way is None:
                raise Crowded(f"{len(self._places)} connections are not yet authenticated, which is the limit")
        if way is not None:
            way.leave()
        place = Place(self, source)
        self._places[place] = self._silent[place] = None
        self._by_source.setdefault(source, {})[place] = None
        return place, way

    def _who_makes_way(self, source: str, own: int) -> Place | None:
        """The oldest that is silent; else the oldest of the source with the most, if it has more than who comes.

        Known sources make way for each other alone, and only if no stranger can.
        """
        for place in self._silent:
            if place.source not in self._known:
                return place
        strangers = [places for one, places in self._by_source.items() if one not in self._known]
        places = strangers or (self._by_source.values() if source in self._known else [])
        most = max(places, key=len, default={})
        return next(iter(most)) if len(most) > own else None

    def _heard(self, place: Place) -> None:
        self._silent.pop(place, None)

    def _leave(self, place: Place, known: bool) -> None:
        if known:
            self._known.pop(place.source, None)
            self._known[place.source] = None
            if len(self._known) > KNOWN:
                del self._known[next(iter(self._known))]
        if place not in self._places:
            return
        del self._places[place]
        self._silent.pop(place, None)
        places = self._by_source[place.source]
        del places[place]
        if not places:
            del self._by_source[place.source]


class Slots:
    """Counts what is under way, up to a limit.

    :ivar limit: the most that may be under way.
    :ivar used: how many are under way now.
    """

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def enter(self) -> bool:
        """Take a slot; say whether there was one."""
        if self.used >= self.limit:
            return False
        self.used += 1
        return True

    def leave(self) -> None:
        """Give a slot back.

        :raises ValueError: if none is taken, which is a fault of the caller.
        """
        if not self.used:
            raise ValueError("no slot is taken")
        self.used -= 1


def source_of(address: str) -> str:
    """Return what counts as one source: an IPv4 address, the /64 of an IPv6 address, or any other text as it is."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Network((parsed, _IPV6_SITE), strict=False))
    return str(parsed)
