"""What people read about a transfer, in lines: its finished files, what holds it up, and how it ended."""

from __future__ import annotations

from p2p.base.errors import Outcome
from p2p.base.texts import NAMES, few
from p2p.cli.output import duration, printable, rate, size
from p2p.console.transfer_operations import (
    Done,
    Failed,
    Offered,
    Pending,
    Progress,
    Resumed,
    Stalled,
    TransferEvent,
    TransferShown,
    Verified,
    Waiting,
)

__all__ = [
    "counted",
    "entry_line",
    "event_line",
    "how_far",
    "is_file",
    "names_shown",
    "note",
    "summary",
    "why_left_out",
]


def is_file(event: Verified) -> bool:
    """Whether an entry is a file that got through; folders and links have no content to verify."""
    return event.outcome == "ok" and bool(event.root)


def entry_line(event: Verified) -> str:
    """What became of an entry that got through."""
    shown = f"{event.path}: "
    shown += f"{size(event.size)}, verified {event.root[:12]}" if event.root else "there"
    stored = f", stored as {event.name}" if event.name not in ("", event.path) else ""
    return printable(shown + stored + (f"; {event.note}" if event.note else ""))


def why_left_out(event: Verified) -> str:
    """Why an entry didn't get through."""
    return printable(f"{event.path}: {event.outcome}: {event.reason}")


def counted(event: Progress) -> str:
    """How many entries and bytes have arrived."""
    return f"{how_far(event.entries, event.entries_total, 'entry', 'entries')}, {_of(event.bytes, event.bytes_total)}"


def how_far(done: int, total: int | None, one: str, many: str) -> str:
    """Show ``3 of 10,000 entries``, or ``3 entries`` while nobody knows how many there are."""
    noun = one if (done if total is None else total) == 1 else many
    return f"{done:,} {noun}" if total is None else f"{done:,} of {total:,} {noun}"


def _of(done: int, total: int | None) -> str:
    return size(done) if total is None else f"{size(done)} of {size(total)}"


def note(event: Pending | Resumed | Stalled | Waiting) -> str:
    """What a person has to know of a transfer that isn't simply going on."""
    match event:
        case Pending():
            text = event.reason if event.reading else f"waits for consent: {event.reason}"
        case Resumed():
            text = _resumed(event)
        case Stalled():
            return printable(event.text)  # it names the peer, or this machine, that it waits for
        case Waiting():
            text = f"{event.outcome}: {event.reason}; goes on in {duration(event.retry_s)}"
            text += f", tries for {duration(event.left_s)} more"
    return printable(f"{event.peer}: {text}")


def _resumed(event: Resumed) -> str:
    parts = ["goes on"]
    if event.entries:
        parts[0] += f" after {how_far(event.entries, None, 'entry', 'entries')}"
    if event.path is not None and event.offset:
        parts[0] += f" with {event.path} from {size(event.offset)}"
    parts += [f"{path} has changed since and begins anew" for path in event.restarted[:NAMES]]
    if len(event.restarted) > NAMES:
        parts.append(f"so do {len(event.restarted) - NAMES} more")
    return "; ".join(parts)


def summary(event: Done, files: int, before: int = 0) -> str:
    """A transfer that is complete.

    :param files: how many of its entries are known to be files.
    :param before: bytes that had come before it was asked for this time.
    """
    way = "from" if event.direction in ("get", "receive") else "to"
    one, many = ("file", "files") if files == event.entries else ("entry", "entries")
    parts = [f"{way} {event.peer}: {how_far(event.entries, None, one, many)}"]
    now = max(event.bytes - before, 0)
    took = f"in {duration(event.seconds)} ({rate(now, event.seconds)})"
    parts += [f"{size(event.bytes)}", f"{size(now)} of them now {took}"] if before else [f"{size(event.bytes)} {took}"]
    if event.sessions > 1:
        parts.append(f"{event.sessions} sessions")
    if event.refused:
        parts.append(f"{event.refused:,} left out")
    return printable(", ".join(parts))


def event_line(event: TransferEvent) -> str:
    """What happened to one of many transfers, in a line that stands for itself."""
    match event:
        case Offered():
            return printable(f"{event.peer}: begins: {few(event.names, event.more_names)}")
        case Progress():
            way = f", relayed by {event.relayed_by}" if event.relayed_by else ""
            return printable(f"{event.peer}: {counted(event)}, {size(event.rate)}/s{way}")
        case Verified():
            shown = entry_line(event) if event.outcome == Outcome.OK else why_left_out(event)
            return f"{printable(event.peer)}: {shown}"
        case Done():
            return "done: " + summary(event, 0)
        case Failed():
            shown = ": ".join(part for part in (event.peer, "ended", event.outcome, event.reason) if part)
            return printable(shown)
        case Pending() | Resumed() | Stalled() | Waiting():
            return note(event)


def names_shown(shown: TransferShown) -> str:
    """What moves, in short: ``film.mkv, photos and 3 more``."""
    return few(shown.names, shown.more_names)
