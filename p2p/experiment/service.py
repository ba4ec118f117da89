"""The service ``experiment``: a peer does what a coordinator orders, if its configuration grants that.

An order is small and stands alone, so nothing is left behind by a coordinator that dies: with its exchange, what it
ordered ends.
"""

from __future__ import annotations

import os
import platform
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from zope.interface import implementer

from p2p.base.errors import ExchangeFailed, LocalFileError, Outcome, P2PError
from p2p.base.waiters import Waiters
from p2p.exchange.exchange import ReplyWriter, Request
from p2p.exchange.request import BaseSink
from p2p.exchange.service import Context, IContentService, Threads
from p2p.experiment.block_run import BlockRun, Material
from p2p.experiment.gauge import read_gauge
from p2p.experiment.made_files import MadeFiles
from p2p.experiment.making import Content
from p2p.experiment.words import (
    ORDER_BYTES,
    SERVICE,
    BlockOrder,
    ExchangeTold,
    GaugeTold,
    LinkTold,
    Order,
    PrepareOrder,
    RunOrder,
    encode_line,
    encode_samples,
    parse_order,
)
from p2p.link.boxes import Box
from p2p.link.protocol import DirectLink
from p2p.peer.moments import Setup
from p2p.peer.node import HostedPeer

__all__ = ["Contents", "ExperimentService", "link_told"]

ORDERS: Final = 4
"""Orders that a peer carries out at once: one of a block, and those for gauges."""

TELL_S: Final = 1.0
"""Seconds from one line of a reply to the next, also where there is nothing to tell."""

HOLD_S: Final = 0.03
"""Seconds for which samples are held back when a block has ended here. Without that, sampling costs 2 to 3 % of the
throughput of short blocks, since one daemon told what the exchanges of the other still ran beside."""

KEPT_BYTES: Final = 128 * 1024 * 1024
"""Bytes of content that stay in memory; what was used last stays longest."""


class Contents:
    """The contents that are sent, made once into a folder and kept in memory for the next block.

    :param threads: runs what blocks.
    """

    def __init__(self, folder: Path, threads: Threads) -> None:
        self._folder = folder
        self._threads = threads
        self._kept: OrderedDict[tuple[Content, int, int], Material] = OrderedDict()
        self._waiting: dict[tuple[Content, int, int], Waiters[Material]] = {}

    async def get(self, content: Content, size: int, seed: int) -> Material:
        """One content.

        :raises P2PError: if it can't be made here.
        """
        key = (content, size, seed)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        making = self._waiting.get(key)
        if making is not None:
            return await making.wait()
        made = self._waiting.setdefault(key, Waiters()).wait()
        self._threads(self._make, *key).addBoth(self._made, key)
        return await made

    def _make(self, content: Content, size: int, seed: int) -> Material:
        path = MadeFiles(self._folder, seed).get(content, size)
        try:
            return Material.of(path.read_bytes())
        except OSError as error:
            raise LocalFileError(f"{path}: {error.strerror}") from error

    def _made(self, result: Any, key: tuple[Content, int, int]) -> None:
        waiting = self._waiting.pop(key)
        if not isinstance(result, Material):
            waiting.fail(result)
            return
        self._kept[key] = result
        while len(self._kept) > 1 and sum(size for _, size, _ in self._kept) > KEPT_BYTES:
            self._kept.popitem(last=False)
        waiting.fire(result)


@implementer(IContentService)
class ExperimentService:
    """Carries out the orders of those who are granted it.

    :param peers: the hosted peers by name; they may be filled in later.
    :param granted: the names of those who may give orders.
    :param now_ns: reads the monotonic clock.
    :param life: tells this start of the daemon from every other.
    """

    name = SERVICE

    _log = Logger()

    def __init__(
        self,
        peers: Mapping[str, HostedPeer],
        granted: Collection[str],
        contents: Contents,
        clock: IReactorTime,
        now_ns: Callable[[], int],
        life: str = "",
    ) -> None:
        self._peers = peers
        self._granted = frozenset(granted)
        self._contents = contents
        self._clock = clock
        self._now_ns = now_ns
        self._life = life
        self._busy: dict[str, int] = {}
        self._blocks = 0  # whose exchanges are under way
        self._quiet: Waiters[None] = Waiters()

    def receive(self, request: Request, reply: ReplyWriter, context: Context) -> _Orders:
        """Take an order."""
        if request.sender not in self._granted:
            raise ExchangeFailed(
                Outcome.REFUSED,
                f"{context.peer} runs no experiments for {request.sender}; its YAML file has to say so: "
                f"experiment: [{request.sender}]",
            )
        if self._busy.get(context.peer, 0) >= ORDERS:
            raise ExchangeFailed(Outcome.REFUSED, f"{context.peer} carries out {ORDERS} orders already")
        return _Orders(self, self._peers[context.peer], reply, self._clock)

    async def carry_out(self, order: Order, peer: HostedPeer, out: _Lines) -> None:
        """Do what an order says and write the answer.

        :raises ExchangeFailed: if it can't be done.
        """
        self._busy[peer.name] = self._busy.get(peer.name, 0) + 1
        try:
            if isinstance(order, PrepareOrder):
                out.write(encode_line(await self._prepare(order, peer)))
            elif isinstance(order, RunOrder):
                await self._run(order.block, peer, out)
            else:
                out.write(encode_line(_own_gauge(self._life)))
        finally:
            self._busy[peer.name] -= 1

    async def _prepare(self, order: PrepareOrder, peer: HostedPeer) -> LinkTold:
        block = order.block
        await self._materials(block, peer)
        peer.disconnect(block.partner)
        if not order.link:
            return LinkTold()
        try:
            link, setup = await peer.link_to(block.partner)
        except ExchangeFailed as failure:
            raise ExchangeFailed(failure.outcome, f"{peer.name} can't reach {block.partner}: {failure}") from failure
        await setup.when_answered()
        return link_told(link, setup)

    async def _run(self, block: BlockOrder, peer: HostedPeer, out: _Lines) -> None:
        materials = await self._materials(block, peer)
        self._blocks += 1
        try:
            ended = await BlockRun(peer, block, materials, self._clock, self._now_ns, out.sample).run()
        finally:
            self._blocks -= 1
            if not self._blocks:
                self._quiet.fire(None)
        link = peer.links.get(block.partner)
        info = None if link is None else link.tcp_info()
        if info is not None:
            ended = ended.model_copy(update={"rtt_us": info.rtt_us, "retransmits": info.retransmits})
        # Telling would slow the exchanges of others down, and they are being measured: those of this daemon until all
        # have ended, and those of other daemons, which may end a little later.
        while self._blocks:
            await self._quiet.wait()
        await deferLater(self._clock, HOLD_S)
        out.flush()
        out.write(encode_line(ended))
        if not block.stays:
            peer.disconnect(block.partner)  # the next block has a fresh link, with everything that setting it up costs

    async def _materials(self, block: BlockOrder, peer: HostedPeer) -> list[list[Material]]:
        return [
            [await self._material(one.content, block.size, seed, peer) for seed in block.contents]
            for one in block.messages
        ]

    async def _material(self, content: Content, size: int, seed: int, peer: HostedPeer) -> Material:
        try:
            return await self._contents.get(content, size, seed)
        except ExchangeFailed:
            raise
        except P2PError as error:
            reason = f"{peer.name} can't make {size} bytes of {content}: {error}"
            raise ExchangeFailed(Outcome.REFUSED, reason) from error


class _Lines:
    """Writes the lines of a reply: samples are gathered, and an empty line says that there are none."""

    def __init__(self, reply: ReplyWriter) -> None:
        self._reply = reply
        self._samples: list[ExchangeTold] = []

    def sample(self, one: ExchangeTold) -> None:
        """Keep a sample for the next line."""
        self._samples.append(one)

    def write(self, line: bytes) -> None:
        """Write a line now."""
        self._reply.write(line)

    def flush(self) -> None:
        """Write what was gathered."""
        if self._samples:
            samples, self._samples = self._samples, []
            self._reply.write(encode_samples(samples))

    def tick(self) -> None:
        """Write what was gathered, or that there is nothing yet."""
        if self._samples:
            self.flush()
        else:
            self._reply.write(b"\n")


class _Orders(BaseSink):
    """The body of a request: one order."""

    def __init__(self, service: ExperimentService, peer: HostedPeer, reply: ReplyWriter, clock: IReactorTime) -> None:
        self._service = service
        self._peer = peer
        self._lines = _Lines(reply)
        self._body = bytearray()
        self._work: Deferred[None] | None = None
        self._ticking = LoopingCall(self._lines.tick)
        self._ticking.clock = clock

    def write(self, data: bytes | memoryview) -> None:
        """Gather."""
        if len(self._body) + len(data) > ORDER_BYTES:
            raise ExchangeFailed(Outcome.REFUSED, f"an order has at most {ORDER_BYTES} bytes")
        self._body += data

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Carry it out, telling every second that it is under way."""
        order = parse_order(bytes(self._body))
        ticking = self._ticking.start(TELL_S, now=False)
        self._work = Deferred.fromCoroutine(self._service.carry_out(order, self._peer, self._lines))
        try:
            await self._work
        except CancelledError:
            raise ExchangeFailed(Outcome.RESET, "the order was taken back") from None
        finally:
            if self._ticking.running:
                self._ticking.stop()
            await ticking
        return {}

    def abandon(self) -> None:
        """The coordinator is gone, or wants no more of it."""
        if self._work is not None:
            self._work.cancel()


def link_told(link: DirectLink, setup: Setup) -> LinkTold:
    """Say how a link came to be: the legs of its set-up, ns; None where this peer didn't see one."""
    moments, steps = setup.moments, link.steps
    if setup.reused or moments is None or not moments.answered_ns:
        return LinkTold(setup_ns=setup.setup_ns or None)
    secured_ns = steps.secured_ns or steps.connected_ns
    return LinkTold(
        setup_ns=setup.setup_ns,
        table_lookup_ns=setup.table_lookup_ns,
        router_lookup_ns=setup.router_lookup_ns or None,
        listen_ns=moments.bound_ns - moments.began_ns,
        instruct_ns=moments.answered_ns - moments.bound_ns,
        dial_ns=max(steps.connected_ns - moments.answered_ns, 0),
        tls_ns=secured_ns - steps.connected_ns if steps.secured_ns else None,
        ticket_ns=steps.proved_ns - secured_ns,
    )


def _own_gauge(life: str) -> GaugeTold:
    gauge = read_gauge(os.getpid())
    machine = platform.node()
    if gauge is None:
        raise ExchangeFailed(Outcome.REFUSED, f"nobody can tell what process {os.getpid()} of {machine} holds")
    return GaugeTold(
        daemon=f"{machine}-{os.getpid()}",
        machine=machine,
        t_ns=gauge.t_ns,
        sockets=gauge.sockets,
        cpu_s=gauge.cpu_s,
        rss_bytes=gauge.rss_bytes,
        life=life,
    )
