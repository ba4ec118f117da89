"""The service ``pipe``: who comes is joined with who listens."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.base.errors import ExchangeFailed, InvalidRequest, Outcome
from p2p.exchange.exchange import Request
from p2p.exchange.service import IContentService, Services
from p2p.services.pipe import WAIT_S, WAITING, pipe
from test.exchange.doubles import Written, make_reply
from test.peer.programs import ProgramCase


class PluginTests(SynchronousTestCase):
    def test_plugin(self) -> None:
        """It is installed under its name."""
        verifyObject(IContentService, pipe)
        self.assertIn("pipe", Services.installed().names)


class PipeTests(ProgramCase):
    def joined(self, listening: Deferred[object], piping: Deferred[object]) -> None:
        """Both are joined: bytes go both ways, to the end of each."""
        self.assertEqual({"peer": "n1.n"}, dict(self.events)["joined"] if len(self.events) == 1 else self.events[-1][1])
        one, other = self.here
        one.transport.write(b"one")
        other.transport.write(b"other")
        for program in self.here:
            program.transport.loseWriteConnection()
        self.pair.network.settle()
        self.assertEqual({b"one", b"other"}, {bytes(program.data) for program in self.here})
        self.successResultOf(listening)
        self.successResultOf(piping)
        self.assert_closed()

    def test_listener_first(self) -> None:
        """Whoever listens waits for as long as it takes, and is told who came."""
        listening = self.begin("pipe-listen", "m4.m", **{"from": ["*.n"]})
        self.pair.network.advance(3600)
        piping = self.begin("pipe", peer="m4.m")
        self.assertIn(("joined", {"peer": "n1.n"}), self.events)
        self.events = [("joined", {"peer": "n1.n"})]
        self.joined(listening, piping)

    def test_visitor_first(self) -> None:
        """Who comes first waits for somebody to listen."""
        piping = self.begin("pipe", peer="m4.m")
        self.assertEqual(["n1.n"], self.m4.pipes.waiting)
        self.pair.network.advance(WAIT_S - 1)
        listening = self.begin("pipe-listen", "m4.m")
        self.events = [("joined", {"peer": "n1.n"})]
        self.joined(listening, piping)

    def test_nobody_listens(self) -> None:
        """Who waits in vain is told what to do there."""
        listening = self.begin("pipe-listen", "m4.m", **{"from": "m2.m"})
        piping = self.begin("pipe", peer="m4.m")
        self.pair.network.advance(WAIT_S + 1)
        self.assertIn("p2p pipe --listen", self.failed(piping, Outcome.REFUSED))
        self.assertEqual([], self.m4.pipes.waiting)
        listening.cancel()
        self.failureResultOf(listening, CancelledError)
        self.assert_closed()

    def test_visitor_leaves(self) -> None:
        """Who has left isn't joined any more."""
        piping = self.begin("pipe", peer="m4.m")
        piping.cancel()
        self.pair.network.settle()
        self.failureResultOf(piping)
        self.assertEqual([], self.m4.pipes.waiting)
        listening = self.begin("pipe-listen", "m4.m")
        self.assertNoResult(listening)
        listening.cancel()
        self.failureResultOf(listening, CancelledError)

    def test_numbers(self) -> None:
        """No more than a number of programs listen, or of peers wait, at one peer."""
        room = self.m4.pipes
        listening = [room.listen(["m2.m"]) for _ in range(WAITING)]
        self.assertRaises(InvalidRequest, room.listen, ["*"])
        for one in listening:
            one.cancel()
            self.failureResultOf(one, CancelledError)
        for _ in range(WAITING):
            room.come(Request("pipe", sender="m2.m"), make_reply(Written()))
        with self.assertRaises(ExchangeFailed):
            room.come(Request("pipe", sender="m2.m"), make_reply(Written()))
        room.close()
        self.assertEqual([], room.waiting)
