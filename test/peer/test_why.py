"""Walking the legs to a peer: every leg is told, and where one fails, which, why, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed

from p2p.base.config import PeerLimits
from p2p.base.errors import ExchangeFailed, InvalidName, InvalidRequest, Outcome
from p2p.console.operations import Diagnosis, LegName, legs_between
from p2p.exchange.exchange import MessageWriter, Request
from p2p.exchange.service import Context
from p2p.peer.console import PeerConsole
from p2p.peer.node import HostedPeer
from p2p.peer.why import why
from test.peer.movers import Consent, Mover
from test.peer.pair import at_once
from test.peer.walks import ENDPOINT, WalkCase, Walks, by_name, states


class GoodTests(WalkCase):
    """Legs that are good."""

    def test_far(self) -> None:
        """All legs to a peer of another cluster are good, in their order, and each says what was found."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        found = lab.walk(self.n1, "m4.m")
        self.assertEqual(
            ("m4.m", "n1.n", False, "ok", None), (found.peer, found.acting, found.standing, found.outcome, found.failed)
        )
        self.assertEqual(legs_between(near=False), [leg.leg for leg in found.legs])
        self.assertEqual("oooooooooo", states(found))
        for name, detail in (
            (LegName.DAEMON, "acts as n1.n"),
            (LegName.ROUTER, f"router.n at {ENDPOINT}"),
            (LegName.LISTEN, "port 4"),
            (LegName.NEIGHBOUR, "router.n asked router.m"),
            (LegName.NEIGHBOUR_TABLE, f"router.m sees m4.m at {lab.M4}"),
            (LegName.INSTRUCT, "m4.m dials"),
            (LegName.DIAL, f"from {lab.M4}:"),
            (LegName.TLS, "TLS 1.3, certificate of m4.m"),
            (LegName.TICKET, "used up"),
            (LegName.EXCHANGE, "came back"),
        ):
            self.assertIn(detail, by_name(found, name).detail)

    def test_dialled(self) -> None:
        """Which end dialled is said: the one behind a firewall, whoever asked."""
        for walled in ("N1", "M4"):
            lab = self.walks()
            lab.host("m4.m", lab.M4)
            lab.network.wall(getattr(lab, walled))
            found = lab.walk(self.n1, "m4.m")
            detail = by_name(found, LegName.DIAL).detail
            if walled == "N1":
                self.assertRegex(detail, rf"^n1\.n dialled {lab.M4}:\d+, from which nothing had come$")
            else:
                self.assertIn(f"from {lab.M4}:", detail)

    def test_near(self) -> None:
        """To a peer of one's own cluster there is one table, and no neighbour."""
        lab = self.walks()
        lab.host("n2.n", "10.1.0.2")
        found = lab.walk(self.n1, "n2.n")
        self.assertEqual(legs_between(near=True), [leg.leg for leg in found.legs])
        self.assertEqual("oooooooo", states(found)[:8])
        self.assertEqual("router.n sees n2.n at 10.1.0.2", by_name(found, LegName.TABLE).detail)

    def test_told(self) -> None:
        """Each leg is told as soon as it has ended, before the walk has."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        lab.network.pull(lab.N1, lab.M4)
        walking = lab.begin(self.n1, "m4.m")
        lab.network.advance(1)
        self.assertEqual(legs_between(near=False)[:6], [leg.leg for leg in lab.legs])
        lab.network.plug(lab.N1, lab.M4)
        lab.network.advance(30)
        self.assertEqual(self.successResultOf(walking).legs, lab.legs)

    def test_times(self) -> None:
        """A leg's time is its own: the way of the question, the call, TLS and the rest aren't mixed."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        lab.network.pull(lab.N1, lab.address("n"))
        walking = lab.begin(self.n1, "m4.m")
        lab.network.advance(2)
        lab.network.plug(lab.N1, lab.address("n"))
        lab.network.settle()
        found = self.successResultOf(walking)
        self.assertEqual(2_000_000_000, by_name(found, LegName.ROUTER).took_ns)
        self.assertEqual(2_000_000_000, found.took_ns)
        rest = [leg for leg in found.legs if leg.leg not in (LegName.ROUTER, LegName.DAEMON)]
        self.assertTrue(all(leg.took_ns is not None and leg.took_ns < 100_000_000 for leg in rest), rest)

    def test_plain(self) -> None:
        """A plain link needs no TLS, and only its ticket proves who is there."""
        lab = Walks(Path(self.mktemp()))
        n1 = lab.host("n1.n", lab.N1, plain=True)
        lab.host("m4.m", lab.M4, plain=True)
        found = lab.walk(n1, "m4.m")
        self.assertEqual("ooooooonoo", states(found))
        assert found.link is not None
        self.assertEqual("plain", found.link.security)
        self.assertIn("its ticket proves that it is m4.m", found.link.note)

    def test_itself(self) -> None:
        """Nobody walks to themselves, or to a name that can't be."""
        lab = self.walks()
        self.failureResultOf(lab.begin(self.n1, "n1.n"), ExchangeFailed)
        self.failureResultOf(lab.begin(self.n1, "m4"), InvalidName)


class LinkTests(WalkCase):
    """What is said of the link."""

    def test_direct(self) -> None:
        """The link is direct: its remote end is where the target's router sees the target."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        link = lab.walk(self.n1, "m4.m").link
        assert link is not None
        self.assertEqual(
            (lab.M4, True, "tls", "n1.n"), (link.observed, link.same_address, link.security, link.initiator)
        )
        self.assertEqual((link.local, link.remote), self.n1.links["m4.m"].addresses)
        self.assertIn(f"the other end is {lab.M4}, where router.m sees m4.m", link.note)
        self.assertIn("the certificate of m4.m proves that it is m4.m, and no router carries the link", link.note)

    def test_several_addresses(self) -> None:
        """Where the remote end isn't where its router sees it, that is said, and is no failure."""
        lab = self.walks()
        lab.host("m4.m", lab.M4, seen_at="10.2.0.99")
        found = lab.walk(self.n1, "m4.m")
        assert found.link is not None
        self.assertEqual(("ok", "10.2.0.99", False), (found.outcome, found.link.observed, found.link.same_address))
        self.assertIn(f"the other end is {lab.M4}, but router.m sees m4.m at 10.2.0.99: a NAT", found.link.note)

    def test_standing(self) -> None:
        """A link that stands is pinged and used; the other legs weren't needed, and nobody is asked."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        lab.walk(self.n1, "m4.m")
        link = self.n1.links["m4.m"]
        lab.kill_router("n")
        lab.network.advance(5)
        found = lab.walk(self.n1, "m4.m")
        self.assertEqual((True, "ok"), (found.standing, found.outcome))
        self.assertEqual("onnnnnnnnoo", states(found))
        assert found.link is not None
        self.assertEqual((5.0, lab.M4, True), (found.link.age_s, found.link.observed, found.link.same_address))
        self.assertIs(link, self.n1.links["m4.m"])

    def test_asked_for_by_the_other(self) -> None:
        """Of a link that the other peer asked for, its router's view isn't known, which is said."""
        lab = self.walks()
        m4 = lab.host("m4.m", lab.M4)
        lab.walk(self.n1, "m4.m")
        link = lab.walk(m4, "n1.n").link
        assert link is not None
        self.assertEqual(("n1.n", None, None), (link.initiator, link.observed, link.same_address))
        self.assertIn("where router.n sees n1.n isn't known here, since n1.n asked for the link", link.note)

    def test_fresh(self) -> None:
        """A fresh walk closes the link first, and goes all legs to a new one."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        lab.walk(self.n1, "m4.m")
        before = self.n1.links["m4.m"]
        found = lab.walk(self.n1, "m4.m", fresh=True)
        self.assertEqual((False, "oooooooooo"), (found.standing, states(found)))
        self.assertIsNot(before, self.n1.links["m4.m"])
        self.assertEqual("closed", before.steps.reason)
        self.assertEqual([self.n1.links["m4.m"]], self.n1.connections)

    def test_fresh_from_the_other_end(self) -> None:
        """The peer that didn't ask for the link can walk anew as well, and its new link survives."""
        lab = self.walks()
        m4 = lab.host("m4.m", lab.M4)
        lab.walk(self.n1, "m4.m")
        found = lab.walk(m4, "n1.n", fresh=True)
        self.assertEqual("oooooooooo", states(found))
        self.assertEqual(["m4.m"], [link.initiator for link in self.n1.links.values()])

    def test_fresh_in_the_middle_of_an_exchange(self) -> None:
        """What is under way on the old link isn't cut."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        lab.walk(self.n1, "m4.m")
        link = self.n1.links["m4.m"]
        stream = link.open_stream()
        stream.write(b"\0")
        lab.network.settle()
        self.assertEqual("oooooooooo", states(lab.walk(self.n1, "m4.m", fresh=True)))
        self.assertTrue(stream.alive)
        self.assertEqual("", link.steps.reason)
        stream.reset()

    def test_fresh_with_a_dead_link(self) -> None:
        """A link that doesn't answer any more holds a fresh walk up for one deadline, and no longer."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        lab.walk(self.n1, "m4.m")
        stream = self.n1.links["m4.m"].open_stream()
        stream.write(b"\0")
        lab.network.settle()
        lab.network.pull(lab.N1, lab.M4)
        walking = lab.begin(self.n1, "m4.m", fresh=True)
        lab.network.advance(9)
        self.assertEqual([LegName.DAEMON], [leg.leg for leg in lab.legs])
        lab.network.advance(2)
        self.assertEqual(LegName.INSTRUCT, lab.legs[-1].leg)
        lab.network.advance(30)
        self.assertEqual(LegName.DIAL, self.successResultOf(walking).failed)

    def test_both_ask(self) -> None:
        """When the other peer's own request goes first, its link is the one, and that is said."""
        lab = self.walks()
        m4 = lab.host("m4.m", lab.M4)
        lab.network.pull(lab.M4, lab.address("m"))
        asking = lab.started(self.n1.link_to("m4.m"))
        walking = lab.begin(m4, "n1.n")
        lab.network.plug(lab.M4, lab.address("m"))
        lab.network.settle()
        self.successResultOf(asking)
        found = self.successResultOf(walking)
        self.assertEqual("ok", found.outcome)
        assert found.link is not None
        self.assertEqual("n1.n", found.link.initiator)
        self.assertIn("m4.m dialled", by_name(found, LegName.DIAL).detail)
        self.assertIn("as n1.n asked", by_name(found, LegName.DIAL).detail)

    def test_other_asked_first(self) -> None:
        """A link that the other peer has just asked for is waited for, and needs no question of one's own."""
        lab = self.walks()
        m4 = lab.host("m4.m", lab.M4)
        asking = Deferred.fromCoroutine(self.n1.link_to("m4.m"))
        while not m4.connections:
            lab.step()
        lab.network.pull(lab.N1, lab.M4)
        walking = lab.begin(m4, "n1.n")
        lab.network.plug(lab.N1, lab.M4)
        lab.network.settle()
        self.successResultOf(asking)
        found = self.successResultOf(walking)
        self.assertEqual(("ok", "oonnnnoooo"), (found.outcome, states(found)))
        self.assertEqual("n1.n asked for this link itself", by_name(found, LegName.INSTRUCT).detail)

    def test_closing(self) -> None:
        """A link that is closing isn't one that stands."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        lab.walk(self.n1, "m4.m")
        stream = self.n1.links["m4.m"].open_stream()
        stream.write(b"\0")
        self.n1.disconnect("m4.m")
        lab.network.settle()
        found = lab.walk(self.n1, "m4.m")
        self.assertEqual((False, "oooooooooo"), (found.standing, states(found)))
        stream.reset()


class ExchangeTests(WalkCase):
    """The first exchange, and a link that doesn't answer."""

    def reached(self, *services: Any, limits: PeerLimits | None = None) -> HostedPeer:
        """A target with these services."""
        lab = self.walks(limits=limits)
        return lab.host("m4.m", lab.M4, services=list(services))

    def test_no_echo(self) -> None:
        """A target without the service refuses."""
        self.reached()
        found = self.lab.walk(self.n1, "m4.m")
        self.failed(found, LegName.EXCHANGE, Outcome.REFUSED, "no service 'echo'", "the link is good")

    def test_silent(self) -> None:
        """A target that takes the exchange and doesn't answer is told to be that."""
        self.reached(_Other(b"", ends=False))
        found = self.lab.walk(self.n1, "m4.m", seconds=45)
        self.failed(found, LegName.EXCHANGE, Outcome.TIMEOUT, "nothing moved for 30 s", "m4.m doesn't serve it")

    def test_other_bytes(self) -> None:
        """An echo of something else is corrupt."""
        self.reached(_Other(b"something else"))
        found = self.lab.walk(self.n1, "m4.m")
        self.failed(found, LegName.EXCHANGE, Outcome.CORRUPT, "isn't what was sent", "the same version")

    def test_fewer_bytes(self) -> None:
        """An echo of a part is corrupt."""
        self.reached(_Other(b"p2p why"))
        found = self.lab.walk(self.n1, "m4.m")
        self.failed(found, LegName.EXCHANGE, Outcome.CORRUPT, "7 bytes came back, of the ", "the same version")

    def test_no_turn(self) -> None:
        """An exchange that gets no turn on a full link is given up after its deadline."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        lab.walk(self.n1, "m4.m")
        link = self.n1.links["m4.m"]
        for _ in range(link.turns.tokens):
            self.successResultOf(link.turns.acquire())
        found = lab.walk(self.n1, "m4.m", seconds=41)
        self.assertEqual((LegName.EXCHANGE, Outcome.TIMEOUT), (found.failed, found.outcome))
        self.assertIn("hasn't ended after 40 s", by_name(found, LegName.EXCHANGE).detail)

    def test_no_ping(self) -> None:
        """A link that stands but doesn't answer a ping is told, and how to make a new one."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        lab.walk(self.n1, "m4.m")
        lab.network.pull(lab.N1, lab.M4)
        found = lab.walk(self.n1, "m4.m", seconds=11)
        self.assertEqual((True, LegName.PING, Outcome.TIMEOUT), (found.standing, found.failed, found.outcome))
        ping = by_name(found, LegName.PING)
        self.assertIn("hasn't answered a ping over the link for 10 s", ping.detail)
        self.assertIn("p2p why --fresh m4.m", ping.remedy)
        self.assertEqual("onnnnnnnnfu", states(found))

    def test_ends_while_pinged(self) -> None:
        """A link that ends while it is pinged is told to have ended, and is described all the same."""
        lab = self.walks()
        m4 = lab.host("m4.m", lab.M4)
        lab.walk(self.n1, "m4.m")
        walking = lab.started(_cut_while(lab, self.n1, m4))
        found = self.successResultOf(walking)
        self.assertEqual((LegName.PING, Outcome.RESET), (found.failed, found.outcome))
        self.assertIsNotNone(found.link)


class ConsoleTests(WalkCase):
    """The operation of the console."""

    def test_why(self) -> None:
        """``why`` tells each leg as an event and answers with all of them, as JSON has it."""
        lab = self.walks()
        lab.host("m4.m", lab.M4)
        console = PeerConsole(
            lab.network,
            {"n1.n": self.n1},
            cluster="n",
            router=ENDPOINT,
            security="tls",
            threads=at_once,
            now_ns=lambda: 0,
            console_clients=lambda: 1,
            transfers=Mover(),
            consent=Consent(),
            warnings=lambda name: [],
        )
        told: list[dict[str, Any]] = []

        def emit(event: str, /, **fields: Any) -> Deferred[None]:
            told.append({"event": event, **fields})
            return succeed(None)

        async def ask(**arguments: Any) -> Mapping[str, Any]:
            return await console.handlers()["why"](arguments, emit)

        answer = self.successResultOf(lab.started(ask(peer="m4.m")))
        self.assertEqual([{"event": "leg", **leg} for leg in answer["legs"]], told)
        self.assertEqual(("ok", False, "m4.m"), (answer["outcome"], answer["standing"], answer["peer"]))
        self.assertTrue(self.successResultOf(lab.started(ask(peer="m4.m", **{"as": "n1.n"})))["standing"])
        self.assertFalse(self.successResultOf(lab.started(ask(peer="m4.m", fresh=True)))["standing"])
        self.failureResultOf(lab.started(ask(peer="m4.m", **{"as": "n2.n"})), InvalidRequest)


async def _cut_while(lab: Walks, n1: HostedPeer, m4: HostedPeer) -> Diagnosis:
    """Walk while the other end cuts the link."""
    m4.links["n1.n"].abort("the test cuts it")
    return await why(
        n1,
        "m4.m",
        fresh=False,
        endpoint=ENDPOINT,
        clock=lab.network,
        now_ns=lambda: 0,
        tell=lambda leg: None,
    )


class _Other:
    """An echo that sends back something else, and maybe no end."""

    name = "echo"

    def __init__(self, body: bytes, *, ends: bool = True) -> None:
        self._body = body
        self._ends = ends

    def receive(self, request: Request, reply: MessageWriter, context: Context) -> Any:
        if self._body:
            reply.write(self._body)
        return _Swallow(self._ends)


class _Swallow:
    def __init__(self, ends: bool) -> None:
        self._ends = ends

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Nothing pauses it."""

    def unregisterProducer(self) -> None:
        """Nothing paused it."""

    def write(self, data: bytes | memoryview) -> None:
        """Nothing is kept."""

    async def complete(self, tail: Any) -> dict[str, Any]:
        """End now, or never."""
        if not self._ends:
            await Deferred()
        return {}

    def abandon(self) -> None:
        """Nothing is undone."""
