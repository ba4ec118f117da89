"""A limit in bytes a second, kept by whoever sends: how long to wait until bytes may go. Pure: time is an argument."""

from __future__ import annotations

from typing import Final

__all__ = ["BURST_S", "Pace"]

BURST_S: Final = 0.25
"""Seconds for which a sender that has waited may make up: what a busy machine needs to keep a rate at all."""


class Pace:
    """A token bucket: in no stretch of time go more bytes than its seconds and a quarter of one allow.

    A piece that is larger than that goes whole, when enough time has passed for all of it.

    :param bytes_per_s: the limit, at least 1.
    :param now: the time, seconds of any clock that never goes back; the bucket is full.
    :ivar burst: bytes that may go at once. What is handed over in pieces of at most so many bytes flows evenly.
    """

    __slots__ = ("_bytes_per_s", "_due", "burst")

    def __init__(self, bytes_per_s: int, now: float) -> None:
        if bytes_per_s < 1:
            raise ValueError(f"a limit of {bytes_per_s} bytes a second lets nothing through")
        self._bytes_per_s = bytes_per_s
        self._due = now - BURST_S  # when all so far would have gone at an even rate, and no earlier than a burst ago
        self.burst = max(int(bytes_per_s * BURST_S), 1)

    def delay(self, size: int, now: float) -> float:
        """Reserve the passage of so many bytes, and return in how many seconds they may go: 0 for at once."""
        self._due = max(self._due, now - BURST_S) + size / self._bytes_per_s
        return max(self._due - now, 0.0)
