"""Memory to receive into, used again and again.

What arrives on a link goes up as views of the memory that it was received into, and is copied nowhere on its way. Fresh
memory for every piece of it would cost more than the cipher does, since the system clears each page; so a buffer is
used anew as soon as the last view of it is gone, whoever had it. All of them together are bounded: when views of every
buffer are kept somewhere, what arrives then is copied.
"""

from __future__ import annotations

from typing import Any, Final

from cryptography.hazmat.bindings.openssl.binding import Binding

__all__ = ["BUFFERS", "COPIED", "COUNT", "GULP", "Buffers"]

GULP: Final = 512 * 1024
"""Bytes that are received at once at most: what one of these holds stays in a processor's cache."""

COPIED: Final = 64 * 1024
"""Bytes below which what came is copied, so that it keeps no more memory than it takes."""

COUNT: Final = 20
"""Buffers that are lent at most: what a stream whose reader is behind holds, and what a disk has in hand."""

_ffi: Any = Binding.ffi
_new: Any = _ffi.new_allocator(should_clear_after_alloc=False)


class Buffers:
    """Some buffers of one size, in C memory; they come to be when they are needed.

    They are taken in one thread; views of them may end in any.

    :param size: bytes of each.
    :param count: how many are lent at most.
    """

    def __init__(self, size: int = GULP, count: int = COUNT) -> None:
        self.size = size
        self._to_make = count
        self._free: list[Any] = []
        self._own = _new("char[]", size)  # what is received into it is copied before the next is

    def take(self) -> Any:
        """A buffer to receive into, as an array of C; nobody takes another before it came back to :meth:`lend`."""
        if self._free:
            return self._free.pop()
        if self._to_make:
            self._to_make -= 1
            return _new("char[]", self.size)
        return self._own

    def writable(self, buffer: Any) -> memoryview:
        """The whole of a buffer that was taken."""
        return memoryview(_ffi.buffer(buffer))

    def lend(self, buffer: Any, count: int) -> bytes | memoryview:
        """The first bytes of a buffer that was taken, for as long as anybody has them or a part of them."""
        if buffer is not self._own and count >= COPIED:
            return memoryview(_ffi.buffer(_ffi.gc(buffer, self._free.append), count))
        data = bytes(_ffi.buffer(buffer, count))
        if buffer is not self._own:
            self._free.append(buffer)
        return data


BUFFERS: Final = Buffers()
"""Those of all links."""
