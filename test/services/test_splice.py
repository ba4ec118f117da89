"""Connections joined with exchanges: order, half-close, backpressure, and what breaks one breaks the other."""

from __future__ import annotations

from p2p.base.errors import Outcome
from test.peer.programs import ProgramCase

MB = 1024 * 1024


class SpliceTests(ProgramCase):
    def test_both_ways(self) -> None:
        """What each program sends is what the other gets, in its order, and both ends are told."""
        asking = self.tunnelled()
        mine, theirs = self.here[0], self.there[0]
        mine.transport.write(b"select 1;")
        theirs.transport.write(b"ready")
        self.pair.network.settle()
        self.assertEqual((b"ready", b"select 1;"), (bytes(mine.data), bytes(theirs.data)))
        mine.transport.loseWriteConnection()
        self.pair.network.settle()
        self.assertEqual((True, ""), (theirs.half, theirs.gone))
        theirs.transport.write(b"1" * MB)
        self.pair.network.settle()
        self.assertEqual(MB + 5, len(mine.data))
        theirs.transport.loseWriteConnection()
        self.pair.network.settle()
        answer = self.successResultOf(asking)
        self.assertEqual({"peer": "m4.m", "sent": 9, "received": MB + 5}, answer)
        self.assertEqual(("ConnectionDone", "ConnectionDone"), (mine.gone, theirs.gone))
        self.assertEqual([("joined", {"peer": "m4.m"})], self.events)
        self.assert_closed()

    def test_other_end_first(self) -> None:
        """The other program may end first as well."""
        asking = self.tunnelled()
        self.there[0].transport.loseWriteConnection()
        self.pair.network.settle()
        self.assertTrue(self.here[0].half)
        self.here[0].transport.write(b"still here")
        self.here[0].transport.loseWriteConnection()
        self.pair.network.settle()
        self.assertEqual(b"still here", bytes(self.there[0].data))
        self.successResultOf(asking)
        self.assert_closed()

    def test_slow_reader(self) -> None:
        """A program that doesn't read holds up the one that sends, after a bounded number of bytes."""
        asking = self.tunnelled()
        mine, theirs = self.here[0], self.there[0]
        theirs.transport.pauseProducing()
        for _ in range(400):
            mine.transport.write(bytes(65536))
            self.pair.network.settle()
        self.assertGreater(mine.transport.unread, 15 * MB)
        theirs.transport.resumeProducing()
        self.pair.network.settle()
        self.assertEqual(400 * 65536, len(theirs.data))
        asking.cancel()
        self.failureResultOf(asking)

    def test_program_here_breaks(self) -> None:
        """A connection that is reset here is reset there, and that is no error of the tunnel."""
        asking = self.tunnelled()
        self.here[0].transport.abortConnection()
        self.pair.network.settle()
        self.assertEqual("m4.m", self.successResultOf(asking)["peer"])
        self.assertTrue(self.there[0].gone)
        self.assert_closed()

    def test_program_there_breaks(self) -> None:
        """A connection that is reset there is reset here, and said to be."""
        asking = self.tunnelled()
        self.there[0].transport.abortConnection()
        self.pair.network.settle()
        self.assertIn("broken it off", self.failed(asking, Outcome.RESET))
        self.assertTrue(self.here[0].gone)
        self.assert_closed()

    def test_breaks_after_half(self) -> None:
        """A connection there that is reset after it has ended its side is reset here, too."""
        asking = self.tunnelled()
        self.there[0].transport.loseWriteConnection()
        self.pair.network.settle()
        self.there[0].transport.abortConnection()
        self.pair.network.settle()
        self.failed(asking, Outcome.RESET)
        self.assertTrue(self.here[0].gone)
        self.assert_closed()

    def test_link_breaks(self) -> None:
        """A link that breaks ends both connections."""
        asking = self.tunnelled()
        self.pair.n1.links["m4.m"].abort("a cable was cut")
        self.pair.network.settle()
        self.failed(asking, Outcome.RESET)
        self.assertTrue(self.here[0].gone and self.there[0].gone)
        self.assertEqual([], self.m4.tunnels.joined)

    def test_cancelled(self) -> None:
        """A request that is cancelled closes both connections."""
        asking = self.tunnelled()
        asking.cancel()
        self.pair.network.settle()
        self.failureResultOf(asking)
        self.assertTrue(self.here[0].gone and self.there[0].gone)
        self.assert_closed()

    def test_stands_still(self) -> None:
        """A connection may stand still for hours."""
        asking = self.tunnelled()
        self.pair.network.advance(7200)
        self.here[0].transport.write(b"late")
        self.pair.network.settle()
        self.assertEqual(b"late", bytes(self.there[0].data))
        asking.cancel()
        self.failureResultOf(asking)
