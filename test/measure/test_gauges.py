"""What daemons hold over time."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.experiment.words import GaugeOrder
from p2p.measure.conductor import Conductor
from p2p.measure.gauges import Gauges, LabGauges, LocalGauges
from p2p.measure.raw_data import DaemonRow
from test.measure.test_conductor import PAIRS, StandInClient


class GaugesTests(SynchronousTestCase):
    """Those of this machine, those of a lab, and the loop around them."""

    def test_local(self) -> None:
        """Processes that are there are read, under their names and roles."""
        reader = LocalGauges(lambda: {"peers-n": ("peer", os.getpid()), "gone": ("router", 2**30)})
        (row,) = self.successResultOf(Deferred.fromCoroutine(reader.read()))
        self.assertEqual((row.daemon, row.role), ("peers-n", "peer"))
        self.assertGreater(row.rss_bytes, 0)

    def test_lab(self) -> None:
        """Peers are asked, and those that are gone are left out."""
        client = StandInClient()
        client.changed["m1.m", GaugeOrder] = ExchangeFailed(Outcome.UNKNOWN_PEER, "gone")
        conductor = Conductor(client, "coordinator.n", PAIRS, 7)  # type: ignore[arg-type]  # stands in
        rows = self.successResultOf(Deferred.fromCoroutine(LabGauges(conductor, ["n1.n", "m1.m"]).read()))
        self.assertEqual(rows, [DaemonRow(5, "d", "peer", 6, 0.5, 7)])

    def test_each_second(self) -> None:
        """They are read at once and each second, not while paused, and not after the stop; a fault is logged."""
        clock, rows, row = Clock(), list[DaemonRow](), DaemonRow(5, "d", "peer", 6, 0.5, 7)

        class Reader:
            failing = False

            async def read(self) -> list[DaemonRow]:
                if self.failing:
                    raise OSError("no")
                await succeed(None)
                return [row]

        reader = Reader()
        gauges = Gauges(clock, reader, rows.append)
        gauges.start()
        clock.pump([0.5] * 4)
        self.assertEqual(len(rows), 3)
        gauges.paused = True
        clock.advance(1)
        self.assertEqual(len(rows), 3)
        gauges.paused = False
        gauges.stop()
        clock.advance(5)
        self.assertEqual(len(rows), 3)
        self.assertEqual(clock.getDelayedCalls(), [])
        reader.failing = True
        with capturedLogs() as events:
            gauges.start()
        self.assertEqual(len(events), 1)
        self.flushLoggedErrors(OSError)
        gauges.stop()
