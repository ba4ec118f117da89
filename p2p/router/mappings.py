"""The ports at which this router saw fresh ports of its peers, through whatever NAT there is. Pure.

A router passes on only what it saw itself, for the very ticket that it is about, and only at the address where it sees
the peer anyway: so nobody's word can have somebody dial a port at an address that isn't the peer's own.
"""

from __future__ import annotations

from typing import Final

__all__ = ["EACH", "Mappings"]

EACH: Final = 64
"""Fresh ports of one peer that are remembered at once, and connections from them that are held."""


class Mappings:
    """What was seen, by the peer's name and the ticket; as long as a connection from that port stands."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[str, dict[bytes, tuple[str, int]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._seen.values()))

    def add(self, name: str, ticket: bytes, address: str, port: int) -> bool:
        """Remember a port; say whether there was room, and nothing remembered for this ticket."""
        own = self._seen.setdefault(name, {})
        if ticket in own or len(own) >= EACH:
            return False
        own[ticket] = address, port
        return True

    def remove(self, name: str, ticket: bytes) -> None:
        """Forget what was seen: the connection has ended."""
        own = self._seen[name]
        del own[ticket]
        if not own:
            del self._seen[name]

    def port_of(self, name: str, ticket: bytes, address: str) -> int | None:
        """The port at which a peer's fresh port was seen; None if it wasn't, or at another address than the peer."""
        seen = self._seen.get(name, {}).get(ticket)
        return seen[1] if seen is not None and seen[0] == address else None
