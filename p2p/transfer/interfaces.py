"""What the two ends of a transfer do with the disk, or with a pipe: calls block, and run in a thread, one at a time.

A sender turns what is on this machine into records, a receiver turns records into what is on this machine. How they are
joined to a stream of a direct link is no business of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from p2p.transfer.answers import Dealt
from p2p.transfer.records import Buffer, Have, Receipt
from p2p.transfer.walking import Totals

__all__ = ["Receiver", "Sender"]


class Sender(Protocol):
    """Gives the records of a transfer."""

    @property
    def names(self) -> Sequence[str]:
        """The names at its top."""

    @property
    def ended(self) -> bool:
        """Whether all records were given out."""

    @property
    def done_entries(self) -> int:
        """Entries dealt with, those of earlier sessions among them."""

    @property
    def done_bytes(self) -> int:
        """Bytes of content given out, those of earlier sessions among them."""

    @property
    def current(self) -> str | None:
        """The path of the entry that is or was dealt with last."""

    def resume(self, have: Have) -> None:
        """Go on from where the receiver is; before the first :meth:`next`.

        :raises ExchangeFailed: with ``corrupt``, if it can't be there.
        """

    def next(self, max_bytes: int) -> list[Buffer]:
        """The next records, about so many bytes; empty when all were given out.

        :raises LocalFileError: if this machine's disk fails in a way that ends the transfer.
        """

    def dealt(self) -> Sequence[Dealt]:
        """The entries whose ends are in what :meth:`next` has just given."""

    def stop(self) -> None:
        """Have a :meth:`next` that waits for its source end soon; safe in any thread, at any time."""

    def close(self) -> None:
        """Let go of everything; no other call is under way, and none follows."""


class Receiver(Protocol):
    """Takes the records of a transfer."""

    @property
    def done_entries(self) -> int:
        """Entries dealt with, those of earlier sessions among them."""

    @property
    def done_bytes(self) -> int:
        """Verified bytes, those of earlier sessions and of the file under way among them."""

    @property
    def current(self) -> str | None:
        """The path of the entry that is or was dealt with last."""

    @property
    def held(self) -> tuple[int, int]:
        """Bytes that are in memory, and descriptors that are open; while no call is under way."""

    def have(self) -> Have:
        """How far this transfer has come, whatever ended its earlier sessions; the first call of all."""

    def feed(self, pieces: Sequence[Buffer]) -> list[Receipt]:
        """Take bytes of the body, cut anywhere: verify each chunk, then write it; give finished entries their names.

        :returns: what became of the entries that were finished by this.
        :raises ExchangeFailed: with ``corrupt`` for what isn't what was sent, ``refused`` if the disk doesn't take it.
        """

    def finish(self, note: Callable[[Totals], None] = ...) -> tuple[list[Receipt], Totals]:
        """Everything came: the last receipts, and how much it was; nothing of the transfer's own is left on disk.

        :param note: is called when everything has its name, before the receiver forgets the transfer: whoever wants to
            know after a crash at any moment that it is complete writes it down there.
        :raises ExchangeFailed: with ``truncated`` if the end of the transfer is missing.
        """

    def stop(self) -> None:
        """Have a call that waits for its target end soon; safe in any thread, at any time."""

    def suspend(self) -> None:
        """Let go of everything; what was verified stays for the next session."""

    def abandon(self) -> None:
        """Let go of everything and remove what isn't finished: the transfer won't go on."""
