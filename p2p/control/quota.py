"""How much one side may have under way. Pure."""

from __future__ import annotations

__all__ = ["Slots"]


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
