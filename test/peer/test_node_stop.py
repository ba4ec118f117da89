"""A hosted peer that stops, or has lost its links without a word: nothing of it is left, and nobody waits in vain."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from p2p.base.errors import Outcome
from p2p.peer.node import HostedPeer
from test.peer.pair import LIMITS, M4, N1, NodeCase, Pair


class RestartTests(NodeCase):
    """A peer that has lost its links, and whose other end doesn't know yet."""

    def test_new_link_replaces_a_dead_one(self) -> None:
        """Whoever asks for a link has none: the new one replaces the old, whoever had asked for that."""
        for first in ("n1.n", "m4.m"):
            pair = self.make_pair()
            old = pair.run(pair.peers[first].link_to("m4.m" if first == "n1.n" else "n1.n"))[0]
            pair.network.advance(LIMITS.ticket_s + 1)
            pair.network.pull(N1, M4)  # the power of m4.m's machine fails, and it comes back at another address
            standing = pair.n1.links["m4.m"]
            again = pair.host("m4.m", "192.0.2.44")
            link, _ = pair.run(again.link_to("n1.n"))
            self.assertTrue(link.reusable)
            self.assertIsNot(standing, pair.n1.links["m4.m"])
            self.assertFalse(standing.reusable)
            pair.network.advance(20)
            self.assertTrue(link.reusable)
            self.assertEqual([pair.n1.links["m4.m"]], pair.n1.connections)
            old.abort("the test is over")
            pair.network.advance(100)


class StopTests(NodeCase):
    """The end of a peer."""

    def stopped(self, pair: Pair, peer: HostedPeer, seconds: float = 0) -> None:
        """Stop a peer, and see that nothing of it is left."""
        stopping = pair.start(peer.stop())
        pair.network.advance(seconds)
        self.successResultOf(stopping)
        self.assertEqual([], peer.connections)
        self.assertEqual((0, 0), (peer.pursuit.open_listeners, peer.pursuit.open_dials))
        self.assertEqual([key for key in pair.network.ports if key[0] == N1 and peer is pair.n1], [])

    def test_idle(self) -> None:
        """A peer without links stops at once."""
        pair = self.make_pair()
        pair.n1.start()
        self.stopped(pair, pair.n1)
        self.assertEqual({}, pair.leftovers())

    def test_links(self) -> None:
        """Links are closed politely, and the other peer goes on."""
        pair = self.make_pair()
        pair.link()
        self.stopped(pair, pair.n1)
        self.assertEqual({}, pair.leftovers())

    def test_exchanges(self) -> None:
        """A stop waits for the exchanges under way, but not longer than ``call_s``."""
        for ends in (True, False):
            pair = self.make_pair(call_s=10.0)
            link = pair.link()
            stream = link.open_stream()
            stream.write(b"\0")
            pair.network.settle()
            stopping = pair.start(pair.m4.stop())
            pair.network.advance(9)
            self.assertNoResult(stopping)
            if ends:
                stream.reset()
                pair.network.settle()
            else:
                pair.network.advance(1.1)
            self.successResultOf(stopping)
            self.assertEqual({}, pair.leftovers())

    def test_attempt(self) -> None:
        """Attempts are given up, those who wait are told, and so are those whose attempt had no turn yet."""
        pair = self.make_pair(attempts_in_flight=1)
        pair.routers.before = lambda initiator, target: Deferred()
        waiting = [pair.start(pair.n1.link_to(name)) for name in ("m4.m", "m5.m")]
        self.stopped(pair, pair.n1)
        for one in waiting:
            self.failed(one, Outcome.RESET)
        self.failed(pair.start(pair.n1.link_to("m4.m")), Outcome.RESET)
        self.assertEqual({}, pair.leftovers())

    def test_dial(self) -> None:
        """Dials are given up in every phase, and those who wait for their links are told."""
        for phase in ("connecting", "handshake"):
            pair = self.make_pair()
            pair.routers.before = lambda initiator, target: None
            if phase == "connecting":
                pair.network.pull(N1, M4)
            asking = Deferred.fromCoroutine(pair.n1.link_to("m4.m"))
            while phase == "handshake" and not pair.m4.connections:
                pair.network.step()
            self.assertEqual(1, pair.m4.pursuit.open_dials)
            waiting = Deferred.fromCoroutine(pair.m4.link_to("n1.n"))
            self.stopped(pair, pair.m4)
            self.failed(waiting, Outcome.RESET)
            pair.network.advance(31)
            self.failed(asking, Outcome.CONNECT_FAILED)
            self.assertEqual({}, pair.leftovers())

    def test_instruction(self) -> None:
        """A peer that stops takes no instruction any more."""
        pair = self.make_pair()
        self.stopped(pair, pair.m4)
        self.assertIn("it is stopping", self.failed(pair.start(pair.n1.link_to("m4.m")), Outcome.REFUSED))

    def test_link_while_stopping(self) -> None:
        """A link that comes to stand at one end while the other stops is closed, and both ends know."""
        pair = self.make_pair()
        blocking = pair.link()
        stream = blocking.open_stream()
        stream.write(b"\0")
        pair.network.settle()
        x = pair.host("x0.m", "192.0.2.100")
        asking = Deferred.fromCoroutine(pair.n1.link_to("x0.m"))
        while not x.connections:
            pair.network.step()
        stopping = Deferred.fromCoroutine(x.stop())
        pair.network.advance(31)
        self.successResultOf(stopping)
        self.failed(asking, Outcome.CONNECT_FAILED)
        self.assertEqual([], x.connections)
        stream.reset()
        self.assert_nothing_left(pair)
