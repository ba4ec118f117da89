"""Two peers that ask for each other at once: one link survives, nobody's waiter is lost, no listener is left."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed
from p2p.control.commands import Busy, UnknownPeer
from p2p.link.protocol import DirectLink
from test.peer.pair import Pair
from test.properties import PROPERTY

OTHER = {"n1.n": "m4.m", "m4.m": "n1.n"}


class Meeting:
    """A pair whose requests to the routers wait until a test lets them go."""

    def __init__(self, folder: Path, *, plain: tuple[bool, bool] = (False, False)) -> None:
        self.pair = Pair(folder, plain=plain)
        self.held: dict[str, list[Deferred[None]]] = {name: [] for name in OTHER}
        self.waiting: dict[str, list[Deferred[Any]]] = {name: [] for name in OTHER}
        self.pair.routers.before = self._hold
        self.holding = True

    def _hold(self, initiator: str, target: str) -> Deferred[None] | None:
        if not self.holding:
            return None
        held: Deferred[None] = Deferred()
        self.held[initiator].append(held)
        return held

    def ask(self, name: str) -> Deferred[Any]:
        """Have a peer ask for the other."""
        asking = Deferred.fromCoroutine(self.pair.peers[name].link_to(OTHER[name]))
        self.waiting[name].append(asking)
        return asking

    def let_go(self, name: str, error: Exception | None = None) -> None:
        """Let the oldest request of a peer go on to its target, or fail."""
        if self.held[name]:
            held = self.held[name].pop(0)
            if error is None:
                held.callback(None)
            else:
                held.errback(error)

    def let_all_go(self) -> None:
        """Hold nothing any more."""
        self.holding = False
        for name in OTHER:
            while self.held[name]:
                self.let_go(name)
        self.pair.network.settle()

    @property
    def standing(self) -> set[str]:
        """The initiators of the links that stand, at either end."""
        links: list[DirectLink] = [link for peer in self.pair.peers.values() for link in peer.connections]
        return {link.initiator for link in links if link.established}


class SimultaneousTests(SynchronousTestCase):
    def meeting(self, **more: Any) -> Meeting:
        """Make a pair whose requests wait."""
        folder = Path(self.mktemp())
        folder.mkdir()
        return Meeting(folder, **more)

    def assert_one_link(self, meeting: Meeting) -> None:
        """Everybody who waited has a link, it is the same one at both ends, and nothing else is left."""
        for waiting in meeting.waiting.values():
            for one in waiting:
                link, _ = self.successResultOf(one)
                self.assertIsInstance(link, DirectLink)
        self.assert_quiet(meeting)
        (initiator,) = meeting.standing
        near, far = (peer.links[OTHER[peer.name]] for peer in meeting.pair.peers.values())
        self.assertEqual((initiator, initiator), (near.initiator, far.initiator))
        self.assertTrue(near.reusable and far.reusable)
        self.assertEqual(2, len(meeting.pair.network.wires))

    def assert_quiet(self, meeting: Meeting) -> None:
        """No listener, no attempt, no dial and no waiter is left."""
        self.assertEqual({}, meeting.pair.network.ports)
        for peer in meeting.pair.peers.values():
            self.assertEqual({}, peer.pursuit.left_over)

    def test_every_order(self) -> None:
        """In every order in which both ask and their requests reach the other, one link comes to stand."""
        for plain in ((False, False), (True, True), (True, False)):
            for order in permutations(("n1.n asks", "n1.n arrives", "m4.m asks", "m4.m arrives")):
                if order.index("n1.n asks") > order.index("n1.n arrives"):
                    continue
                if order.index("m4.m asks") > order.index("m4.m arrives"):
                    continue
                for settling in (True, False):
                    meeting = self.meeting(plain=plain)
                    for step in order:
                        name, what = step.split()
                        if what == "asks":
                            meeting.ask(name)
                        else:
                            meeting.let_go(name)
                        if settling:
                            meeting.pair.network.settle()
                    meeting.let_all_go()
                    self.assert_one_link(meeting)

    def test_who_goes_first(self) -> None:
        """When both requests are under way, the link is that of the peer whose name sorts lower."""
        for first, second in OTHER.items():
            meeting = self.meeting()
            meeting.ask(first)
            meeting.ask(second)
            meeting.let_go(first)
            meeting.pair.network.settle()
            meeting.let_all_go()
            self.assert_one_link(meeting)
            self.assertEqual({"m4.m"}, meeting.standing)

    def test_first_one_fails(self) -> None:
        """When the request that goes first comes to nothing, the other one makes the link."""
        for error in (UnknownPeer("gone"), Busy.after(60, "full")):
            meeting = self.meeting()
            meeting.ask("m4.m")
            meeting.ask("n1.n")
            meeting.pair.network.settle()
            meeting.let_go("n1.n")
            meeting.pair.network.settle()
            self.assertEqual(set(), meeting.standing)
            meeting.let_go("m4.m", error)
            meeting.pair.network.settle()
            if isinstance(error, Busy):
                meeting.pair.network.advance(29)
                self.assertEqual(set(), meeting.standing)
                continue  # both tickets die together: see test_both_die
            self.assert_one_link(meeting)
            self.assertEqual({"n1.n"}, meeting.standing)

    def test_both_die(self) -> None:
        """When the routers never answer the first one, both waiters are told, and nothing goes on for ever."""
        meeting = self.meeting()
        first, second = meeting.ask("m4.m"), meeting.ask("n1.n")
        meeting.pair.network.settle()
        meeting.let_go("n1.n")
        meeting.pair.network.advance(31)
        self.failureResultOf(first, ExchangeFailed)
        self.failureResultOf(second, ExchangeFailed)
        self.assert_quiet(meeting)

    def test_first_one_is_cancelled(self) -> None:
        """When nobody waits any more for the request that goes first, the other one makes the link."""
        meeting = self.meeting()
        first, second = meeting.ask("m4.m"), meeting.ask("n1.n")
        meeting.pair.network.settle()
        meeting.let_go("n1.n")
        meeting.pair.network.settle()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        meeting.pair.network.settle()
        self.successResultOf(second)
        self.assertEqual({"n1.n"}, meeting.standing)
        self.assertEqual({}, meeting.pair.network.ports)

    def test_waits_for_the_other(self) -> None:
        """Who asks while it dials the other waits for that link, and asks itself if the dial comes to nothing."""
        meeting = self.meeting()
        meeting.ask("n1.n")
        meeting.let_go("n1.n")
        meeting.ask("m4.m")
        self.assertEqual(1, len(meeting.pair.routers.asked))
        meeting.pair.network.settle()
        self.assert_one_link(meeting)
        meeting = self.meeting()
        gone = meeting.ask("n1.n")
        meeting.let_go("n1.n")
        waiting = meeting.ask("m4.m")
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        meeting.let_all_go()
        self.successResultOf(waiting)
        self.assertEqual({"m4.m"}, meeting.standing)

    @given(st.data())
    @PROPERTY
    def test_any_order(self, data: st.DataObject) -> None:
        """Whatever happens to the requests in whatever order, everybody is told, and at most one link is left."""
        plain = data.draw(st.sampled_from([(False, False), (True, True), (False, True)]))
        meeting = self.meeting(plain=plain)
        network = meeting.pair.network
        for _ in range(data.draw(st.integers(2, 14))):
            name = data.draw(st.sampled_from(sorted(OTHER)))
            action = data.draw(
                st.sampled_from(["ask", "ask", "go", "go", "settle", "busy", "unknown", "cancel", "wait"])
            )
            if action == "ask":
                meeting.ask(name).addErrback(lambda failure: failure.trap(CancelledError, ExchangeFailed))
            elif action == "go":
                meeting.let_go(name)
            elif action == "busy":
                meeting.let_go(name, Busy.after(0.2, "full"))
            elif action == "unknown":
                meeting.let_go(name, UnknownPeer("gone"))
            elif action == "cancel" and meeting.waiting[name]:
                meeting.waiting[name].pop().cancel()
            elif action == "wait":
                network.advance(data.draw(st.sampled_from([0.1, 0.3, 5.0])))
            else:
                network.settle()
        meeting.let_all_go()
        network.advance(100)
        for waiting in meeting.waiting.values():
            for one in waiting:
                told: list[Any] = []
                one.addBoth(told.append)
                self.assertEqual(1, len(told))
        self.assert_quiet(meeting)
        self.assertLessEqual(len(meeting.standing), 1)
        for peer in meeting.pair.peers.values():
            peer.disconnect()
        network.advance(30)
        self.assertEqual((set(), []), (network.wires, network.getDelayedCalls()))
