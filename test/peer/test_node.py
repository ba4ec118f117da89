"""A hosted peer and its links: they come to stand, are used again, or don't, and it is told why."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import capturedLogs

from p2p.base.errors import InvalidName, Outcome
from p2p.control.channel import ControlLost, ControlTimeout
from p2p.control.commands import Busy, ClusterUnreachable, Refused, UnknownCluster, UnknownPeer
from p2p.identity.revocations import Revocation, RevocationList
from p2p.peer.moments import Setup
from p2p.peer.node import LOST_S, HostedPeer
from p2p.peer.roaming import ANSWER_S, Whereabouts
from test.identities import credentials
from test.network import Machine
from test.peer.pair import M4, N1, NodeCase, Pair


class LinkTests(NodeCase):
    """Reaching another peer."""

    def test_stands(self) -> None:
        """A link comes to stand between the two; the fresh listener is closed then, and the ticket is used up."""
        pair = self.make_pair()
        link, setup = pair.run(pair.n1.link_to("m4.m"))
        self.assertEqual(("n1.n", "m4.m", "n1.n"), (link.local, link.remote, link.initiator))
        self.assertEqual((400, 90000, False), (setup.table_lookup_ns, setup.router_lookup_ns, setup.reused))
        self.assertEqual({}, pair.network.ports)
        self.assertEqual((0, 0), (len(pair.n1.pursuit._tickets), pair.n1.pursuit.open_listeners))
        self.assertEqual({"m4.m": link}, pair.n1.links)
        self.assertEqual([link], pair.n1.connections)
        self.assertIs(setup, pair.n1.setup_of(link))
        self.assertEqual(["n1.n"], list(pair.m4.links))
        self.assert_nothing_left(pair)

    def test_watched(self) -> None:
        """Whoever watches for links at either end is told of each that comes to stand, when it can be used already."""
        pair = self.make_pair()
        told: list[tuple[str, str, bool]] = []

        def stands(peer: HostedPeer, other: str) -> None:
            told.append((peer.name, other, other in peer.links))

        for peer in (pair.n1, pair.m4):
            peer.link_watchers.append(partial(stands, peer))
        link = pair.link()
        both = [("m4.m", "n1.n", True), ("n1.n", "m4.m", True)]
        self.assertEqual(both, sorted(told))
        pair.link()
        self.assertEqual(2, len(told), "a link that is used again isn't news")
        link.abort("enough")
        pair.network.settle()
        pair.link()
        self.assertEqual(both, sorted(told[2:]))

    def test_both_ways(self) -> None:
        """It makes no difference who asks: either peer reaches the other, over a link of its own asking."""
        pair = self.make_pair()
        link, _ = pair.run(pair.m4.link_to("n1.n"))
        self.assertEqual(("m4.m", "m4.m"), (link.initiator, pair.n1.links["m4.m"].initiator))
        self.assert_nothing_left(pair)

    def test_reused(self) -> None:
        """A link that stands is used again, by both peers, and the routers aren't asked."""
        pair = self.make_pair()
        link = pair.link()
        self.assertEqual((link, Setup(reused=True)), pair.run(pair.n1.link_to("m4.m")))
        other, setup = pair.run(pair.m4.link_to("n1.n"))
        self.assertEqual(("n1.n", True), (other.initiator, setup.reused))
        self.assertEqual(1, len(pair.routers.asked))

    def test_one_request_for_all(self) -> None:
        """Whoever asks while a request is under way waits for that one."""
        pair = self.make_pair()
        held: Deferred[None] = Deferred()
        pair.routers.before = lambda initiator, target: held
        waiting = [pair.start(pair.n1.link_to("m4.m")) for _ in range(20)]
        self.assertEqual(1, pair.n1.pursuit.open_listeners)
        held.callback(None)
        pair.network.settle()
        self.assertEqual(1, len({self.successResultOf(one)[0] for one in waiting}))
        self.assertEqual(1, len(pair.routers.asked))
        self.assert_nothing_left(pair)

    def test_after_its_end(self) -> None:
        """When a link has ended, the next one who asks gets a new one."""
        pair = self.make_pair()
        link = pair.link()
        link.abort("enough")
        pair.network.settle()
        self.assertEqual({}, pair.leftovers())
        self.assertIsNot(link, pair.link())
        self.assert_nothing_left(pair)

    def test_closing_link(self) -> None:
        """A link that closes, from either side, isn't used for anything new."""
        for closer in ("n1", "m4"):
            pair = self.make_pair()
            link = pair.link()
            stream = link.open_stream()
            stream.write(b"\0")
            pair.network.settle()
            self.assertEqual(1, getattr(pair, closer).disconnect())
            pair.network.settle()
            other = pair.link()
            self.assertIsNot(link, other)
            self.assertEqual(2, len(pair.n1.connections))
            stream.reset()
            pair.network.settle()
            self.assertEqual([other], pair.n1.connections)
            self.assert_nothing_left(pair)

    def test_names(self) -> None:
        """What is no peer's name is told as that, and a peer doesn't link to itself."""
        pair = self.make_pair()
        for wrong in ("", "m4", "router.m", "M4.m", "a.b.c"):
            self.failureResultOf(pair.start(pair.n1.link_to(wrong)), InvalidName)
        self.assertIn("is this peer itself", self.failed(pair.start(pair.n1.link_to("n1.n")), Outcome.REFUSED))
        self.assertEqual([], pair.routers.asked)

    def test_disconnect(self) -> None:
        """Links are closed to one peer or to all, and counted."""
        pair = self.make_pair()
        m5 = pair.host("m5.m", "192.0.2.5")
        pair.link()
        pair.run(pair.n1.link_to("m5.m"))
        self.assertEqual(0, pair.n1.disconnect("m9.m"))
        self.assertEqual(1, pair.n1.disconnect("m5.m"))
        self.assertEqual(0, pair.n1.disconnect("m5.m"))
        pair.network.settle()
        self.assertEqual((["m4.m"], {}), (list(pair.n1.links), m5.links))
        self.assertEqual(1, pair.n1.disconnect())
        pair.network.settle()
        self.assertEqual({}, pair.leftovers())


class RoamingTests(NodeCase):
    """A machine that is attached to other networks than before."""

    def moved(self, pair: Pair, *addresses: str, source: str | None = N1) -> None:
        """Attach n1.n's machine to networks with these addresses of its own."""
        pair.n1.moved(Whereabouts(addresses, lambda remote: source))
        pair.network.settle()

    def test_still_there(self) -> None:
        """Links from an address that is still there go on."""
        pair = self.make_pair()
        link = pair.link()
        self.moved(pair, N1, "198.51.100.7")
        self.assertTrue(link.reusable)
        self.assert_nothing_left(pair)

    def test_lost(self) -> None:
        """A link from an address that is gone is cut off at once; with nothing under way, that is all."""
        pair = self.make_pair()
        pair.link()
        pair.network.strand(N1, M4)
        self.moved(pair, "198.51.100.7")
        self.assertEqual({}, pair.n1.links)
        self.assertEqual(1, len(pair.routers.asked))
        self.assertTrue(pair.m4.links["n1.n"].reusable)

    def test_in_use(self) -> None:
        """Where something was under way, whoever began it, a new link is made at once, though the other end holds the
        old one still: that it is lost is said, and what hung on it ends there, too."""
        pair = self.make_pair()
        pair.link()
        old = pair.m4.links["n1.n"]
        stream = old.open_stream()
        stream.write(b"\x00")  # the beginning of a head
        pair.network.settle()
        pair.network.strand(N1, M4)
        self.moved(pair, "198.51.100.7")
        self.assertEqual(2, len(pair.routers.asked))
        new = pair.m4.links["n1.n"]
        self.assertIsNot(old, new)
        self.assertTrue(new.reusable and pair.n1.links["m4.m"].reusable)
        self.assertTrue(new.elders_lost)
        self.assertEqual([new], pair.m4.connections)
        pair.network.advance(LOST_S)
        self.assertFalse(pair.link().terms.lost)
        self.assert_nothing_left(pair)

    def test_lost_and_asked_by_the_other(self) -> None:
        """It is said also where the end that holds the old link asks for the new one."""
        pair = self.make_pair()
        pair.link()
        pair.network.strand(N1, M4)
        self.moved(pair, "198.51.100.7")
        old = pair.m4.links.pop("n1.n")
        pair.run(pair.m4.link_to("n1.n"))
        self.assertTrue(pair.m4.links["n1.n"].elders_lost)
        self.assertNotIn(old, pair.m4.connections)
        self.assert_nothing_left(pair)

    def test_long_ago(self) -> None:
        """A link that broke long ago isn't held by anybody, and isn't spoken of; nor is one that both closed."""
        pair = self.make_pair()
        pair.link()
        pair.network.strand(N1, M4)
        self.moved(pair, "198.51.100.7")
        pair.network.advance(LOST_S)
        self.assertFalse(pair.link().terms.lost)
        pair.n1.disconnect()
        pair.network.settle()
        self.assertFalse(pair.link().terms.lost)
        self.assert_nothing_left(pair)

    def test_doubtful(self) -> None:
        """A link that would come from another address by now is cut off unless its other end answers soon."""
        pair = self.make_pair()
        link = pair.link()
        self.moved(pair, N1, "198.51.100.7", source="198.51.100.7")
        pair.network.advance(2 * ANSWER_S)
        self.assertTrue(link.reusable)
        pair.network.strand(N1, M4)
        self.moved(pair, N1, "198.51.100.7", source="198.51.100.7")
        pair.network.advance(ANSWER_S + 0.1)
        self.assertEqual({}, pair.n1.links)


class FailureTests(NodeCase):
    """Not reaching another peer."""

    def test_errors_of_the_routers(self) -> None:
        """Each error of the control channel is told as its outcome, with its own words."""
        for error, outcome in (
            (UnknownPeer("who?"), Outcome.UNKNOWN_PEER),
            (UnknownCluster("where?"), Outcome.UNKNOWN_CLUSTER),
            (ClusterUnreachable("how?"), Outcome.CLUSTER_UNREACHABLE),
            (Refused("no"), Outcome.REFUSED),
            (ControlTimeout("late"), Outcome.TIMEOUT),
            (ControlLost("gone"), Outcome.CLUSTER_UNREACHABLE),
        ):
            pair = self.make_pair()

            def fail(initiator: str, target: str, error: Exception = error) -> None:
                raise error

            pair.routers.before = fail
            self.assertEqual(str(error), self.failed(pair.start(pair.n1.link_to("m4.m")), outcome))
            self.assertEqual({}, pair.leftovers())

    def test_busy(self) -> None:
        """Where somebody is busy, the same request is made again after the time that they said."""
        pair = self.make_pair()
        busy = [Busy.after(2.5, "full"), Busy.after(2.5, "full")]

        def fail(initiator: str, target: str) -> None:
            if busy:
                raise busy.pop()

        pair.routers.before = fail
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.advance(2.4)
        self.assertEqual(1, len(pair.routers.asked))
        pair.network.advance(2.7)
        self.successResultOf(waiting)
        tickets = {arguments["ticket"] for _, arguments in pair.routers.asked}
        self.assertEqual((3, 1), (len(pair.routers.asked), len(tickets)))
        lifetimes = [round(arguments["lifetime"], 3) for _, arguments in pair.routers.asked]
        self.assertEqual([30.0, 27.5, 25.0], lifetimes)
        self.assert_nothing_left(pair)

    def test_busy_to_the_end(self) -> None:
        """Who is busy for as long as the ticket lives ends the attempt, and that is what is told."""
        pair = self.make_pair()

        def fail(initiator: str, target: str) -> None:
            raise Busy.after(4, "full")

        pair.routers.before = fail
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.advance(30)
        self.assertIn("too busy", self.failed(waiting, Outcome.TIMEOUT))
        self.assertEqual({}, pair.leftovers())

    def test_ticket_life(self) -> None:
        """A request without an answer ends when the ticket dies, after ``ticket_s``, and its listener with it."""
        pair = self.make_pair(ticket_s=12.0)
        pair.routers.before = lambda initiator, target: Deferred()
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.advance(11.9)
        self.assertNoResult(waiting)
        self.assertEqual(1, len(pair.network.ports))
        pair.network.advance(0.2)
        self.failed(waiting, Outcome.TIMEOUT)
        self.assertEqual({}, pair.leftovers())

    def test_late_answer(self) -> None:
        """An answer of the routers that comes after the ticket died changes nothing."""
        pair = self.make_pair(ticket_s=12.0)
        held: Deferred[None] = Deferred()
        pair.routers.before = lambda initiator, target: held
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.advance(13)
        self.failed(waiting, Outcome.TIMEOUT)
        held.callback(None)
        pair.network.advance(60)
        self.assertEqual({}, pair.leftovers())

    def test_answer_after_the_link(self) -> None:
        """An answer that comes after the link stands is still taken for what it says of the look-ups."""
        pair = self.make_pair()
        answer: Deferred[None] = Deferred()
        request = pair.routers.request

        async def slow(initiator: str, arguments: dict[str, Any]) -> dict[str, Any]:
            result = await request(initiator, arguments)
            await answer
            return result

        self.patch(pair.routers, "request", slow)
        _, setup = pair.run(pair.n1.link_to("m4.m"))
        known = setup.when_answered()
        self.assertNoResult(known)
        answer.callback(None)
        self.successResultOf(known)
        self.assertEqual(400, setup.table_lookup_ns)
        self.assert_nothing_left(pair)

    def test_unreachable(self) -> None:
        """When the target is told to connect and nothing comes, the outcome is connect-failed, with what to look at."""
        pair = self.make_pair()
        pair.network.pull(N1, M4)
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.advance(31)
        told = self.failed(waiting, Outcome.CONNECT_FAILED)
        self.assertIn("says nothing; from here, 192.0.2.2, port ", told)
        self.assertIn("let a firewall on one of the two let TCP in", told)
        self.assertEqual({}, pair.leftovers())

    def test_no_port(self) -> None:
        """A machine without a free port is told as that, at once."""
        pair = self.make_pair()

        def fail(machine: Machine, port: int, factory: object, backlog: int = 50, interface: str = "") -> None:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))

        self.patch(Machine, "listenTCP", fail)
        self.assertIn("can't listen on tcp:0", self.failed(pair.start(pair.n1.link_to("m4.m")), Outcome.CONNECT_FAILED))
        self.assertEqual({}, pair.leftovers())

    def test_impostor(self) -> None:
        """A target whose certificate isn't the lab's gets no link; both are told, and why."""
        pair = self.make_pair()
        pair.host("m4.m", M4, lab="other")
        with capturedLogs() as logs:
            waiting = pair.start(pair.n1.link_to("m4.m"))
            pair.network.advance(31)
        self.assertIn("no link to m4.m: TLS: ", self.failed(waiting, Outcome.CONNECT_FAILED))
        told = next(one for one in logs if one["log_format"].startswith("{name}: no link with {other}"))
        self.assertEqual(("m4.m", "n1.n"), (told["name"], told["other"]))
        self.assertIn("TLS: ", told["reason"])
        self.assertEqual({}, pair.leftovers())

    def test_revoked(self) -> None:
        """A link to whoever has a revoked key ends at once, and none comes to stand again, whoever asks for it."""
        pair = self.make_pair()
        link, _ = pair.run(pair.n1.link_to("m4.m"))
        key = link.remote_key
        assert key is not None
        pair.n1.revoked({b"another"})
        self.assertTrue(link.reusable)
        pair.n1.revoked({key})
        pair.network.settle()
        self.assertEqual(({}, {}), (pair.n1.links, pair.m4.links))
        known = RevocationList()
        known.add([Revocation(1, 1 << 33, key, b"")], 0)
        own = credentials("n1.n", "lab")
        self.patch(own, "revocations", known)
        for waiting in (pair.start(pair.n1.link_to("m4.m")), pair.start(pair.m4.link_to("n1.n"))):
            pair.network.advance(31)
            self.failed(waiting, Outcome.CONNECT_FAILED)
        self.assertEqual({}, pair.leftovers())

    def test_revoked_plain(self) -> None:
        """A plain link has shown no key."""
        pair = self.make_pair(plain=(True, True))
        link, _ = pair.run(pair.n1.link_to("m4.m"))
        self.assertIsNone(link.remote_key)
        pair.n1.revoked({b"another"})
        self.assertTrue(link.reusable)

    def test_cancelled(self) -> None:
        """An attempt goes on as long as somebody waits for it, and ends with the last of them."""
        pair = self.make_pair()
        pair.routers.before = lambda initiator, target: Deferred()
        first, second = pair.start(pair.n1.link_to("m4.m")), pair.start(pair.n1.link_to("m4.m"))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(1, pair.n1.pursuit.open_listeners)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        pair.network.settle()
        self.assertEqual({}, pair.leftovers())

    def test_lookups_of_an_abandoned_attempt(self) -> None:
        """An attempt that is abandoned while the routers are asked lets their answer come to nothing."""
        pair = self.make_pair()
        held: Deferred[None] = Deferred()
        pair.routers.before = lambda initiator, target: held
        waiting = pair.start(pair.n1.link_to("m4.m"))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        held.callback(None)
        pair.network.advance(31)
        self.assertEqual({}, pair.leftovers())

    def test_cancelled_by_another(self) -> None:
        """Who is told of the link first may cancel who is told next."""
        pair = self.make_pair()
        held: Deferred[None] = Deferred()
        pair.routers.before = lambda initiator, target: held
        first, second = pair.start(pair.n1.link_to("m4.m")), pair.start(pair.n1.link_to("m4.m"))
        first.addCallback(lambda result: second.cancel())
        held.callback(None)
        pair.network.settle()
        self.successResultOf(first)
        self.failureResultOf(second, CancelledError)
        self.assert_nothing_left(pair)


class LimitTests(NodeCase):
    """``attempts_in_flight``."""

    def hosts(self, pair: Pair, count: int) -> list[HostedPeer]:
        """Make further peers."""
        return [pair.host(f"x{number}.m", f"192.0.2.{100 + number}") for number in range(count)]

    def test_attempts(self) -> None:
        """At the limit of attempts the next one waits for its turn, and has it when one of them has ended."""
        pair = self.make_pair(attempts_in_flight=2)
        self.hosts(pair, 4)
        held: dict[str, Deferred[None]] = {}
        pair.routers.before = lambda initiator, target: held.setdefault(target, Deferred())
        waiting = [pair.start(pair.n1.link_to(f"x{number}.m")) for number in range(4)]
        self.assertEqual((2, ["x0.m", "x1.m"]), (pair.n1.pursuit.open_listeners, list(held)))
        held["x1.m"].callback(None)
        pair.network.settle()
        self.successResultOf(waiting[1])
        self.assertEqual(["x0.m", "x1.m", "x2.m"], list(held))
        held["x0.m"].errback(UnknownPeer("gone"))
        pair.network.settle()
        self.failed(waiting[0], Outcome.UNKNOWN_PEER)
        held["x2.m"].callback(None)
        held["x3.m"].callback(None)
        pair.network.settle()
        self.successResultOf(waiting[2])
        self.successResultOf(waiting[3])
        self.assert_nothing_left(pair)

    def test_waiters_are_no_attempts(self) -> None:
        """Many who wait for one peer that can't be reached don't keep those back who want another."""
        pair = self.make_pair(attempts_in_flight=2)
        never: Deferred[None] = Deferred()
        pair.routers.before = lambda initiator, target: never if target == "m9.m" else None
        waiting = [pair.start(pair.n1.link_to("m9.m")) for _ in range(10)]
        pair.link()
        pair.network.advance(31)
        for one in waiting:
            self.failed(one, Outcome.TIMEOUT)
        self.assert_nothing_left(pair)

    def test_cancelled_before_its_turn(self) -> None:
        """Who gives up before the turn of their attempt leaves nothing; an attempt that nobody wants isn't made."""
        pair = self.make_pair(attempts_in_flight=1)
        held: dict[str, Deferred[None]] = {}
        pair.routers.before = lambda initiator, target: held.setdefault(target, Deferred())
        self.hosts(pair, 2)
        first, second = pair.start(pair.n1.link_to("x0.m")), pair.start(pair.n1.link_to("x1.m"))
        second.cancel()
        self.failureResultOf(second, CancelledError)
        held["x0.m"].callback(None)
        pair.network.settle()
        self.successResultOf(first)
        self.assertEqual(["x0.m"], list(held))
        self.assert_nothing_left(pair)

    def test_linked_before_its_turn(self) -> None:
        """Whose peer makes the link itself needs no turn."""
        pair = self.make_pair(attempts_in_flight=1)
        self.hosts(pair, 1)
        held: dict[str, Deferred[None]] = {}
        pair.routers.before = lambda initiator, target: (
            held.setdefault(target, Deferred()) if initiator == "n1.n" else None
        )
        first, second = pair.start(pair.n1.link_to("x0.m")), pair.start(pair.n1.link_to("m4.m"))
        pair.network.advance(1)
        pair.run(pair.m4.link_to("n1.n"))
        link, setup = self.successResultOf(second)
        self.assertEqual(("m4.m", 1_000_000_000), (link.initiator, setup.setup_ns))
        held["x0.m"].callback(None)
        pair.network.settle()
        self.successResultOf(first)
        self.assertEqual(["x0.m"], list(held))
        self.assert_nothing_left(pair)
