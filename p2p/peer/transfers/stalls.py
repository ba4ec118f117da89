"""What is told when a transfer stands still: after how many seconds, and who holds it up. Pure: time is an argument.

Twice a second somebody looks at the transfer and says what there is to see. When nothing has moved for two seconds,
the link is pinged, and before five are over the verdict is told: our own disk, the peer's disk, the link, or no link.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Final, Literal

__all__ = ["AGAIN_S", "LOOK_S", "PING_S", "TELL_S", "Own", "Probe", "Sight", "Stall", "StallWatch"]

LOOK_S: Final = 0.5
"""Seconds between two looks; what stopped right after one is seen to stand still so much later."""

PING_S: Final = 2.5
"""Seconds for which the answer to a ping is waited for."""

TELL_S: Final = 5.0 - LOOK_S
"""Seconds of standstill, as far as looks can tell, after which it is told."""

AGAIN_S: Final = 30.0
"""Seconds after which it is told once more."""


class Own(StrEnum):
    """What of this machine can hold up a transfer, and how that is told; ``{0}`` are the seconds."""

    READ = "nothing could be read here for {0} s: this machine's disk is slow"
    WRITE = "nothing could be written here for {0} s: this machine's disk is slow"
    INPUT = "standard input has given nothing for {0} s"
    OUTPUT = "standard output has taken nothing for {0} s"
    SHARED = "nothing went for {0} s: the source waits for the slowest of the peers that it goes to"


@dataclass(frozen=True, slots=True)
class Sight:
    """What there is to see of a transfer at one moment.

    :ivar moved: some number that changes whenever content moves.
    :ivar linked: whether there is a link to ping.
    :ivar excused: whether it stands still for a reason that was told or asked for: a person decides, or a limit.
    :ivar own_since: since when what blocks on this machine does so; None if nothing does.
    """

    moved: int
    linked: bool
    excused: bool = False
    own_since: float | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """The link is to be pinged; give the number along with the answer."""

    number: int


@dataclass(frozen=True, slots=True)
class Stall:
    """What to tell.

    :ivar rtt_s: what the ping took, None if it wasn't answered.
    """

    seconds: float
    rtt_s: float | None
    text: str


class StallWatch:
    """Watches one session of a transfer.

    :param peer: who is at the other end.
    :ivar own: what is to blame if this machine holds it up; it may be something else as the session goes on.
    """

    def __init__(self, peer: str, direction: Literal["send", "get"], own: Own, now: float) -> None:
        self._peer = peer
        self._does = "taken" if direction == "send" else "sent"
        self.own = own
        self._seen: int | None = None
        self._since = now
        self._due = now + TELL_S
        self._pings = 0
        self._pinged = False
        self._rtt_s: float | None = None

    def look(self, sight: Sight, now: float) -> Probe | Stall | None:
        """Take a look; says what is to be done."""
        if self._seen is None:
            self._seen = sight.moved
        if sight.excused or sight.moved != self._seen:
            self._seen = sight.moved
            self._since = now
            self._expect(now + TELL_S)
        elif now >= self._due:
            stall = self._verdict(sight, now)
            self._expect(now + AGAIN_S)
            return stall
        elif sight.linked and not self._pinged and now >= self._due - PING_S:
            self._pinged = True
            self._pings += 1
            return Probe(self._pings)
        return None

    def answered(self, ping: Probe, rtt_s: float) -> None:
        """A ping came back; one of an earlier standstill says nothing about this one."""
        if self._pinged and ping.number == self._pings:
            self._rtt_s = rtt_s

    def _expect(self, due: float) -> None:
        self._due = due
        self._pinged = False
        self._rtt_s = None

    def _verdict(self, sight: Sight, now: float) -> Stall:
        seconds = now - self._since
        shown = ceil(seconds)
        # It began to block here when it stood still, or nothing has come through at all yet.
        allowed = LOOK_S if sight.moved else TELL_S / 2
        if sight.own_since is not None and sight.own_since <= self._since + allowed:
            text = self.own.value.format(shown)
        elif not sight.linked:
            text = f"no link to {self._peer} stands yet after {shown} s; to see which leg fails: p2p why {self._peer}"
        elif self._rtt_s is not None:
            text = (
                f"{self._peer} has {self._does} nothing for {shown} s; the link answers pings in "
                f"{_milliseconds(self._rtt_s)}: its disk is slow"
            )
        else:
            text = f"{self._peer} has {self._does} nothing for {shown} s; no ping answered: waiting for {self._peer}"
        return Stall(seconds, self._rtt_s, text)


def _milliseconds(seconds: float) -> str:
    ms = seconds * 1000
    return f"{ms:.0f} ms" if ms >= 1 else f"{ms:.1f} ms"
