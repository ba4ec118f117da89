"""One block of an experiment, as its coordinator has it run: orders go out to the pairs, samples come home.

The coordinator is a peer with a daemon like any other. What it says to the others are exchanges with the service
``experiment`` over its direct links; no time that is measured comes from it, but the span of a block.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final

from twisted.internet.defer import Deferred

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.client import Client, ExchangeArguments
from p2p.experiment.words import (
    SERVICE,
    BlockOrder,
    Cell,
    Ended,
    ExchangeTold,
    GaugeOrder,
    GaugeTold,
    LinkTold,
    Order,
    PrepareOrder,
    RunOrder,
    Told,
    parse_lines,
)
from p2p.measure.blocks import BLOCK_S, Block, Message, contents_of
from p2p.measure.gather import together
from p2p.measure.raw_data import BlockRow, BrokenRow, LinkRow, PilotRow, SampleRow

__all__ = ["BlockDone", "Conductor", "Pair"]

MOST_IN_PILOT: Final = 100_000
"""Exchanges of a pair in a pilot."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two peers; the first one asks, and measures."""

    number: int
    initiator: str
    receiver: str

    @property
    def direction(self) -> str:
        """As raw data has it."""
        return f"{self.initiator}>{self.receiver}"

    @property
    def turned(self) -> Pair:
        """The same, asked by the other one."""
        return Pair(self.number, self.receiver, self.initiator)


@dataclass
class BlockDone:
    """What came of a block.

    :ivar row: None if it isn't whole.
    :ivar broken: where its messages went, if it isn't.
    :ivar missing: what isn't there and why, a sentence for each pair.
    :ivar outcomes: how many exchanges ended so, also of a block that isn't whole.
    """

    row: BlockRow | None = None
    samples: list[SampleRow] = field(default_factory=list)
    links: list[LinkRow] = field(default_factory=list)
    broken: list[BrokenRow] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)


class Conductor:
    """Gives orders to the peers of a lab.

    :param client: of the coordinator's daemon.
    :param name: of the coordinator, where its daemon hosts others too.
    :param seed: of the plan, for the content.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        pairs: Sequence[Pair],
        seed: int,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._client = client
        self._name = name
        self._pairs = pairs
        self._seed = seed
        self._now_ns = now_ns
        self._lives: dict[str, str] = {}

    async def block(
        self, block: Block, attempt: int = 1, halfway: Callable[[], Coroutine[Any, Any, None]] | None = None
    ) -> BlockDone:
        """Have one block run; if a pair of it can't take part or a process dies, it isn't whole.

        :param attempt: which try it is, from 1.
        :param halfway: what to do when half of its exchanges are done, while the others go on.
        :raises P2PError: if the coordinator's own daemon fails.
        """
        done = BlockDone()
        ends = [_PairEnd(pair) for pair in self._pairs[: block.pairs]]
        ways = [_PairEnd(one.pair.turned) for one in ends] if block.both_ways else []
        await together(self._prepare(block, one, None) for one in ways)
        await together(self._prepare(block, one, done.links) for one in ends)
        ends += ways
        if not any(one.failure for one in ends):
            middle = _Middle(block.offered // 2, halfway)
            started_ns = self._now_ns()
            answers = await together(
                self._order(one.pair.initiator, RunOrder(block=self._block_order(block, one.pair)), middle)
                for one in ends
            )
            ended_ns = self._now_ns()  # what came is read after it, so that nobody's exchanges wait for that
            await middle.over()
            if block.both_ways:
                await together(self._prepare(block, one, None) for one in ends)
            for one, answer in zip(ends, answers, strict=True):
                self._read_end(block, one, answer)
                _measured(done.links, one)
            await together(self._see_receiver(block, one) for one in ends)
        for one in ends:
            done.outcomes.update(row.outcome for row in one.rows)
            if one.failure is not None:
                done.missing.append(_missing(block, one, one.failure))
        if done.missing:
            done.broken = list(_account(block, attempt, ends))
            return done
        done.samples = [row for one in ends for row in one.rows]
        rates = [rate for one in ends if (rate := one.bytes_per_s) is not None]
        done.row = BlockRow(
            block=block.number,
            order=block.order,
            arm=block.arm,
            condition=block.condition,
            size=block.size,
            pairs=block.pairs,
            load=str(block.load),
            repetition=block.repetition,
            warm_up=block.warm_up,
            started_ns=started_ns,
            ended_ns=ended_ns,
            offered=block.offered,
            sampling="on" if block.sampling else "off",
            bytes=sum(one.bytes for one in ends),
            bytes_per_s=sum(rates) if len(rates) == len(ends) else None,
            sets=block.exchanges if block.interleaved else None,
        )
        return done

    async def pilot(self, block: Block) -> PilotRow:
        """Find out how many exchanges the blocks of a level need to be long enough.

        :raises ExchangeFailed: if a pair can't take part.
        :raises P2PError: if the coordinator's own daemon fails.
        """
        tried = replace(block, exchanges=MOST_IN_PILOT, sampling=True)
        ends = [_PairEnd(pair) for pair in self._pairs[: block.pairs]]
        await together(self._prepare(tried, one, []) for one in ends)
        for one in ends:
            if one.failure is not None:
                raise one.failure
        answers = await together(
            self._order(one.pair.initiator, RunOrder(block=self._block_order(tried, one.pair, BLOCK_S))) for one in ends
        )
        counts, sets, took = [], [], []
        for one, answer in zip(ends, answers, strict=True):
            told, failure = _read(answer)
            samples = [each for each in told if isinstance(each, ExchangeTold)]
            if failure is not None or not samples:
                raise failure or _senseless(one.pair.initiator)
            begins: dict[int, int] = {}
            for each in samples:
                begins[each.set] = min(each.planned_ns, begins.get(each.set, each.planned_ns))
            began, end = min(begins.values()), max(each.end_ns for each in samples)
            counts.append(block.counted_out(_usual_gap([*sorted(begins.values()), end]) / 1e9))
            if all(each.outcome != Outcome.OK for each in samples):
                # Whatever fails at once would seem to be so fast that a block needs thousands of it.
                counts[-1] = block.counted_out(BLOCK_S)
            sets.append(len(begins))
            took.append(end - began)
        return PilotRow(*block.level, max(counts), max(sets), max(took))

    async def gauge(self, peer: str) -> GaugeTold:
        """What the daemon of a peer holds now.

        :raises ExchangeFailed: if it doesn't tell.
        """
        told, failure = _read(await self._order(peer, GaugeOrder()))
        for one in told:
            if isinstance(one, GaugeTold):
                self._lives.setdefault(peer, one.life)
                return one
        raise failure or _senseless(peer)

    async def _prepare(self, block: Block, one: _PairEnd, links: list[LinkRow] | None) -> None:
        """Have the content made, and a fresh link; without a list for it, no link."""
        pair = one.pair
        order = PrepareOrder(block=self._block_order(block, pair), link=links is not None)
        told, failure = _read(await self._order(pair.initiator, order))
        link = next((each for each in told if isinstance(each, LinkTold)), None)
        if link is None or failure is not None:
            one.failure = one.failure or failure or _senseless(pair.initiator)
        elif block.sampling and links is not None:
            links.append(LinkRow(block.number, pair.number, pair.initiator, **link.model_dump()))

    def _read_end(self, block: Block, one: _PairEnd, answer: _Answer) -> None:
        """Keep one pair's exchanges, and see that they are those that were ordered, each once."""
        told, failure = _read(answer)
        samples = [each for each in told if isinstance(each, ExchangeTold)]
        contents = contents_of(self._seed, block.size, block.repetition)
        try:
            one.rows = [_row(block, one.pair, sample, contents[sample.set % len(contents)][0]) for sample in samples]
        except (ValueError, IndexError):
            samples, failure = [], _senseless(one.pair.initiator)
        one.end = next((each for each in told if isinstance(each, Ended)), None)
        known = {(sample.set, sample.cell) for sample in samples}
        whole = block.offered // block.directions
        counted = len(known) if block.sampling or one.end is None else one.end.offered
        if len(known) != len(samples) or counted > whole or any(not 0 <= each < block.exchanges for each, _ in known):
            one.rows, failure = [], _senseless(one.pair.initiator)
        elif one.end is None or counted < whole:
            failure = failure or _senseless(one.pair.initiator)
        one.failure = failure

    async def _see_receiver(self, block: Block, one: _PairEnd) -> None:
        """Where something was dropped, see that the receiver is there, and the process that it was."""
        if one.failure is not None or one.dropped == 0:
            return
        receiver = one.pair.receiver
        before = self._lives.get(receiver)
        try:
            now = await self.gauge(receiver)
        except ExchangeFailed as failure:
            if failure.outcome != Outcome.REFUSED:  # it is there, and doesn't obey this coordinator
                one.failure = ExchangeFailed(failure.outcome, f"{receiver} is gone: {failure}")
            return
        if before is not None and now.life != before:
            self._lives[receiver] = now.life
            one.failure = ExchangeFailed(Outcome.RESET, f"the daemon of {receiver} was started again meanwhile")

    def _block_order(self, block: Block, pair: Pair, span_s: float | None = None) -> BlockOrder:
        rate = block.load.rate
        cells = [
            Cell(service=one.service, content=one.content, label=one.label, name=_name(one, block))
            for one in block.messages
        ]
        return BlockOrder(
            **cells[0].model_dump(),
            cells=cells if block.interleaved else [],
            partner=pair.receiver,
            size=block.size,
            seed=self._seed,
            seeds=[seed for _, seed in contents_of(self._seed, block.size, block.repetition)],
            lot=f"{self._seed} {block.number}",
            exchanges=block.exchanges,
            warm_up=block.warm_up,
            rate=rate,
            # The pairs take turns, so that an even load is even between them too.
            offset_s=0.0 if rate is None else (pair.number - 1) / block.pairs / rate,
            sampling=block.sampling,
            stays=block.both_ways,
            deadline_s=30 + 20 * (block.seconds if span_s is None else span_s),
            span_s=span_s,
        )

    async def _order(self, peer: str, order: Order, middle: _Middle | None = None) -> _Answer:
        """Give an order, and return what came."""
        answer = _Answer()

        def on_event(event: Any) -> None:
            if event["event"] == "text":
                answer.pieces.append(str(event.get("text", "")))
                if middle is not None:
                    middle.came(answer.pieces[-1])

        try:
            asked = ExchangeArguments(
                peer=peer,
                service=SERVICE,
                type="data",
                text=order.model_dump_json(),
                show="text",
                acting=self._name,
            )
            await self._client.request("exchange", asked.request(), on_event=on_event)
        except ExchangeFailed as failed:
            answer.failure = failed
        return answer


class _Middle:
    """Waits until half of the exchanges of a block are done, and does what is to be done then.

    :param count: of exchanges that were ok.
    """

    def __init__(self, count: int, todo: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        self._count = count
        self._todo = todo
        self._doing: Deferred[None] | None = None

    def came(self, text: str) -> None:
        """Samples came. They are counted by a word of each; one that is cut in two is no great loss."""
        self._count -= text.count('"ok"')
        if self._todo is not None and self._count <= 0 and self._doing is None:
            self._doing = Deferred.fromCoroutine(self._todo())

    async def over(self) -> None:
        """Wait for what was begun."""
        if self._doing is not None:
            await self._doing


@dataclass
class _PairEnd:
    """How a block ended for one pair.

    :ivar failure: why it isn't known to have ended as it was ordered.
    """

    pair: Pair
    rows: list[SampleRow] = field(default_factory=list)
    end: Ended | None = None
    failure: ExchangeFailed | None = None

    @property
    def bytes(self) -> int:
        """The bytes of the exchanges that were ok."""
        if self.rows or self.end is None:
            return sum(row.bytes + row.reply_bytes for row in self.rows if row.outcome == Outcome.OK)
        return self.end.bytes

    @property
    def bytes_per_s(self) -> float | None:
        """The rate by the initiator's own clock."""
        return self.end.bytes * 1e9 / self.end.took_ns if self.end is not None and self.end.took_ns else None

    @property
    def dropped(self) -> int:
        """How many exchanges were dropped, or refused where no samples tell them apart."""
        if self.rows or self.end is None or self.end.ok is None:
            return sum(Outcome(row.outcome).is_drop for row in self.rows)
        return self.end.offered - self.end.ok


@dataclass
class _Answer:
    """What a peer answered to an order, as it came, and why no more did."""

    pieces: list[str] = field(default_factory=list)
    failure: ExchangeFailed | None = None


def _read(answer: _Answer) -> tuple[list[Told], ExchangeFailed | None]:
    """Read an answer; of one that makes no sense, what came before that is kept."""
    told: list[Told] = []
    try:
        for one in parse_lines("".join(answer.pieces)):
            told.append(one)  # noqa: PERF402 - what came before a bad line is kept
    except ExchangeFailed as failed:
        return told, answer.failure or failed
    return told, answer.failure


def _usual_gap(moments: Sequence[int]) -> int:
    """The lower quartile of the gaps between moments: what else a machine does makes some longer and none shorter."""
    gaps = sorted(later - earlier for earlier, later in pairwise(moments))
    return gaps[len(gaps) // 4]


def _measured(links: list[LinkRow], one: _PairEnd) -> None:
    """Add what the kernel said at the end to the row of the link."""
    if one.end is None:
        return
    for place, link in enumerate(links):
        if link.pair == one.pair.number:
            links[place] = replace(link, rtt_us=one.end.rtt_us, retransmits=one.end.retransmits)


def _name(message: Message, block: Block) -> str:
    return f"{message.condition}-{block.size}"


def _row(block: Block, pair: Pair, one: ExchangeTold, content: int) -> SampleRow:
    message = block.messages[one.cell]
    return SampleRow(
        block=block.number,
        arm=block.arm,
        condition=message.condition,
        size=block.size,
        pairs=block.pairs,
        load=str(block.load),
        pair=pair.number,
        direction=pair.direction,
        service=message.service,
        name=_name(message, block),
        bytes=one.bytes,
        reply_bytes=one.reply_bytes,
        planned_ns=one.planned_ns,
        first_byte_ns=one.first_byte_ns,
        end_ns=one.end_ns,
        outcome=Outcome(one.outcome).value,
        reason=one.reason,
        set=one.set + 1 if block.interleaved else None,
        label=message.label,
        content=content,
    )


def _account(block: Block, attempt: int, ends: Sequence[_PairEnd]) -> Iterator[BrokenRow]:
    """Tell where the messages of a block went that isn't whole; what isn't known to have been sent wasn't."""
    first = next(one for one in ends if one.failure is not None)
    assert first.failure is not None
    for one in ends:
        failure = one.failure or first.failure
        reason = str(failure) if one.failure else f"its block was broken off: {_missing(block, first, failure)}"
        for message in block.messages:
            rows = [row for row in one.rows if row.condition == message.condition]
            sent = Counter(row.outcome for row in rows)
            first_reasons = {row.outcome: row.reason for row in reversed(rows)}
            told = [("yes", outcome, count, first_reasons[outcome]) for outcome, count in sorted(sent.items())]
            if rest := block.exchanges - len(rows):
                told.append(("no", failure.outcome.value, rest, reason))
            for known, outcome, number, why in told:
                yield BrokenRow(
                    block=block.number,
                    attempt=attempt,
                    planned=block.offered,
                    arm=block.arm,
                    size=block.size,
                    pairs=block.pairs,
                    load=str(block.load),
                    repetition=block.repetition,
                    condition=message.condition,
                    pair=one.pair.number,
                    direction=one.pair.direction,
                    sent=known,
                    outcome=outcome,
                    count=number,
                    reason=why,
                )


def _missing(block: Block, one: _PairEnd, failure: ExchangeFailed) -> str:
    pair, whole = one.pair, block.offered // block.directions
    what = f"has {len(one.rows)} of {whole} exchanges" if one.rows else "has no exchanges"
    if len(one.rows) == whole:
        what = "isn't what it was"
    return f"pair {pair.number} ({pair.initiator} to {pair.receiver}) {what}: {failure.outcome}: {failure}"


def _senseless(peer: str) -> ExchangeFailed:
    return ExchangeFailed(Outcome.CORRUPT, f"{peer} answered an order with something else; is its p2p of this version?")
