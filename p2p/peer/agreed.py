"""What the user of a peer has agreed to take, for as long as its senders may go on with it.

All functions here block; they run in threads.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from types import NoneType

from p2p.exchange.rules import Agreement, Names
from p2p.transfer.ended import MAX_KEPT, remove_oldest

__all__ = ["Agreed"]


class Agreed:
    """A small file for each transfer, so that nobody is asked twice because a link broke or a daemon was killed.

    :param folder: where they are; it is made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, local: str, agreement: Agreement) -> None:
        """Remember what was agreed to, whatever happens next.

        :param local: the id of the transfer on this disk; see :func:`p2p.transfer.ended.local_id`.
        :raises OSError: if the disk doesn't take it.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_oldest(self._folder, MAX_KEPT)
        fresh = self._folder / f"{local}.new"
        with fresh.open("w", encoding="ascii") as stream:
            json.dump(asdict(agreement), stream, default=sorted)  # the types are a set
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self._folder / local)

    def find(self, local: str) -> Agreement | None:
        """What was agreed to; None if nothing was.

        :raises OSError: if the disk can't be read.
        """
        path = self._folder / local
        try:
            known = json.loads(path.read_text("ascii"))
            names, types = known.pop("names", None), known.pop("types", None)
            if any(type(one) not in (int, NoneType) for one in known.values()):
                return None
            if names is not None:
                names = Names(**{**names, "listed": tuple(names["listed"])})
            return Agreement(**known, names=names, types=None if types is None else frozenset(types))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None  # a power cut damaged it: ask once more
