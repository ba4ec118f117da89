"""The content of a plan, made before its first block, so that no block waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from p2p.experiment.made_files import MadeFiles
from p2p.experiment.making import Content
from p2p.measure.blocks import Block

__all__ = ["make_all", "needed"]


def needed(blocks: Iterable[Block]) -> list[tuple[Content, int]]:
    """List what the blocks send, each content of each size once."""
    return sorted({(block.content, block.size) for block in blocks})


def make_all(
    blocks: Iterable[Block], files: MadeFiles, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[tuple[Content, int], Path]:
    """Make the content of all blocks, and say where it is. This blocks: call it in a thread.

    :param progress: is told how many of how many files there are.
    :raises LocalFileError: if the disk doesn't take it.
    :raises MediaMissing: for pictures, without PyAV.
    """
    wanted = needed(blocks)
    made: dict[tuple[Content, int], Path] = {}
    for content, size in wanted:
        made[content, size] = files.get(content, size)
        progress(len(made), len(wanted))
    return made
