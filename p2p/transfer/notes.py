"""What is noted of the transfers that others begin: what the user has agreed to, and which are complete.

A link may break, or a daemon may be killed, between the consent and the first byte, or after the last file got its name
and before the sender learns of it. The sender then asks again: nobody is to be asked twice, and nothing sent twice.
All functions here block; they run in threads.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from blake3 import blake3

from p2p.base.saving import save_file, sync_folder
from p2p.exchange.rules import Agreement, Names
from p2p.transfer.walking import Totals

__all__ = ["KEEP_S", "Notes", "agreement_notes", "completion_notes", "local_id", "remove_oldest"]

KEEP_S: Final = 7 * 86400.0
"""Seconds for which a transfer is remembered; :mod:`p2p.peer.upkeep` sees to it."""

MAX_KEPT: Final = 10_000
"""Transfers that are remembered; then the oldest are forgotten."""

_TIDY: Final = "00"
"""How the ids end at which too many are looked for: one in 256, because looking at all of them takes a while."""

T = TypeVar("T")


def local_id(sender: str, transfer_id: str) -> str:
    """The id of another peer's transfer as it is used on this disk: nobody can go on with what somebody else began."""
    return blake3(f"{sender} {transfer_id}".encode()).hexdigest(8)


class Notes(Generic[T]):
    """A small file for each transfer, named by its :func:`local_id`.

    :param folder: where they are; it is made when it is needed.
    :param encode: what a note says, as JSON takes it.
    :param decode: reads that; raises ``ValueError``, ``LookupError``, ``TypeError`` or ``AttributeError`` where it is
        damaged.
    """

    def __init__(
        self, folder: Path, encode: Callable[[T], dict[str, Any]], decode: Callable[[dict[str, Any]], T]
    ) -> None:
        self._folder = folder
        self._encode = encode
        self._decode = decode

    def note(self, local: str, what: T) -> None:
        """Remember something of a transfer, whatever happens next; it takes the place of what was noted before.

        :raises OSError: if the disk doesn't take it.
        """
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(self._folder.parent)
        save_file(self._folder / local, json.dumps(self._encode(what)).encode("ascii"))
        if local.endswith(_TIDY):
            remove_oldest(self._folder, MAX_KEPT)

    def find(self, local: str) -> T | None:
        """What was noted of a transfer; None if nothing was, or if it is damaged, as by a failing disk.

        :raises OSError: if the disk can't be read.
        """
        try:
            return self._decode(json.loads((self._folder / local).read_bytes()))
        except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None


def completion_notes(state: Path) -> Notes[Totals]:
    """How much the transfers were that are complete.

    :param state: the folder for what must outlive the daemon.
    """
    return Notes(state / "ended", _totals_fields, _totals)


def agreement_notes(state: Path) -> Notes[Agreement]:
    """What the user of a peer has agreed to take, for as long as its senders may go on with it.

    :param state: as for :func:`completion_notes`.
    """
    return Notes(state / "agreed", _agreement_fields, _agreement)


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


def _totals_fields(totals: Totals) -> dict[str, Any]:
    return {"entries": totals.entries, "bytes": totals.bytes, "refused": totals.refused}


def _totals(known: dict[str, Any]) -> Totals:
    return Totals(_number(known["entries"]), _number(known["bytes"]), _number(known["refused"]))


def _agreement_fields(agreement: Agreement) -> dict[str, Any]:
    types = None if agreement.types is None else sorted(agreement.types)
    return {**asdict(agreement), "types": types}


def _agreement(known: dict[str, Any]) -> Agreement:
    size, entries, names, types = known["bytes"], *(known.get(name) for name in ("entries", "names", "types"))
    return Agreement(
        None if size is None else _number(size),
        None if entries is None else _number(entries),
        None if names is None else Names(**{**names, "listed": tuple(names["listed"])}),
        None if types is None else frozenset(types),
    )


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no number")
    return value
