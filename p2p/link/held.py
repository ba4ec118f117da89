"""What one link holds, in the scopes of its daemon, and how it gives way when that is too much."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2p.base.scopes import Holding, LinkScope, StreamScope, System
from p2p.link.hello import LinkTerms

__all__ = ["Held"]


class Held:
    """The account of a link, from when the other side has proved who it is.

    :param cut: cuts the link, with the reason.
    :param reset: resets one of its streams, with the reason.
    """

    def __init__(
        self,
        terms: LinkTerms,
        system: System,
        clock: IReactorTime,
        cut: Callable[[str], None],
        reset: Callable[[int, str], None],
    ) -> None:
        self._terms = terms
        self._system = system
        self._clock = clock
        self._cut = cut
        self._reset = reset
        self._scope: LinkScope | None = None
        self._socket: Holding | None = None
        self._leaving: list[tuple[int | None, str]] = []
        self._soon: IDelayedCall | None = None

    def begin(self) -> None:
        """The other side has proved who it is.

        :raises Full: if this daemon has no room for it.
        """
        self._scope = self._system.link(self._terms.remote, lambda reason: self._give_way(None, reason))
        self._socket = self._scope.bytes_held()

    def stream(self, stream_id: int) -> StreamScope:
        """A stream begins.

        :raises Full: if there is no room for it.
        """
        assert self._scope is not None, "streams begin when the link stands"
        return self._scope.stream(lambda reason: self._give_way(stream_id, reason))

    def unsent(self, size: int) -> None:
        """So many bytes wait for the system to take them."""
        if self._socket is not None:
            self._socket.set(size)

    def end(self) -> None:
        """The link is gone, and with it all of its streams."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self.unsent(0)
        if self._scope is not None:
            self._scope.end()

    def _give_way(self, stream_id: int | None, reason: str) -> None:
        """Let a stream, or the link, end in the reactor's next turn: whoever holds too much may be within a call."""
        self._leaving.append((stream_id, reason))
        self._soon = self._soon or self._clock.callLater(0, self._go)

    def _go(self) -> None:
        self._soon = None
        leaving, self._leaving = self._leaving, []
        for stream_id, reason in leaving:
            if stream_id is None:
                self._cut(reason)
                return
            self._reset(stream_id, reason)
