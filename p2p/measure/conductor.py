"""One block of an experiment, as its coordinator has it run: orders go out to the pairs, samples come home.

The coordinator is a peer with a daemon like any other. What it says to the others are exchanges with the service
``experiment`` over its direct links; no time that is measured comes from it, but the span of a block.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.client import Client, ExchangeArguments
from p2p.experiment.words import (
    SERVICE,
    BlockOrder,
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
from p2p.measure.blocks import Block
from p2p.measure.gather import together
from p2p.measure.raw_data import BlockRow, LinkRow, SampleRow

__all__ = ["BlockDone", "Conductor", "Pair"]


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


@dataclass
class BlockDone:
    """What came of a block.

    :ivar row: None if no pair could take part.
    :ivar missing: what isn't there and why, a sentence for each pair.
    :ivar outcomes: how many exchanges ended so.
    """

    row: BlockRow | None = None
    samples: list[SampleRow] = field(default_factory=list)
    links: list[LinkRow] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)


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

    async def block(self, block: Block) -> BlockDone:
        """Have one block run; pairs that can't take part or die are left out and told.

        :raises P2PError: if the coordinator's own daemon fails.
        """
        done = BlockDone()
        pairs = self._pairs[: block.pairs]
        ready = [
            pair for pair in await together(self._prepare(block, pair, done) for pair in pairs) if pair is not None
        ]
        if not ready:
            return done
        started_ns = self._now_ns()
        answers = await together(
            self._order(pair.initiator, RunOrder(block=self._block_order(block, pair))) for pair in ready
        )
        ended_ns = self._now_ns()  # what came is read after it, so that nobody's exchanges wait for that
        ended = [self._ended(block, pair, done, answer) for pair, answer in zip(ready, answers, strict=True)]
        if not any(one.offered for one in ended):
            return done
        rates = [one.bytes_per_s for one in ended if one.bytes_per_s is not None]
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
            offered=sum(one.offered for one in ended),
            sampling="on" if block.sampling else "off",
            bytes=sum(one.bytes for one in ended),
            bytes_per_s=sum(rates) if len(rates) == len(pairs) else None,
        )
        return done

    async def gauge(self, peer: str) -> GaugeTold:
        """What the daemon of a peer holds now.

        :raises ExchangeFailed: if it doesn't tell.
        """
        told, failure = _read(await self._order(peer, GaugeOrder()))
        for one in told:
            if isinstance(one, GaugeTold):
                return one
        raise failure or _senseless(peer)

    async def _prepare(self, block: Block, pair: Pair, done: BlockDone) -> Pair | None:
        told, failure = _read(await self._order(pair.initiator, PrepareOrder(block=self._block_order(block, pair))))
        for one in told:
            if isinstance(one, LinkTold) and failure is None:
                if block.sampling:
                    done.links.append(LinkRow(block.number, pair.number, pair.initiator, **one.model_dump()))
                return pair
        done.missing.append(_missing(pair, failure or _senseless(pair.initiator), "has no exchanges"))
        return None

    def _ended(self, block: Block, pair: Pair, done: BlockDone, answer: _Answer) -> _PairEnded:
        """Keep one pair's exchanges."""
        told, failure = _read(answer)
        samples = [one for one in told if isinstance(one, ExchangeTold)]
        try:
            rows = [_row(block, pair, sample) for sample in samples]
        except ValueError:
            rows, failure = [], _senseless(pair.initiator)
        end = next((one for one in told if isinstance(one, Ended)), None)
        offered = len(rows) if block.sampling or end is None else end.offered
        if failure is not None or end is None or offered != block.exchanges:
            what = f"has {offered} of {block.exchanges} exchanges"
            done.missing.append(_missing(pair, failure or _senseless(pair.initiator), what))
        done.samples += rows
        for row in rows:
            done.outcomes[row.outcome] = done.outcomes.get(row.outcome, 0) + 1
        if end is not None:
            self._measured(done, pair, end)
        rate = None if end is None or not end.took_ns else end.bytes * 1e9 / end.took_ns
        if not block.sampling:
            return _PairEnded(offered, 0 if end is None else end.bytes, rate)
        return _PairEnded(offered, sum(row.bytes + row.reply_bytes for row in rows if row.outcome == Outcome.OK), rate)

    def _measured(self, done: BlockDone, pair: Pair, end: Ended) -> None:
        """Add what the kernel said at the end to the row of the link."""
        for place, link in enumerate(done.links):
            if link.pair == pair.number:
                known = {name: getattr(link, name) for name in LinkRow.__slots__}
                done.links[place] = LinkRow(**{**known, "rtt_us": end.rtt_us, "retransmits": end.retransmits})

    def _block_order(self, block: Block, pair: Pair) -> BlockOrder:
        rate = block.load.rate
        return BlockOrder(
            partner=pair.receiver,
            service=block.service,
            content=block.content,
            label=block.label,
            name=block.file_name,
            size=block.size,
            seed=self._seed,
            exchanges=block.exchanges,
            warm_up=block.warm_up,
            rate=rate,
            # The pairs take turns, so that an even load is even between them too.
            offset_s=0.0 if rate is None else (pair.number - 1) / block.pairs / rate,
            sampling=block.sampling,
            deadline_s=30 + 20 * block.seconds,
        )

    async def _order(self, peer: str, order: Order) -> _Answer:
        """Give an order, and return what came."""
        answer = _Answer()

        def on_event(event: Any) -> None:
            if event["event"] == "text":
                answer.pieces.append(str(event.get("text", "")))

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


@dataclass(frozen=True, slots=True)
class _PairEnded:
    """How many exchanges of a pair are known, the bytes of those that were ok, and their rate by its own clock."""

    offered: int
    bytes: int
    bytes_per_s: float | None


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


def _row(block: Block, pair: Pair, one: ExchangeTold) -> SampleRow:
    return SampleRow(
        block=block.number,
        arm=block.arm,
        condition=block.condition,
        size=block.size,
        pairs=block.pairs,
        load=str(block.load),
        pair=pair.number,
        direction=pair.direction,
        service=block.service,
        name=block.file_name,
        bytes=one.bytes,
        reply_bytes=one.reply_bytes,
        planned_ns=one.planned_ns,
        first_byte_ns=one.first_byte_ns,
        end_ns=one.end_ns,
        outcome=Outcome(one.outcome).value,
        reason=one.reason,
    )


def _missing(pair: Pair, failure: ExchangeFailed, what: str) -> str:
    return f"pair {pair.number} ({pair.initiator} to {pair.receiver}) {what}: {failure.outcome}: {failure}"


def _senseless(peer: str) -> ExchangeFailed:
    return ExchangeFailed(Outcome.CORRUPT, f"{peer} answered an order with something else; is its p2p of this version?")
