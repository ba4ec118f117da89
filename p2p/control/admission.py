"""How much others may have under way: connections of those who aren't known yet, and whatever else is counted. Pure.

A connection costs memory and a TLS handshake before anybody has shown a certificate, so the number of those is
limited: in total, and for each source, so that one machine can't take the place of all the others.
"""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address

__all__ = ["Admission", "Slots", "source_of"]

_IPV6_SITE = 64
"""The prefix that one site gets (RFC 6177): whoever has one has 2**64 addresses, so it counts as one source."""


class Admission:
    """Counts the connections that are not yet authenticated.

    :param total: how many there may be.
    :param per_source: how many of them from one source, see :func:`source_of`.
    """

    __slots__ = ("_pending", "_per_source", "_sources", "_total")

    def __init__(self, total: int, per_source: int) -> None:
        self._total = total
        self._per_source = per_source
        self._pending = 0
        self._sources: dict[str, int] = {}

    @property
    def pending(self) -> int:
        """How many connections are waiting now."""
        return self._pending

    def enter(self, address: str) -> str | None:
        """Let a connection in, or say why not.

        :param address: where it comes from.
        :returns: None if it is let in, and then :meth:`leave` must follow once; else the reason.
        """
        if self._pending >= self._total:
            return f"{self._total} connections are not yet authenticated, which is the limit"
        source = source_of(address)
        waiting = self._sources.get(source, 0)
        if waiting >= self._per_source:
            return f"{self._per_source} connections from {source} are not yet authenticated, which is the limit"
        self._sources[source] = waiting + 1
        self._pending += 1
        return None

    def leave(self, address: str) -> None:
        """Count a connection out: it is authenticated now, or it ended.

        :raises KeyError: if none was let in from there.
        """
        source = source_of(address)
        waiting = self._sources[source] - 1
        if waiting:
            self._sources[source] = waiting
        else:
            del self._sources[source]
        self._pending -= 1


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
