"""What a target of fuzzing is."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

__all__ = ["TARGETS", "Target", "cut", "scratch", "target"]


@dataclass(frozen=True, slots=True)
class Target:
    """A parser, or several of one format, fed with any bytes.

    :ivar covers: the parsers.
    :ivar declared: what they may raise; anything else is a fault.
    :ivar seeds: inputs that are right, from which others are made.
    :ivar most: bytes of the longest input that makes sense.
    :ivar in_pieces: whether its first byte says how the others are cut, see :func:`cut`.
    """

    name: str
    covers: tuple[Any, ...]
    declared: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]
    most: int
    feed: Callable[[bytes], object] = field(repr=False)
    in_pieces: bool = False

    def run(self, data: bytes) -> None:
        """Feed one input; raises whatever isn't declared."""
        with contextlib.suppress(*self.declared):
            self.feed(data)


TARGETS: Final[dict[str, Target]] = {}
"""All targets by their names."""


def target(
    *covers: Any,
    declared: tuple[type[Exception], ...] = (),
    seeds: Sequence[bytes],
    most: int = 4_096,
    in_pieces: bool = False,
) -> Callable[[Callable[[bytes], object]], Callable[[bytes], object]]:
    """Declare a function as a target; its name is the target's."""

    def declare(feed: Callable[[bytes], object]) -> Callable[[bytes], object]:
        name = feed.__name__.strip("_").replace("_", "-")
        assert name not in TARGETS
        TARGETS[name] = Target(name, covers, declared, tuple(seeds), most, feed, in_pieces)
        return feed

    return declare


def cut(data: bytes) -> list[memoryview]:
    """The input as it may arrive: its first byte says in how large pieces, 0 for whole."""
    size, rest = (data[0], memoryview(data)[1:]) if data else (0, memoryview(b""))
    return [rest[at : at + size] for at in range(0, len(rest), size)] if size else [rest]


@cache
def scratch() -> Path:
    """A folder for parsers that read files; gone when the process ends, unless libFuzzer ends it."""
    folder = Path(tempfile.mkdtemp(prefix="p2p-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
