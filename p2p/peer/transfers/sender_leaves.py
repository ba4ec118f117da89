"""What the sending side of transfers keeps on disk, for as long as somebody may go on with one of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from p2p.exchange.service import Threads
from p2p.peer.transfers.journal import Journal, TransferRow
from p2p.transfer.sender_state import SenderState

__all__ = ["FORGET_S", "KeptState"]

FORGET_S: Final = 7 * 86400.0
"""Seconds for which it is kept of a transfer that nobody goes on with; as long as receivers keep their parts."""


class KeptState:
    """A folder for each content that is sent, which all transfers of that content share.

    :param folder: where they are.
    """

    def __init__(self, folder: Path, journal: Journal, threads: Threads) -> None:
        self._folder = folder
        self._journal = journal
        self._threads = threads

    def folder(self, acting: str, what: Mapping[str, Any]) -> Path:
        """The folder for what a peer sends."""
        return self._folder / blake3(json.dumps([acting, dict(what)], sort_keys=True).encode()).hexdigest(16)

    async def tidy(self, row: TransferRow) -> None:
        """A transfer is over for good: remove what was kept for it, unless another one of the same content isn't.

        :raises LocalFileError: if the journal can't be read.
        """
        if not await self._journal.is_wanted(row.acting, "send", row.what):
            await self._threads(SenderState(self.folder(row.acting, row.what)).remove)

    async def sweep(self, rows: Iterable[TransferRow]) -> None:
        """Remove what none of these transfers needs; no other may begin meanwhile."""
        await self._threads(_sweep, self._folder, {self.folder(row.acting, row.what).name for row in rows})


def _sweep(folder: Path, wanted: set[str]) -> None:
    if folder.exists():
        for each in folder.iterdir():
            if each.name not in wanted:
                shutil.rmtree(each)
