"""What the receiver of a transfer reports to its sender: boxes in the body of the reply.

================ =========================================================================================
field            what a box with it says
================ =========================================================================================
``pending``      a person is asked, and why; comes every few seconds. With ``reading`` it isn't a person that the
                 sender waits for: the receiver reads again what it has
``have``         ``1``: it begins, and the other fields (see ``Have``) say how much the receiver has. With the
                 field ``done`` it has everything, and nothing is to be sent
``path``         what became of an entry: ``name`` if it has another one there, ``size`` and ``root`` (hex) of a file,
                 ``outcome`` and ``reason`` if it isn't ``ok``, ``note`` if it isn't quite what is at the sender's
``bytes``        so many bytes are verified, and ``entries`` (digits) done with
================ =========================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from p2p.base.errors import ExchangeFailed, Outcome, ProtocolViolation
from p2p.base.texts import printable
from p2p.exchange.paths import from_bytes, to_bytes
from p2p.link.boxes import Box, BoxReader, encode_box, text_of
from p2p.transfer.answers import CONTROLS
from p2p.transfer.records import Have, Receipt

__all__ = ["Began", "PendingReport", "ProgressReport", "Report", "ReportReader", "encode_have", "encode_pending"]
__all__ += ["encode_progress", "encode_receipts", "number_of"]

BOX_BYTES: Final = 16384
"""Bytes of a report: two paths of 4096 bytes and the rest of the box."""

_MAX_NUMBER: Final = 2**63
_ROOT: Final = re.compile(r"[0-9a-f]{64}|")


@dataclass(frozen=True, slots=True)
class PendingReport:
    """A person is asked; or, with ``reading``, the receiver has agreed and reads again what it has."""

    reason: str
    reading: bool = False


@dataclass(frozen=True, slots=True)
class Began:
    """The receiver takes it, and has so much already; all of it, if it is ``done``."""

    have: Have
    done: bool


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """So much is verified."""

    entries: int
    bytes: int


Report = PendingReport | Began | Receipt | ProgressReport
"""Whatever a receiver reports."""


def encode_pending(reason: str, *, reading: bool = False) -> bytes:
    """Say that a person is asked, or what else it is that the sender has to wait for."""
    return encode_box({"pending": printable(reason), **({"reading": "1"} if reading else {})})


def encode_have(have: Have, *, done: bool = False) -> bytes:
    """Say that it begins, or that it has ended long ago."""
    return encode_box({"have": "1", **have.to_box(), **({"done": "1"} if done else {})})


def encode_receipts(receipts: Iterable[Receipt]) -> bytes:
    """Say what became of entries; what goes without saying is left out."""
    return b"".join(map(_receipt, receipts))


def encode_progress(entries: int, size: int) -> bytes:
    """Say how much is verified."""
    return encode_box({"bytes": b"%d" % size, "entries": b"%d" % entries})


def _receipt(receipt: Receipt) -> bytes:
    fields: dict[str, str | bytes] = {"path": _path(receipt.path)}
    if receipt.name != receipt.path:
        fields["name"] = _path(receipt.name)
    if receipt.root:
        fields["size"] = b"%d" % receipt.size
        fields["root"] = receipt.root
    if receipt.outcome is not Outcome.OK:
        fields["outcome"] = receipt.outcome.value
    if receipt.reason:
        fields["reason"] = printable(receipt.reason)
    if receipt.note:
        fields["note"] = printable(receipt.note)
    return encode_box(fields)


def _path(text: str) -> bytes:
    return to_bytes(text)[:4096]


def number_of(fields: Box, key: str) -> int | None:
    """A number in a box; None if it isn't there.

    :raises ProtocolViolation: if it is none.
    """
    digits = fields.get(key)
    if digits is None:
        return None
    if not digits.isdigit() or len(digits) > 19 or int(digits) >= _MAX_NUMBER:
        raise ProtocolViolation(f"the field {key!r} of a transfer isn't a number")
    return int(digits)


class ReportReader:
    """Reads reports."""

    def __init__(self) -> None:
        self._boxes = BoxReader(BOX_BYTES)
        self._began = False

    @property
    def between(self) -> bool:
        """Whether the bytes so far end with a report."""
        return self._boxes.between

    def feed(self, data: bytes | memoryview) -> list[Report]:
        """Take bytes in and return what they report.

        :raises ExchangeFailed: with ``corrupt``, if they report nothing, or not in the order that is right.
        """
        try:
            return [self._report(box) for box in self._boxes.feed(data)]
        except ProtocolViolation as error:
            raise ExchangeFailed(Outcome.CORRUPT, str(error)) from error

    def _report(self, box: Box) -> Report:
        if "pending" in box and not self._began:
            return PendingReport(printable(text_of(box, "pending")), "reading" in box)
        if "have" in box and not self._began:
            self._began = True
            return Began(Have.from_box(box), "done" in box)
        if "path" in box and self._began:
            return _read_receipt(box)
        if "bytes" in box and "have" not in box and self._began:
            return ProgressReport(number_of(box, "entries") or 0, number_of(box, "bytes") or 0)
        raise ProtocolViolation(f"a receiver doesn't report {', '.join(sorted(box))[:80]!r} at this place")


def _read_receipt(box: Box) -> Receipt:
    path = CONTROLS.sub("?", from_bytes(box["path"]))
    outcome, root = text_of(box, "outcome", Outcome.OK), text_of(box, "root")
    if outcome not in set(Outcome) or not _ROOT.fullmatch(root):
        raise ProtocolViolation("the receipt of an entry makes no sense")
    return Receipt(
        path=path,
        name=CONTROLS.sub("?", from_bytes(box["name"])) if "name" in box else path,
        size=number_of(box, "size") or 0,
        root=root,
        outcome=Outcome(outcome),
        reason=printable(text_of(box, "reason")),
        note=printable(text_of(box, "note")),
    )
