"""Whole runs in an in-memory network: real exchanges of real peers, with a service that a test has made slower.

Everything is the real thing, from the plan to the verdict, but for the network, the time, and the routers.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from zope.interface import implementer

from p2p.exchange.exchange import MessageWriter, Request
from p2p.exchange.service import Context, IContentService
from p2p.experiment.service import Contents, ExperimentService
from p2p.link.boxes import Box
from p2p.measure import experiment
from p2p.measure.analysis import analyse
from p2p.measure.block_figures import frames
from p2p.measure.conductor import Conductor
from p2p.measure.conductor import Pair as Talkers
from p2p.measure.experiment import RunResult, run_experiment
from p2p.measure.gauges import LocalGauges
from p2p.measure.raw_reader import RawRun, read_run
from p2p.measure.results import Analysis, to_json
from p2p.measure.running_lab import ExperimentLab
from p2p.services.echo import EchoSink
from p2p.services.store import BytesSource
from test.exchange.doubles import Gatherer
from test.measure.test_experiment import Listening
from test.peer.pair import NodeCase, at_once

PLAN: Final = """\
title: Planted
seed: 5
arms:
  one: {service: slow, types: [text, video, text-as-video], sizes: [4KiB], pairs: [1]}
exchanges: 3
warm_up: 1
repetitions: 6
"""

HOUR_NS: Final = 3600 * 10**9


class SlowSink(EchoSink):
    """Answers after a time that depends on what came."""

    def __init__(self, reply: MessageWriter, context: Context, service: Slow) -> None:
        super().__init__(reply)
        self._context = context
        self._service = service
        self._is_video = False

    def write(self, data: bytes | memoryview) -> None:
        self._is_video = self._is_video or bytes(data[4:8]) == b"ftyp"

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        await deferLater(self._context.clock, self._service.seconds(video=self._is_video))
        return {}


@implementer(IContentService)
class Slow:
    """Takes 10 ms with a little noise, and for video so many times that."""

    name = "slow"

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._random = random.Random(1)

    def seconds(self, *, video: bool) -> float:
        return 0.01 * self._random.lognormvariate(0, 0.02) * (self._factor if video else 1.0)

    def receive(self, request: Request, reply: MessageWriter, context: Context) -> SlowSink:
        return SlowSink(reply, context, self)


class InMemoryClient:
    """The coordinator's daemon, as far as a conductor needs it."""

    def __init__(self, test: PlantedCase) -> None:
        self._peer = test.coordinator

    async def request(
        self, op: str, fields: Mapping[str, Any], *, on_event: Callable[[Mapping[str, Any]], None], **more: Any
    ) -> dict[str, Any]:
        sink = Gatherer()
        source = BytesSource(fields["text"].encode())
        await self._peer.exchange(fields["peer"], Request(fields["service"]), source, lambda: sink, planned_ns=0)
        on_event({"event": "text", "text": bytes(sink.data).decode()})
        return {}


class PlantedCase(NodeCase):
    """n1.n asks, m4.m has the service ``slow``, and a coordinator gives the orders."""

    def whole_run(self, factor: float, *, shift_ns: int = 0) -> RawRun:
        """Run the plan; the clocks of m4.m and of the coordinator are so much ahead of n1.n's."""
        pair = self.make_pair(plain=(True, True))
        pair.network.advance(1)  # so that no time is 0
        self.coordinator = pair.host("coordinator.n", "192.0.2.3", plain=True)
        orders = ExperimentService(
            pair.peers, ["coordinator.n"], Contents(Path(self.mktemp()), at_once), pair.network, self.now_ns
        )
        for peer, service in ((pair.n1, orders), (pair.m4, Slow(factor))):
            peer._around = replace(peer._around, services=peer._around.services.joined_by(service))
        self.shift_ns = shift_ns
        pair.m4._around = replace(pair.m4._around, now_ns=self.shifted_ns)
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "plan.yaml").write_text(PLAN)
        ended: list[Any] = []
        running = run_experiment(pair.network, folder / "plan.yaml", folder / "run", self.lab, Listening())
        Deferred.fromCoroutine(running).addBoth(ended.append)
        while not ended:
            pair.network.settle()
            pair.network.advance(0.0005)
        assert isinstance(ended[0], RunResult), ended[0]
        return read_run(folder / "run")

    def now_ns(self) -> int:
        return int(self.pair.network.seconds() * 1e9)

    def shifted_ns(self) -> int:
        return self.now_ns() + self.shift_ns

    @asynccontextmanager
    async def lab(
        self, reactor: Any, pairs: int, seed: int, progress: Callable[[str], None]
    ) -> AsyncIterator[ExperimentLab]:
        """The lab is there already."""
        client: Any = InMemoryClient(self)
        yield ExperimentLab(
            Conductor(client, "coordinator.n", [Talkers(1, "n1.n", "m4.m")], seed, self.shifted_ns),
            LocalGauges(dict),
            [],
        )

    def setUp(self) -> None:
        self.patch(experiment, "lookup_times", list)


def analysed(run: RawRun) -> Analysis:
    return analyse(frames(run), seed=run.facts.seed, resamples=50)


class PlantedTests(PlantedCase):
    def test_slower_for_video(self) -> None:
        """A service made 20 % slower for video is found, and the same bytes under another label are equivalent."""
        run = self.whole_run(1.2)
        self.assertEqual((run.notes, set(run.samples["outcome"])), ((), {"ok"}))
        (arm,) = analysed(run).arms
        self.assertEqual(arm.verdict.outcome, "differs", arm.verdict.farthest)
        self.assertApproximates(arm.verdict.comparisons[0].levels[0].ratio, 1.2, 0.02)
        self.assertEqual(arm.labels[0].outcome, "equivalent", arm.labels[0].farthest)

    def test_nothing_planted(self) -> None:
        """Where the service makes no difference there is none, and clocks that are an hour apart change no byte."""
        runs = [self.whole_run(1.0, shift_ns=shift) for shift in (0, HOUR_NS)]
        results = [analysed(run) for run in runs]
        (arm,) = results[0].arms
        self.assertEqual(arm.verdict.outcome, "equivalent", arm.verdict.farthest)
        self.assertEqual(runs[1].blocks["started_ns"][0] - runs[0].blocks["started_ns"][0], HOUR_NS)
        self.assertEqual(to_json(results[0]), to_json(results[1]))
