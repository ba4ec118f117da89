"""What a receiver remembers of transfers that are complete, in case that their senders haven't heard of it.

A link may break, or a daemon may be killed, after the last file got its name and before the sender learns of it. The
sender then asks again, and must not send all of it once more.
All functions here block; they run in threads.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import UnionType
from typing import Any, Final

from blake3 import blake3

from p2p.transfer.walking import Totals

__all__ = ["KEEP_S", "EndedTransfers", "local_id", "read_note", "remove_oldest"]

KEEP_S: Final = 7 * 86400.0
"""Seconds for which a transfer is remembered; :mod:`p2p.peer.upkeep` sees to it."""

MAX_KEPT: Final = 10_000
"""Transfers that are remembered; then the oldest are forgotten."""

_TIDY: Final = "00"
"""How the ids end at which too many are looked for: one in 256, because looking at all of them takes a while."""


def local_id(sender: str, transfer_id: str) -> str:
    """The id of another peer's transfer as it is used on this disk: nobody can go on with what somebody else began."""
    return blake3(f"{sender} {transfer_id}".encode()).hexdigest(8)


class EndedTransfers:
    """A small file for each of them.

    :param folder: where they are; it is made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, local: str, totals: Totals) -> None:
        """Remember that a transfer is complete, whatever happens next."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._folder / f"{local}.new"
        with fresh.open("w", encoding="ascii") as stream:
            json.dump({"entries": totals.entries, "bytes": totals.bytes, "refused": totals.refused}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self._folder / local)
        if local.endswith(_TIDY):
            remove_oldest(self._folder, MAX_KEPT)

    def find(self, local: str) -> Totals | None:
        """How much a transfer was that was complete; None if it isn't known."""
        numbers = read_note(self._folder / local, int, "entries", "bytes", "refused")
        return None if numbers is None else Totals(**numbers)


def read_note(path: Path, kind: type | UnionType, *names: str) -> dict[str, Any] | None:
    """The values of these names in a small file of JSON; None if it isn't there, or is damaged, as by a power cut.

    :param kind: what each value must be.
    :raises OSError: if the disk can't be read.
    """
    try:
        note = json.loads(path.read_bytes())
        values = {name: note[name] for name in names}
    except (FileNotFoundError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return values if all(isinstance(one, kind) and not isinstance(one, bool) for one in values.values()) else None


def remove_oldest(folder: Path, keep: int) -> None:
    """Remove all that is in a folder but so many files and folders, those that were written last."""
    if not folder.exists():
        return
    with os.scandir(folder) as entries:
        found = sorted((entry.stat().st_mtime, entry.path, entry.is_dir()) for entry in entries)
    for _, path, is_folder in found[: max(len(found) - keep, 0)]:
        if is_folder:
            shutil.rmtree(path, ignore_errors=True)  # another session may be removing it as well
        else:
            Path(path).unlink(missing_ok=True)
