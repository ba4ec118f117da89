"""What a person can ask a peer daemon: every operation, its answer, and what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from p2p import __version__
from p2p.base.errors import InvalidName, InvalidRequest, Outcome
from p2p.console.operations import PeerStatus, Registered
from p2p.control.channel import ControlTimeout
from p2p.control.commands import UnknownCluster
from test.peer.consoles import SECOND, ConsoleCase, raiser
from test.peer.pair import M4, N1


class StatusTests(ConsoleCase):
    """``status``, ``wait-registered``, ``peers``."""

    def test_idle(self) -> None:
        """A daemon tells who it is, where its router is, and that nothing is open."""
        status = PeerStatus.model_validate(self.answer("status"))
        self.assertEqual((__version__, "n", "tls"), (status.version, status.cluster, status.security))
        self.assertEqual(("tcp:192.0.2.100:5555", True), (status.router.endpoint, status.router.connected))
        (hosted,) = status.peers
        self.assertEqual(("n1.n", True, []), (hosted.name, hosted.registered, hosted.links))
        self.assertEqual(
            (0, 0, 0, 1, 3),
            (status.open.listeners, status.open.links, status.open.attempts, status.open.control, status.open.console),
        )

    def test_links(self) -> None:
        """Each link is told with its addresses, its age and what went over it; both ends agree."""
        self.pair.link()
        self.answer("exchange", peer="m4.m", service="echo", text="hello")
        self.pair.network.advance(7)
        both = [PeerStatus.model_validate(self.answer("status", one)) for one in (self.n1, self.m4)]
        near, far = (status.peers[0].links[0] for status in both)
        self.assertEqual(("m4.m", "n1.n", "tls", 0), (near.peer, near.initiator, near.security, near.streams))
        self.assertEqual(("n1.n", "n1.n", 7.0), (far.peer, far.initiator, far.age_s))
        self.assertEqual((near.direct.local, near.direct.remote), (far.direct.remote, far.direct.local))
        self.assertEqual((near.sent_bytes, near.received_bytes), (far.received_bytes, far.sent_bytes))

    def test_under_way(self) -> None:
        """Listeners and dials under way are counted."""
        self.pair.network.pull(N1, M4)
        waiting = self.ask("connect", peer="m4.m")
        near, far = (PeerStatus.model_validate(self.answer("status", one)).open for one in (self.n1, self.m4))
        self.assertEqual((1, 1, 0), (near.listeners, near.attempts, near.links))
        self.assertEqual((0, 1, 0), (far.listeners, far.attempts, far.links))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.pair.network.advance(31)

    def test_registered(self) -> None:
        """Waiting for registrations ends at once when all are there."""
        self.assertEqual({"peers": 1, "registered": 1}, self.answer("wait-registered", timeout=5.0))

    def test_some_not_registered(self) -> None:
        """The deadline is that of all peers together, and who is missing then is counted."""
        pair = self.pair

        async def never() -> None:
            await Deferred()

        for number in range(3):
            peer = pair.host(f"n{number + 5}.n", f"192.0.2.{50 + number}")
            self.patch(peer.registration, "registered", False)
            self.patch(peer.registration, "when_registered", never)
        console = self.console(pair, "n1.n", "n5.n", "n6.n", "n7.n")
        waiting = self.ask("wait-registered", console, timeout=5.0)
        pair.network.advance(4.9)
        self.assertNoResult(waiting)
        pair.network.advance(0.2)
        self.assertEqual(Registered(peers=4, registered=1).model_dump(), self.successResultOf(waiting))
        status = PeerStatus.model_validate(self.answer("status", console))
        self.assertEqual(([True, False, False, False], 1), ([p.registered for p in status.peers], status.open.control))

    def test_peers(self) -> None:
        """The names of a cluster are fetched page by page."""
        pages = {"": (["a.m", "b.m"], True), "b.m": (["c.m"], True), "c.m": ([], True)}
        asked: list[str] = []

        async def call(command: Any, *, cluster: str, after: str) -> Mapping[str, Any]:
            asked.append(after)
            return {"names": pages[after][0], "more": pages[after][1]}

        self.patch(self.pair.n1.registration, "call", call)
        self.assertEqual({"cluster": "m", "names": ["a.m", "b.m", "c.m"]}, self.answer("peers", cluster="m"))
        self.assertEqual(["", "b.m", "c.m"], asked)

    def test_peers_in_circles(self) -> None:
        """A router that lists its peers in circles is found out."""

        async def call(command: Any, **arguments: Any) -> Mapping[str, Any]:
            return {"names": ["a.m", "b.m"], "more": True}

        self.patch(self.pair.n1.registration, "call", call)
        self.failed(self.ask("peers", cluster="m"), Outcome.CORRUPT)

    def test_peers_failing(self) -> None:
        """The routers' errors are outcomes, and what is no cluster's name is told as that."""
        for error, outcome in (
            (UnknownCluster("where?"), Outcome.UNKNOWN_CLUSTER),
            (ControlTimeout("late"), Outcome.TIMEOUT),
        ):
            self.patch(self.pair.n1.registration, "call", raiser(error))
            self.assertEqual(str(error), self.failed(self.ask("peers", cluster="m"), outcome))
        self.failureResultOf(self.ask("peers", cluster="M"), InvalidName)


class LinkTests(ConsoleCase):
    """``connect``, ``ping``, ``disconnect``."""

    def test_connect(self) -> None:
        """A link is made once, and used again; it is told how it came to be."""
        first = self.answer("connect", peer="m4.m")
        self.assertEqual(
            {"peer": "m4.m", "reused": False, "initiator": "n1.n", "table_lookup_ns": 400, "router_lookup_ns": 90000},
            {key: first[key] for key in ("peer", "reused", "initiator", "table_lookup_ns", "router_lookup_ns")},
        )
        self.assertEqual(("tls", 0), (first["security"], first["setup_ns"]))
        self.assertTrue(first["local"].startswith(f"{N1}:"))
        self.assertTrue(first["remote"].startswith(f"{M4}:"))
        again = self.answer("connect", peer="m4.m")
        self.assertEqual((True, first["local"]), (again["reused"], again["local"]))

    def test_plain(self) -> None:
        """A link without TLS is told as plain."""
        self.make_consoles(plain=(True, True))
        self.assertEqual("plain", self.answer("connect", peer="m4.m")["security"])

    def test_connect_failing(self) -> None:
        """What can't be reached is told with its outcome."""
        self.failed(self.ask("connect", peer="m9.m"), Outcome.UNKNOWN_PEER)
        self.failureResultOf(self.ask("connect", peer="router.m"), InvalidName)

    def test_ping(self) -> None:
        """A ping tells its round trip, by this daemon's clock, and makes the link that it needs."""
        answer = self.answer("ping", peer="m4.m")
        self.assertEqual((0, False), (answer["rtt_ns"], answer["reused"]))
        self.pair.network.pull(N1, M4)
        waiting = self.ask("ping", peer="m4.m")
        self.pair.network.advance(0.25)
        self.pair.network.plug(N1, M4)
        self.pair.network.settle()
        answer = self.successResultOf(waiting)
        self.assertEqual((SECOND // 4, True), (answer["rtt_ns"], answer["reused"]))

    def test_ping_without_answer(self) -> None:
        """A ping that isn't answered within ``call_s`` is told, though the link may stand."""
        self.pair.link()
        self.pair.network.pull(N1, M4)
        waiting = self.ask("ping", peer="m4.m")
        self.pair.network.advance(9.9)
        self.assertNoResult(waiting)
        self.pair.network.advance(0.2)
        self.assertEqual("m4.m didn't answer a ping within 10 s", self.failed(waiting, Outcome.TIMEOUT))

    def test_ping_on_a_link_that_ends(self) -> None:
        """A ping whose link ends is told so."""
        link = self.pair.link()
        self.pair.network.pull(N1, M4)
        waiting = self.ask("ping", peer="m4.m")
        link.abort("enough")
        self.pair.network.settle()
        self.failed(waiting, Outcome.RESET)

    def test_disconnect(self) -> None:
        """Links are closed to one peer or to all."""
        self.pair.link()
        self.assertEqual({"closed": 0}, self.answer("disconnect", peer="m9.m"))
        self.assertEqual({"closed": 1}, self.answer("disconnect", peer="m4.m"))
        self.pair.link()
        self.assertEqual({"closed": 1}, self.answer("disconnect", self.m4))
        self.assertEqual({"closed": 0}, self.answer("disconnect", self.m4, **{"as": "m4.m"}))
        self.assertEqual({}, self.pair.leftovers())

    def test_who_acts(self) -> None:
        """A daemon that hosts several peers must be told which of them acts, and it must be one of them."""
        console = self.console(self.pair, "n1.n", "m4.m")
        self.assertEqual("m4.m", self.answer("connect", console, peer="n1.n", **{"as": "m4.m"})["initiator"])
        refusal = self.failureResultOf(self.ask("connect", console, peer="m4.m"), InvalidRequest).value
        self.assertIn("hosts 2 peers; say which of them acts, for example --as n1.n", str(refusal))
        refusal = self.failureResultOf(
            self.ask("connect", console, peer="m4.m", **{"as": "x" * 500}), InvalidRequest
        ).value
        self.assertIn("doesn't host", str(refusal))
        self.assertLess(len(str(refusal)), 150)
        self.assertEqual({"closed": 2}, self.answer("disconnect", console))
