"""The service ``tunnel``: what is open to whom, how a program is dialled, and what is refused before that."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2p.base.errors import Outcome
from p2p.exchange.service import IContentService, Services
from p2p.services.tunnel import ALL, DIAL_S, EACH, tunnel
from test.peer.programs import ProgramCase


class PluginTests(SynchronousTestCase):
    def test_plugin(self) -> None:
        """It is installed under its name."""
        verifyObject(IContentService, tunnel)
        self.assertIn("tunnel", Services.installed().names)


class TunnelTests(ProgramCase):
    def test_not_open(self) -> None:
        """A port that isn't open to this peer is refused by its number, and nothing is dialled."""
        self.listen(80)
        self.listen(23)
        for port in (80, 23):
            asking = self.begin("tunnel", peer="m4.m", port=port)
            self.assertIn(f"doesn't open port {port} to n1.n", self.failed(asking, Outcome.REFUSED))
            self.assertIn(f"port {port}", self.failed(self.ask("tunnel", peer="m4.m", port=port), Outcome.REFUSED))
        self.assertEqual(([], []), (self.there, self.here))
        self.assert_closed()

    def test_asked(self) -> None:
        """Whether a port is open, and where it leads, is told without a dial: the first that is open to who asks."""
        self.listen()
        told = self.successResultOf(self.ask("tunnel", peer="m4.m", port=22))
        self.assertEqual({"peer": "m4.m", "to": "127.0.0.1:22"}, told)
        self.assertEqual([], self.there)

    def test_asked_with_a_body(self) -> None:
        """A question with a body is none."""
        duplex, end = self.by_hand(port="22", dial="no")
        duplex.write(b"x")
        self.pair.network.settle()
        self.assertEqual(["corrupt: a question has no body"], end.ends)

    def test_rubbish(self) -> None:
        """A head without a port, or with another text in its place, is refused."""
        for port in (b"", b"022", b"\xff", b"22 "):
            _, end = self.by_hand(port=port)
            self.assertIn("doesn't open port", end.ends[0])

    def test_nobody_there(self) -> None:
        """That no program listens is told as such, with the place."""
        asking = self.begin("tunnel", peer="m4.m", port=22)
        self.assertIn("ECONNREFUSED at m4.m's 127.0.0.1:22", self.failed(asking, Outcome.REFUSED))
        self.assert_closed()

    def test_silent(self) -> None:
        """A program that doesn't take the connection in time is given up, and that is told."""
        self.pair.network.wall("127.0.0.1")
        asking = self.begin("tunnel", peer="m4.m", port=22)
        self.pair.network.advance(DIAL_S + 1)
        self.assertIn("didn't take a connection", self.failed(asking, Outcome.TIMEOUT))
        self.assert_closed()

    def test_cancelled_while_dialling(self) -> None:
        """Who leaves while the program is dialled leaves no dial behind."""
        self.pair.network.wall("127.0.0.1")
        asking = self.begin("tunnel", peer="m4.m", port=22)
        self.assertEqual([("n1.n", "127.0.0.1:22")], self.m4.tunnels.joined)
        asking.cancel()
        self.pair.network.settle()
        self.failureResultOf(asking)
        self.assertEqual([], self.m4.tunnels.joined)
        self.assert_closed()

    def test_early(self) -> None:
        """What is sent before the program is there ends the exchange, be it bytes or the end."""
        self.listen()
        self.pair.network.wall("127.0.0.1")
        for early in ("write", "finish"):
            duplex, end = self.by_hand(port="22")
            if early == "write":
                duplex.write(b"too early")
            else:
                duplex.finish()
            self.pair.network.settle()
            self.assertEqual(["corrupt: it sends before both ends are there"], end.ends)
        self.assert_closed()

    def test_numbers(self) -> None:
        """No peer has more connections than its limit, nor do all together."""
        self.assertLess(EACH, ALL)
        self.listen()
        begun = [self.by_hand(port="22") for _ in range(EACH + 1)]
        self.assertEqual([[]] * EACH, [end.ends for _, end in begun[:EACH]])
        self.assertIn(f"has {EACH} connections of n1.n", begun[EACH][1].ends[0])
        for duplex, _ in begun:
            duplex.abort()
        self.assert_closed()
        self.assertEqual(EACH, len([one for one in self.there if one.gone]))

    def test_stop(self) -> None:
        """A peer that stops ends the connections at once, with the reason."""
        asking = self.tunnelled()
        stopping = self.pair.start(self.m4.stop())
        self.pair.network.settle()
        self.assertIn("m4.m is stopping", self.failed(asking, Outcome.RESET))
        self.successResultOf(stopping)
        self.assertTrue(self.there[0].gone and self.here[0].gone)
