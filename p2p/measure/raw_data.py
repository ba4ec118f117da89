"""The raw data of a run: a folder of CSV files that R or a spreadsheet can read; docs/raw-data.rst has the schema.

Nothing here needs the extra ``report``. A row is one line, always. A block is finished when its row stands in
``blocks.csv``, which is written last, so whatever breaks off leaves finished blocks whole and the others unmarked.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Final, get_type_hints

from pydantic import BaseModel, ConfigDict, Field

from p2p.base.errors import LocalFileError, Outcome, P2PError
from p2p.measure.blocks import INTERLEAVED

__all__ = [
    "BLOCKS",
    "BROKEN",
    "DAEMONS",
    "FACTS",
    "INTERLEAVED",
    "LINKS",
    "LOOKUPS",
    "PILOTS",
    "PLAN",
    "SAMPLES",
    "ArmEnding",
    "BlockRow",
    "BrokenRow",
    "Columns",
    "CsvTable",
    "DaemonRow",
    "LinkRow",
    "LookupRow",
    "MissingBlock",
    "PilotRow",
    "Placement",
    "Row",
    "RunEvent",
    "RunFacts",
    "SampleRow",
    "Unaccounted",
    "read_text",
]

PLAN: Final = "plan.yaml"
FACTS: Final = "run.json"

INT64: Final = range(-(2**63), 2**63)

Columns = dict[str, list[Any]]
"""A table, column by column, all of the same length; None is what was left empty."""


class Unaccounted(P2PError):
    """The messages of a block aren't what was planned: the counting is wrong, so every figure may be."""


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One exchange of a block with sampling on; times are ns of the initiator's monotonic clock.

    :ivar condition: the content type, or the control: ``zeros``, ``random``, or ``text-as-audio``, which is the bytes
        of text under the label audio.
    :ivar load: ``closed``, or ``open:20`` for 20 exchanges a second a pair.
    :ivar planned_ns: when it was to begin; latency counts from here.
    :ivar set: the matched set within an interleaved block, from 1; None in others.
    :ivar label: the content type in its head.
    :ivar content: which of the contents of its kind and size it had, from 1.
    :raises ValueError: if a time makes no sense; every figure would be wrong without anybody noticing.
    """

    block: int
    arm: str
    condition: str
    size: int
    pairs: int
    load: str
    pair: int
    direction: str
    service: str
    name: str
    bytes: int
    reply_bytes: int
    planned_ns: int
    first_byte_ns: int | None
    end_ns: int
    outcome: str
    reason: str = ""
    set: int | None = None
    label: str = ""
    content: int | None = None

    def __post_init__(self) -> None:
        first = self.planned_ns if self.first_byte_ns is None else self.first_byte_ns
        if not 0 < self.planned_ns <= first <= self.end_ns:
            raise ValueError(f"no order of times: planned {self.planned_ns}, first byte {first}, end {self.end_ns}")


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One direct link that was set up for a block; what the initiator saw, None where it can't be known.

    :ivar rtt_us: the smoothed round trip of TCP_INFO when the block ended, in microseconds.
    :ivar retransmits: the segments that the initiator's kernel sent again by then.
    """

    block: int
    pair: int
    initiator: str
    setup_ns: int | None
    table_lookup_ns: int | None
    router_lookup_ns: int | None
    listen_ns: int | None = None
    instruct_ns: int | None = None
    dial_ns: int | None = None
    tls_ns: int | None = None
    ticket_ns: int | None = None
    rtt_us: int | None = None
    retransmits: int | None = None


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One finished block; times are ns of the coordinator's monotonic clock.

    :ivar order: its place in the run, from 1.
    :ivar warm_up: exchanges of each pair before it, which nothing counts.
    :ivar offered: exchanges that were asked for after the warm-up.
    :ivar sampling: ``on``, or ``off`` where it measures what sampling costs and has no rows elsewhere.
    :ivar bytes: content both ways of the exchanges that were ``ok``.
    :ivar bytes_per_s: the sum of what the initiators measured, each by its own clock; None where one had nothing.
    :ivar sets: the matched sets of each pair in an interleaved block; None in others.
    """

    block: int
    order: int
    arm: str
    condition: str
    size: int
    pairs: int
    load: str
    repetition: int
    warm_up: int
    started_ns: int
    ended_ns: int
    offered: int
    sampling: str = "on"
    bytes: int | None = None
    bytes_per_s: float | None = None
    sets: int | None = None


@dataclass(frozen=True, slots=True)
class PilotRow:
    """How many exchanges a pilot has found right for the blocks of a level; written before the first of them.

    :ivar exchanges: of each pair in a block; in an interleaved arm, sets.
    :ivar pilot_exchanges: the same of the pilot, which took ``pilot_ns``.
    """

    arm: str
    condition: str
    size: int
    pairs: int
    load: str
    exchanges: int
    pilot_exchanges: int
    pilot_ns: int


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """What became of some messages of one pair, in a try of a block that came to nothing.

    :ivar attempt: which try it was, from 1.
    :ivar planned: the messages of all pairs in it; the counts of its rows come to that.
    :ivar sent: ``yes``, or ``no`` where they weren't or nobody knows.
    :ivar outcome: how they ended; of those that weren't sent, what kept them from it.
    """

    block: int
    attempt: int
    planned: int
    arm: str
    size: int
    pairs: int
    load: str
    repetition: int
    condition: str
    pair: int
    direction: str
    sent: str
    outcome: str
    count: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LookupRow:
    """The mean time of one batch of look-ups in a routing table of so many entries."""

    table_size: int
    ns: float


@dataclass(frozen=True, slots=True)
class DaemonRow:
    """What a daemon held at one moment of its machine's monotonic clock.

    :ivar role: ``router`` or ``peer``.
    :ivar cpu_s: processor time since it started.
    """

    t_ns: int
    daemon: str
    role: str
    sockets: int
    cpu_s: float
    rss_bytes: int


Row = SampleRow | LinkRow | BlockRow | PilotRow | BrokenRow | LookupRow | DaemonRow


def _integer(text: str) -> int:
    value = int(text)
    if value not in INT64:
        raise ValueError(f"{text} doesn't fit into 64 bits")
    return value


def _integer_or_nothing(text: str) -> int | None:
    return _integer(text) if text else None


def _number(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(f"{text} is no measure")
    return value


def _number_or_nothing(text: str) -> float | None:
    return _number(text) if text else None


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text} is none of {', '.join(words)}")
        return text

    return parse


_PARSERS: Final[Mapping[Any, Callable[[str], Any]]] = {
    int: _integer,
    int | None: _integer_or_nothing,
    float: _number,
    float | None: _number_or_nothing,
    str: str,
}
_VOCABULARY: Final[Mapping[str, Callable[[str], str]]] = {
    "outcome": _one_of(*Outcome),
    "sampling": _one_of("on", "off"),
    "sent": _one_of("yes", "no"),
}


@dataclass(frozen=True)
class CsvTable:
    """One of the CSV files: its name, and what a row of it is."""

    file: str
    row: type[Row]

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in their order."""
        return [field.name for field in fields(self.row)]

    def empty(self) -> Columns:
        """Make the table without rows."""
        return {column: [] for column in self.columns}

    def line(self, values: Iterable[Any]) -> str:
        """Write one row as its line: no value breaks it, and no spreadsheet takes a reason for a formula."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow([_one_line(value) for value in values])
        return text.getvalue()

    def header(self) -> str:
        """Write the first line."""
        return self.line(self.columns)

    def dump(self, columns: Columns) -> str:
        """Write the whole file."""
        rows = zip(*(columns[name] for name in self.columns), strict=True)
        return self.header() + "".join(map(self.line, rows))

    def load(self, path: Path) -> tuple[Columns, list[str]]:
        """Read the file, with what had to be left out of it, in words.

        :raises LocalFileError: if it can't be read, or has other columns.
        """
        text = read_text(path)
        *lines, rest = text.replace("\r\n", "\n").split("\n")
        notes = [f"{path.name}: line {len(lines) + 1} was cut off and is left out"] if rest else []
        columns = self.empty()
        if not lines:
            return columns, notes or [f"{path.name}: it is empty"]
        header = _split(lines[0]) or []
        known = {field.name: field.default for field in fields(self.row)}
        if absent := [name for name, default in known.items() if name not in header and default is MISSING]:
            raise LocalFileError(f"{path}: it has no column {absent[0]}, so it isn't the {path.name} of a run")
        there = [name for name in known if name in header]
        types = get_type_hints(self.row)
        parsers = [_VOCABULARY.get(name, _PARSERS[types[name]]) for name in there]
        places = [header.index(name) for name in there]
        into = [columns[name] for name in there]
        damaged = []
        for number, line in enumerate(lines[1:], 2):
            values = _parse(_split(line), len(header), places, parsers)
            if values is None:
                damaged.append(number)
            else:
                for column, value in zip(into, values, strict=True):
                    column.append(value)
        for name in known.keys() - set(there):
            columns[name] += [known[name]] * len(into[0])  # an older version wrote it
        if damaged:
            first, more = damaged[0], len(damaged) - 1
            also = f", and {more} after it are left out too" if more else ""
            notes.insert(0, f"{path.name}: line {first} can't be read and is left out{also}")
        return columns, notes


SAMPLES: Final = CsvTable("samples.csv", SampleRow)
LINKS: Final = CsvTable("links.csv", LinkRow)
BLOCKS: Final = CsvTable("blocks.csv", BlockRow)
PILOTS: Final = CsvTable("pilots.csv", PilotRow)
BROKEN: Final = CsvTable("broken.csv", BrokenRow)
LOOKUPS: Final = CsvTable("lookups.csv", LookupRow)
DAEMONS: Final = CsvTable("daemons.csv", DaemonRow)


def _one_line(value: Any) -> Any:
    if not isinstance(value, str):
        return "" if value is None else value
    line = "".join(letter if letter.isprintable() else " " for letter in value)
    return f" {line}" if line[:1] in ("=", "+", "-", "@") else line


def _split(line: str) -> list[str] | None:
    """Split one line, which is one row; None if it can't be one."""
    try:
        return next(csv.reader([line]))
    except (csv.Error, StopIteration):
        return None


def _parse(
    cells: list[str] | None, width: int, places: Sequence[int], parsers: Sequence[Callable[[str], Any]]
) -> list[Any] | None:
    """Read the values of a row; None if it is damaged."""
    if cells is None or len(cells) != width:
        return None
    try:
        return [parse(cells[place]) for place, parse in zip(places, parsers, strict=True)]
    except ValueError:
        return None


def read_text(path: Path) -> str:
    """Read a file of the run; what isn't UTF-8 comes out as replacement characters.

    :raises LocalFileError: if it can't be read.
    """
    try:
        return path.read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise LocalFileError(
            f"{path}: {error.strerror}; is {path.parent} the folder of an experiment's run?"
        ) from error


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Placement(_Facts):
    """What ran where."""

    what: str
    where: str


class MissingBlock(_Facts):
    """A block that isn't there, and why."""

    block: int
    why: str


class ArmEnding(_Facts):
    """Why an arm has no more repetitions than it has.

    :ivar why: ``planned``, ``precise``, or ``time``.
    """

    arm: str
    repetitions: int
    why: str


class RunEvent(_Facts):
    """Something that was done on purpose during a block, and when by the coordinator's clock."""

    block: int
    t_ns: int
    what: str


class RunFacts(_Facts):
    """What ``run.json`` says; times of day are ISO 8601 in UTC.

    :ivar margin: the equivalence margin of the plan, as a share: 0.05 is ±5 %.
    :ivar machine: of the coordinator: processor, cores, memory, kernel; whatever is known.
    :ivar clock: its name, and its resolution in ns.
    """

    title: str = ""
    seed: int = Field(default=0, ge=0)
    margin: float = Field(default=0.05, gt=0, lt=1)
    started: str = ""
    finished: str = ""
    machine: Mapping[str, str | int | float] = {}
    versions: Mapping[str, str] = {}
    clock: Mapping[str, str | int | float] = {}
    placement: tuple[Placement, ...] = ()
    missing: tuple[MissingBlock, ...] = ()
    endings: tuple[ArmEnding, ...] = ()
    events: tuple[RunEvent, ...] = ()

    def to_json(self) -> str:
        """Write the file's text."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
