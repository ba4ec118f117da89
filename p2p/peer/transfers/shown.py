"""The journal's rows as the console shows them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from p2p.console.transfer_operations import TransferShown
from p2p.peer.transfers.journal import TransferRow

__all__ = ["MAX_NAMES", "names_of", "shown_transfer"]

MAX_NAMES: Final = 100
"""Names that are shown of one transfer."""


def names_of(row: TransferRow) -> list[str]:
    """What to call what moves, a name for each thing that was asked for."""
    what = row.what
    if row.direction == "send" and "paths" in what:
        if what["name"] is not None:
            return [what["name"]]
        return [PurePosixPath(path).name or path for path in what["paths"]]
    return list(what["names"])


def shown_transfer(row: TransferRow) -> TransferShown:
    """A row for the console."""
    return TransferShown(
        transfer=row.id,
        acting=row.acting,
        peer=row.peer,
        direction=row.direction,
        names=names_of(row)[:MAX_NAMES],
        state=row.state.value,
        entries=row.entries,
        bytes=row.bytes,
        bytes_total=row.bytes_total,
        created=row.created,
        updated=row.updated,
        deadline=row.deadline,
        outcome=row.outcome,
        reason=row.reason,
    )
