"""The journal's rows as the console shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from p2p.console.transfer_operations import TransferShown
from p2p.peer.transfers.journal import TransferRow
from p2p.peer.transfers.sources import source_name

__all__ = ["MAX_NAMES", "names_of", "noted", "shown_transfer"]

MAX_NAMES: Final = 100
"""Names that are shown of one transfer."""

MAX_NOTED: Final = 1000
"""Characters of the names that others say, as the journal keeps them: a thousand transfers fit into an answer."""


def noted(names: Sequence[str]) -> list[str]:
    """The first of the names that another peer says, one at least; the others are only counted."""
    kept: list[str] = []
    left = MAX_NOTED
    for name in names:
        left -= len(name)
        if kept and left < 0:
            break
        kept.append(name[:MAX_NOTED])
    return kept


def names_of(row: TransferRow) -> list[str]:
    """What to call what moves, a name for each thing that was asked for."""
    what = row.what
    if row.direction == "send" and "paths" in what:
        if what["name"] is not None:
            return [what["name"]]
        return [source_name(path) for path in what["paths"]]
    return list(what["names"])


def shown_transfer(row: TransferRow) -> TransferShown:
    """A row for the console."""
    names = names_of(row)
    return TransferShown(
        transfer=row.id,
        acting=row.acting,
        peer=row.peer,
        direction=row.direction,
        names=names[:MAX_NAMES],
        more_names=len(names[MAX_NAMES:]) + row.what.get("more_names", 0),
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
