"""What a plan comes to: conditions, loads, and the blocks in their order. Pure: the same seed gives the same order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count, islice
from math import ceil, inf
from typing import Final, Literal

from p2p.experiment.interleaving import MOST_CELLS, cycle
from p2p.experiment.making import SMALLEST, Content

__all__ = [
    "BLOCK_S",
    "CONDITIONS",
    "INTERLEAVED",
    "MAX_BYTES_PER_S",
    "MAX_EXCHANGES",
    "MAX_EXCHANGES_PER_S",
    "MAX_INSPECTED_PER_S",
    "Block",
    "Condition",
    "Factors",
    "Label",
    "Load",
    "Message",
    "Problems",
    "contents_of",
    "drawn",
    "impossible",
    "parse_condition",
    "rounds",
    "seconds_of",
]

INTERLEAVED: Final = "interleaved"
"""The condition of a block that has several, message by message."""

MAX_EXCHANGES: Final = 10_000_000
"""Exchanges of a plan, warm-up included; each leaves a row of about 200 bytes."""

MAX_EXCHANGES_PER_S: Final = 10_000
"""Exchanges a second of all pairs that an open load may ask for: what fast machines reach with empty messages."""

MAX_BYTES_PER_S: Final = 1_250_000_000
"""Bytes a second both ways that an open load may ask for: 10 Gbit/s."""

MAX_INSPECTED_PER_S: Final = 1000
"""Files a second that an open load may have decoded."""

BLOCK_S: Final = 0.25
"""Seconds that the exchanges of a block take at least, where a pilot counts them out."""

CONTENTS: Final = 8
"""Contents of one kind and size that take turns, in a block and from one to the next; of large ones fewer."""

_BLOCK_BYTES: Final = 16 * 1024 * 1024
_RUN_BYTES: Final = 128 * 1024 * 1024
"""Bytes of one kind of content, in a block and in all; there is one in a block, and two in all, however large."""

Label = Literal["text", "audio", "video", "data"]

_LABELS: Final[dict[str, Label]] = {"text": "text", "audio": "audio", "video": "video", "data": "data"}
_CONTENTS: Final[dict[str, Content]] = {
    "text": "text",
    "audio": "audio",
    "video": "video",
    "zeros": "zeros",
    "random": "random",
}
_SERVICES: Final = {"text": "uppercase", "audio": "inspect", "video": "inspect"}
_READABLE: Final = {"uppercase": ("text", "zeros"), "inspect": ("audio", "video")}
"""What services take that look into the content; the others take any bytes."""

_NO_SINGLE_CONTENT: Final = frozenset({"chat", "fetch", "list", "transfer"})

# On two processors that both ends share; for the progress bar alone, until real blocks tell better.
_BLOCK_S: Final = 0.02
_LINK_S: Final = 0.004
_EXCHANGE_S: Final = 0.00012
_BYTES_PER_S: Final = 1.8e9
_INSPECT_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Condition:
    """What is sent, and what its head calls it.

    :ivar name: as the plan has it: ``text``, ``random``, ``text-as-video``.
    :ivar content: what the bytes are.
    :ivar label: the content type in the head.
    """

    name: str
    content: Content
    label: Label

    @property
    def is_relabelled(self) -> bool:
        """Whether it is the control "same bytes, other label"."""
        return self.name != self.content

    @property
    def own_service(self) -> str | None:
        """The service that content of this kind is for, whatever its label; None if there is none."""
        return _SERVICES.get(self.content)


CONDITIONS: Final = "text, audio, video, zeros, random, or the bytes of one under the label of another: text-as-video"


def parse_condition(name: str) -> Condition:
    """Read the name of a condition.

    :raises ValueError: if it is none.
    """
    first, as_, label = name.partition("-as-")
    content = _CONTENTS.get(first)
    if content is None or (as_ and label not in _LABELS):
        raise ValueError(f"{name[:60]!r} is no content type, expected {CONDITIONS}")
    own = _LABELS.get(first, "data")
    if as_ and label == own:
        raise ValueError(f"{name!r} has its own label, which is no control; write {first}, or take another label")
    return Condition(name, content, _LABELS[label] if as_ else own)


@dataclass(frozen=True, slots=True)
class Load:
    """When the exchanges of a pair begin.

    :ivar rate: exchanges a second of each pair, at planned times; None for the closed loop, where the next begins when
        the last has ended.
    """

    rate: float | None = None

    def __str__(self) -> str:
        """As raw data has it: ``closed``, ``open:20``."""
        return "closed" if self.rate is None else f"open:{self.rate:.10g}"


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of message of a block.

    :ivar condition: its name, ``text-as-video``.
    :ivar content: what the bytes are.
    :ivar label: the content type in the head of each request.
    """

    condition: str
    service: str
    content: Content
    label: Label


@dataclass(frozen=True, slots=True)
class Block:
    """What is measured at once: the unit of the analysis. The names are those of docs/raw-data.rst.

    :ivar number: the block's own, from 1; it doesn't depend on the seed.
    :ivar order: its place in the run, from 1.
    :ivar messages: one kind, or those of each matched set of an interleaved block.
    :ivar size: bytes of the content, exactly.
    :ivar exchanges: of each pair, after the warm-up, and of each kind; 0 if a pilot is to find out how many.
    :ivar warm_up: the same before it; they are discarded.
    :ivar sampling: whether samples are taken; without, the block tells what taking them costs.
    :ivar both_ways: whether either peer of each pair asks the other, over the same link.
    :ivar kill_routers: whether the routers are killed when half of it is done.
    """

    number: int
    order: int
    arm: str
    messages: tuple[Message, ...]
    size: int
    pairs: int
    load: Load
    repetition: int
    exchanges: int
    warm_up: int
    sampling: bool = True
    both_ways: bool = False
    kill_routers: bool = False

    @property
    def directions(self) -> int:
        """How many peers ask."""
        return self.pairs * (1 + self.both_ways)

    @property
    def interleaved(self) -> bool:
        """Whether it has several kinds of messages, by turns."""
        return len(self.messages) > 1

    @property
    def condition(self) -> str:
        """That of its messages, or that they have several."""
        return INTERLEAVED if self.interleaved else self.messages[0].condition

    @property
    def offered(self) -> int:
        """Exchanges of all pairs after the warm-up."""
        return self.exchanges * len(self.messages) * self.directions

    @property
    def level(self) -> tuple[str, str, int, int, str]:
        """What the blocks that repeat it have in common: arm, condition, size, pairs, load."""
        return self.arm, self.condition, self.size, self.pairs, str(self.load)

    def counted_out(self, seconds: float) -> int:
        """How many exchanges of each kind take long enough, where one of each takes so many seconds.

        In an interleaved block they come to whole cycles.
        """
        least = ceil(BLOCK_S / max(seconds, 1e-6))
        whole = len(cycle(len(self.messages)))
        return -(-least // whole) * whole

    @property
    def seconds(self) -> float:
        """About how long it takes, for a progress bar."""
        return seconds_of(self)


@dataclass(frozen=True, slots=True)
class Factors:
    """One arm of a plan.

    :ivar service: of all its conditions; None for the one that each is for.
    :ivar exchanges: of each pair in a block, for each of the sizes; 0 if a pilot is to find out.
    :ivar repetitions: how often each block is run, at least.
    :ivar unsampled: whether each block is there once more without sampling.
    :ivar interleaved: whether the conditions alternate within each block.
    :ivar both_ways: whether either peer of each pair asks the other.
    :ivar kill_routers: whether the routers are killed in the middle of each block.
    :ivar extends: whether further repetitions follow until it is precise.
    """

    arm: str
    service: str | None
    conditions: Sequence[Condition]
    sizes: Sequence[int]
    pairs: Sequence[int]
    load: Load
    exchanges: Sequence[int]
    warm_up: int
    repetitions: int
    unsampled: bool = False
    interleaved: bool = False
    extends: bool = False
    both_ways: bool = False
    kill_routers: bool = False

    def service_of(self, condition: Condition) -> str | None:
        """The service that takes a condition; None if it has none of its own and the arm names none."""
        return self.service or condition.own_service

    def sets(self, repetition: int) -> Iterator[list[Block]]:
        """The block sets of one repetition; :func:`rounds` gives the blocks their numbers and their places."""
        messages = [Message(one.name, self.service_of(one) or "", one.content, one.label) for one in self.conditions]
        kinds = [tuple(messages)] if self.interleaved else [(one,) for one in messages]
        for size, exchanges in zip(self.sizes, self.exchanges, strict=True):
            for pairs in self.pairs:
                yield [
                    Block(
                        number=0,
                        order=0,
                        arm=self.arm,
                        messages=kind,
                        size=size,
                        pairs=pairs,
                        load=self.load,
                        repetition=repetition,
                        exchanges=exchanges,
                        warm_up=self.warm_up,
                        sampling=sampling,
                        both_ways=self.both_ways,
                        kill_routers=self.kill_routers,
                    )
                    for kind in kinds
                    for sampling in (True, False)[: 1 + self.unsampled]
                ]


def drawn(arms: Sequence[Factors], seed: int) -> list[Block]:
    """Make the blocks of all arms in their order, as often as they are run at least."""
    least = {arm.arm: arm.repetitions for arm in arms}
    first = islice(rounds(arms, seed), max(least.values()) if any(arm.extends for arm in arms) else None)
    blocks = (block for one in first for block_set in one for block in block_set)
    return [block for block in blocks if block.repetition <= least[block.arm]]


def rounds(arms: Sequence[Factors], seed: int) -> Iterator[list[list[Block]]]:
    """Make the blocks of all arms in their order, which is drawn with the seed: rounds of block sets.

    The repetitions of each arm are spread over the whole run; if an arm extends, a round is one repetition of each arm,
    without end. The sets of a round are drawn one by one, and the blocks of a set, which are compared with each other,
    follow one another in an order of their own: what the machine does meanwhile is then much the same for all of them.
    Blocks that differ in sampling alone are neighbours.

    The order is that of digests of the seed and the block's number, so it is the same with every version of Python.
    """
    numbers, orders = count(1), count(1)
    for one in _extended(arms) if any(arm.extends for arm in arms) else _spread(arms):
        numbered = [[replace(block, number=next(numbers)) for block in block_set] for block_set in one]
        placed = [_shuffled(seed, some) for some in sorted(numbered, key=lambda some: _lot(seed, some[0].number))]
        yield [[replace(block, order=next(orders)) for block in block_set] for block_set in placed]


def _extended(arms: Sequence[Factors]) -> Iterator[list[list[Block]]]:
    repetitions = count(1)
    while True:
        repetition = next(repetitions)
        yield [one for arm in arms if arm.extends or repetition <= arm.repetitions for one in arm.sets(repetition)]


def _spread(arms: Sequence[Factors]) -> Iterator[list[list[Block]]]:
    places: dict[Fraction, list[list[Block]]] = {}
    for arm in arms:
        for repetition in range(1, arm.repetitions + 1):
            place = Fraction(2 * repetition - 1, 2 * arm.repetitions)
            places.setdefault(place, []).extend(arm.sets(repetition))
    yield from (sets for _, sets in sorted(places.items()))


def contents_of(seed: int, size: int, repetition: int) -> list[tuple[int, int]]:
    """The contents of one kind and size that take turns in a block: the number of each in the run, and its seed.

    No content is that of all repetitions.
    """
    pool = min(max(_RUN_BYTES // size, 2), CONTENTS)
    number = min(max(_BLOCK_BYTES // size, 1), pool)
    first = (repetition - 1) * number
    return [(one + 1, _seed(seed, one)) for one in ((first + place) % pool for place in range(number))]


def _seed(seed: int, content: int) -> int:
    return int.from_bytes(_lot(seed, "content", content)[:8]) >> 1


def _shuffled(seed: int, blocks: list[Block]) -> list[Block]:
    """Put the blocks of a set into an order of their own."""
    first = blocks[0].number

    def place(block: Block) -> tuple[bytes, bytes]:
        return _lot(seed, first, block.condition), _lot(seed, block.number)

    return sorted(blocks, key=place)


def _lot(seed: int, *what: int | str) -> bytes:
    return hashlib.sha256(" ".join(map(str, (seed, *what))).encode()).digest()


def seconds_of(block: Block) -> float:
    """Estimate how long a block takes, in seconds: for a progress bar, before there is anything to go by."""
    each = sum(
        _EXCHANGE_S + 2 * block.size / _BYTES_PER_S + (_INSPECT_S if one.service == "inspect" else 0.0)
        for one in block.messages
    )
    exchanges = block.exchanges or ceil(BLOCK_S / max(each * block.directions, 1 / (block.load.rate or inf)))
    turns = exchanges + block.warm_up
    spread = 0.0 if block.load.rate is None else turns / block.load.rate
    return _BLOCK_S + _LINK_S * block.pairs + max(turns * block.directions * each, spread)


Problems = list[tuple[tuple[int | str, ...], str]]
"""Where, below the arm, and what is wrong there."""


def impossible(arm: Factors) -> Problems:
    """Tell which factors of an arm can't be had, or can't be had together."""
    problems: Problems = []
    names: list[str | int] = [one.name for one in arm.conditions]
    repeatable: dict[str, Sequence[str | int]] = {"types": names, "sizes": arm.sizes, "pairs": arm.pairs}
    for key, values in repeatable.items():
        problems += [((key, at), f"{value} stands twice, keep one") for at, value in _repeated(values)]
    if arm.service in _NO_SINGLE_CONTENT:
        problems.append((("service",), f"{arm.service} takes no single content, expected one like echo or store"))
    for at, condition in enumerate(arm.conditions):
        problems += [(("types", at), text) for text in _unfit(arm, condition, names)]
    if arm.interleaved:
        problems += _not_alternating(arm)
    return problems + _overload(arm)


def _not_alternating(arm: Factors) -> Problems:
    """Tell why the types of an arm can't alternate message by message."""
    problems: Problems = []
    if not 2 <= len(arm.conditions) <= MOST_CELLS:
        problems.append((("types",), f"{len(arm.conditions)} types can't alternate, from 2 to {MOST_CELLS} can"))
    if list(arm.pairs) != [1] and not arm.both_ways:
        problems.append(
            (("pairs",), "an interleaved arm has 1 pair: of several, all types would wait in one queue at the receiver")
        )
    if arm.load.rate is not None:
        problems.append((("load",), "an interleaved arm has the load closed: each message waits for the one before"))
    return problems


def _repeated(values: Iterable[str | int]) -> Iterator[tuple[int, str | int]]:
    seen: set[str | int] = set()
    for at, value in enumerate(values):
        if value in seen:
            yield at, value
        seen.add(value)


def _unfit(arm: Factors, condition: Condition, names: Sequence[str | int]) -> Iterator[str]:
    service = arm.service_of(condition)
    if service is None:
        yield f"{condition.name} has no service of its own, give the arm one for all, like service: echo"
        return
    readable = _READABLE.get(service)
    if readable is not None and condition.content not in readable:
        yield f"{service} can't take {condition.content}, only {' and '.join(readable)}; take another, like echo"
    elif service == "inspect" and min(arm.sizes) < SMALLEST[condition.content]:
        yield (
            f"{min(arm.sizes)} bytes hold no {condition.content} that can be played, at least "
            f"{SMALLEST[condition.content]} do; take larger sizes, or a service that doesn't look inside, like echo"
        )
    if condition.is_relabelled and condition.content not in names:
        yield f"{condition.name} is judged against {condition.content}, which this arm lacks; add it to the types"


def _overload(arm: Factors) -> Problems:
    """Tell of an open load that nobody can keep up with."""
    if arm.load.rate is None:
        return []
    rate, size = arm.load.rate * max(arm.pairs), max(arm.sizes)
    inspected = any(arm.service_of(condition) == "inspect" for condition in arm.conditions)
    asked = f"{arm.load.rate:g} exchanges a second of {max(arm.pairs)} pairs"
    problems: Problems = []
    most = MAX_INSPECTED_PER_S if inspected else MAX_EXCHANGES_PER_S
    if rate > most:
        what = "files to decode" if inspected else "exchanges"
        problems.append((("load",), f"{asked} are {rate:.6g} {what} a second, at most {most} can be had; lower it"))
    if 2 * size * rate > MAX_BYTES_PER_S:
        total = f"{2 * size * rate:.3g} bytes a second both ways"
        problems.append(
            (("load",), f"{asked} with {size} bytes are {total}, at most {MAX_BYTES_PER_S:.3g} can be had; lower it")
        )
    return problems
