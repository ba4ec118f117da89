"""What other machines make a daemon hold: memory, streams and descriptors, each accounted for in scopes that nest.

The daemon is the outermost scope; in it is one for each peer, by the name in its certificate; in that, one for each of
its links; in that, one for each stream (go-libp2p's resource manager has the same). Whatever is held on behalf of a
stream counts in all four, and each has its bounds. Where one is passed, the largest holder within gives way: of a full
daemon the peer that holds the most, whoever asked for more; of that peer its largest link, and of that its largest
stream. A scope that is more than half full is *pressed*: buffers that only make things faster are kept small then, and
windows don't grow.
Pure: amounts in; whoever is to give way is called with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from p2p.base.errors import P2PError

__all__ = [
    "STEP",
    "STREAM_COST",
    "UNCOUNTED",
    "Full",
    "GiveWay",
    "Holding",
    "LinkScope",
    "ScopeBounds",
    "StreamScope",
    "System",
]

STREAM_COST: Final = 16 * 1024
"""Bytes that every stream counts from its beginning: its objects, and what is too little for ``STEP``."""

STEP: Final = 4096
"""Bytes by which what is held must have changed before it is counted anew, so that short messages cost nothing."""

GiveWay = Callable[[str], object]
"""Is called with the reason when a stream or a link has to end; it lets it end soon after, and not within that call."""

_MEMORY, _STREAMS, _DESCRIPTORS = range(3)
_UNITS: Final = ("bytes of memory", "streams", "descriptors")


class Full(P2PError):
    """There is no room for one more stream or link; the text says at which limit."""


@dataclass(frozen=True, slots=True)
class ScopeBounds:
    """The most that one scope may hold: bytes of memory, streams, descriptors.

    :ivar names: what the configuration calls these three limits.
    """

    most: tuple[int, int, int]
    names: tuple[str, str, str]


class _Scope:
    """One account of what is held, that of the scopes within included.

    :ivar leaving: it was told to give way; until it has gone, what it holds counts in no scope around it.
    """

    __slots__ = ("_bounds", "_used", "_within", "around", "leaving", "who")

    def __init__(self, who: str, bounds: ScopeBounds, around: _Scope | None) -> None:
        self.who = who
        self.around = around
        self.leaving = False
        self._bounds = bounds
        self._used = [0, 0, 0]
        self._within: dict[int | str, _Scope] = {}

    @property
    def memory(self) -> int:
        """Bytes that are held."""
        return self._used[_MEMORY]

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return self._used[_STREAMS]

    @property
    def descriptors(self) -> int:
        """Descriptors that are open."""
        return self._used[_DESCRIPTORS]

    @property
    def pressed(self) -> bool:
        """Whether this scope, or one around it, has more than half of the memory that it may have."""
        scope: _Scope | None = self
        while scope is not None:
            if scope._used[_MEMORY] * 2 > scope._bounds.most[_MEMORY]:
                return True
            scope = scope.around
        return False

    def _add(self, kind: int, amount: int) -> None:
        scope: _Scope | None = self
        while scope is not None:
            scope._used[kind] += amount
            scope = None if scope.leaving else scope.around

    def _add_all(self, used: Iterable[int], sign: int) -> None:
        for kind, amount in enumerate(used):
            self._add(kind, sign * amount)

    def _settle(self, kind: int) -> None:
        """Have the largest holders give way until no scope here is over its bound, or nobody is left who could."""
        scope: _Scope | None = self
        while scope is not None:
            while scope._used[kind] > scope._bounds.most[kind] and (holder := scope._largest(kind)) is not None:
                holder.give_way(scope._passed(kind, holder.who))
            scope = None if scope.leaving else scope.around

    def _largest(self, kind: int) -> _Leaf | None:
        """Who gives way here: the largest holder that can; of several alike, the one with the most memory."""
        for one in sorted(self._within.values(), key=lambda one: (one._used[kind], one.memory), reverse=True):
            if one._used[kind] and (holder := one._largest(kind)) is not None:
                return holder
        return None

    def _make_room(self, kind: int) -> None:
        """See that there is room for one more.

        :raises Full: if this peer has as many as it may, or of all peers the most.
        """
        scope = self
        while True:
            if scope._used[kind] >= scope._bounds.most[kind]:
                holder = scope._largest(kind) if scope.around is None else None
                if holder is None or holder.who == self.who:
                    raise Full(scope._passed(kind, self.who))
                holder.give_way(scope._passed(kind, holder.who))
            if scope.around is None:
                return
            scope = scope.around

    def _passed(self, kind: int, who: str) -> str:
        """What is told of a bound that is reached here."""
        used, most, name = self._used[kind], self._bounds.most[kind], self._bounds.names[kind]
        whose = f"{who} has" if self.around is not None else f"all peers have, {who} the most,"
        return f"{whose} {used} {_UNITS[kind]} here, and {name} is {most}"

    def _tidy(self) -> None:
        """Forget it, once nothing is held on its behalf."""


class _Leaf(_Scope):
    """A scope that can give way: a link or a stream.

    :param own: what it counts for itself, as long as it isn't over.
    """

    __slots__ = ("_key", "_over", "_own", "_tell")

    around: _Scope

    def __init__(
        self, who: str, bounds: ScopeBounds, around: _Scope, key: int, own: tuple[int, int, int], tell: GiveWay
    ) -> None:
        super().__init__(who, bounds, around)
        self._key = key
        self._own = own
        self._tell = tell
        self._over = False
        around._within[key] = self
        self._add_all(own, 1)
        self._settle(_MEMORY)

    def give_way(self, reason: str) -> None:
        """Tell it to end; from now on nobody else is asked to give way because of what it holds."""
        self.around._add_all(self._used, -1)
        self.leaving = True
        self._tell(reason)

    def end(self) -> None:
        """It is over. What somebody still holds on its behalf counts until it is let go of."""
        if self._over:
            return
        self._over = True
        self._add_all(self._own, -1)
        if self.leaving:
            self.leaving = False
            self.around._add_all(self._used, 1)
        self._tidy()

    def bytes_held(self) -> Holding:
        """Accounts for one more buffer."""
        return Holding(self, _MEMORY, STEP)

    def _tidy(self) -> None:
        if self._over and not (any(self._used) or self._within):
            self.around._within.pop(self._key, None)
            self.around._tidy()

    def _largest(self, kind: int) -> _Leaf | None:
        found = super()._largest(kind)
        return self if found is None and not (self.leaving or self._over) else found


class Holding:
    """So much of one kind that is held on behalf of a stream or a link, by one who knows how much it is."""

    __slots__ = ("_counted", "_kind", "_scope", "_step")

    def __init__(self, scope: _Leaf, kind: int, step: int) -> None:
        self._scope = scope
        self._kind = kind
        self._step = step
        self._counted = 0

    def set(self, amount: int) -> None:
        """It is so much now; whoever holds too much is told to give way, maybe this very stream."""
        change = amount - self._counted
        if not change or (amount and -self._step < change < self._step):
            return
        self._counted = amount
        scope = self._scope
        scope._add(self._kind, change)
        if change > 0:
            scope._settle(self._kind)
        else:
            scope._tidy()

    def try_to_add(self, amount: int) -> bool:
        """Hold so many more bytes, if no scope gets pressed by that, and return whether they are held."""
        scope: _Scope | None = self._scope
        while scope is not None:
            if (scope.memory + amount) * 2 > scope._bounds.most[_MEMORY]:
                return False
            scope = scope.around
        self._counted += amount
        self._scope._add(_MEMORY, amount)
        return True


class StreamScope(_Leaf):
    """What is held on behalf of one stream."""

    __slots__ = ()

    def files_open(self) -> Holding:
        """Accounts for descriptors."""
        return Holding(self, _DESCRIPTORS, 1)


class LinkScope(_Leaf):
    """What is held on behalf of one link: a descriptor, and what its streams hold."""

    __slots__ = ("_next", "_of_stream")

    def __init__(
        self, who: str, bounds: ScopeBounds, around: _Scope, key: int, tell: GiveWay, of_stream: ScopeBounds
    ) -> None:
        super().__init__(who, bounds, around, key, (0, 0, 1), tell)
        self._of_stream = of_stream
        self._next = 0

    def stream(self, tell: GiveWay) -> StreamScope:
        """Begin a stream; whoever gets it ends it.

        :raises Full: if this peer has as many as it may.
        """
        self._make_room(_STREAMS)
        self._next += 1
        return StreamScope(self.who, self._of_stream, self, self._next, (STREAM_COST, 1, 0), tell)


class _Peer(_Scope):
    """What is held on behalf of one peer."""

    __slots__ = ()

    around: _Scope

    def _tidy(self) -> None:
        if not self._within:
            self.around._within.pop(self.who, None)


class System(_Scope):
    """What is held on behalf of all peers.

    :param daemon: the bounds of all together; then those of each peer, link and stream.
    """

    __slots__ = ("_next", "_of_link", "_of_peer", "_of_stream")

    def __init__(self, daemon: ScopeBounds, peer: ScopeBounds, link: ScopeBounds, stream: ScopeBounds) -> None:
        super().__init__("", daemon, None)
        self._of_peer = peer
        self._of_link = link
        self._of_stream = stream
        self._next = 0

    def link(self, peer: str, tell: GiveWay) -> LinkScope:
        """Begin a link with a peer; whoever gets it ends it.

        :raises Full: if this peer has as many as it may.
        """
        found = self._within.get(peer)
        within = found if found is not None else _Peer(peer, self._of_peer, self)
        within._make_room(_DESCRIPTORS)
        self._within[peer] = within
        self._next += 1
        return LinkScope(peer, self._of_link, within, self._next, tell, self._of_stream)


_ANY: Final = ScopeBounds((1 << 62, 1 << 62, 1 << 62), _UNITS)

UNCOUNTED: Final = System(_ANY, _ANY, _ANY, _ANY).link("", lambda reason: None).stream(lambda reason: None)
"""What is held on behalf of nobody else."""
