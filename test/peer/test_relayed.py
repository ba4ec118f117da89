"""Links by way of a relay: as good as direct ones, closed to everybody else, and gone with the relay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from p2p.base.ticket import Ticket
from p2p.exchange.duplex import Duplex
from p2p.exchange.exchange import Request
from p2p.exchange.request import DigestSink
from p2p.link.hello import LinkTerms
from p2p.link.protocol import DirectLink
from p2p.peer.node import HostedPeer
from p2p.peer.relayed import AGAIN_FIRST_S, RelayFailed, join
from p2p.services.echo import echo, uppercase
from p2p.services.relay import HALF_S, MEET_S, RelayTerms, relay
from p2p.services.store import BytesSource, store
from test.peer.pair import NodeCase, Pair

NONCE = bytes(range(32))
ANYBODY = RelayTerms(("*",))


class RelayPair(Pair):
    """As a pair, with the service relay, and a relay that both can reach."""

    services = (uppercase, store, echo, relay)


class RelayCase(NodeCase):
    """n1.n and m4.m, and relay.n between them."""

    def setUp(self) -> None:
        """Nothing is linked yet."""
        self.begin()

    def begin(self, terms: RelayTerms | None = ANYBODY) -> None:
        """Make the three of them."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.pair = RelayPair(folder)
        self.relay = self.pair.host("relay.n", "192.0.2.77", relay=terms)
        self.now = self.pair.network.seconds

    def terms(self, nonce: bytes = NONCE) -> tuple[LinkTerms, LinkTerms]:
        """What the link must prove: the initiator's, and the target's."""
        book = self.pair.n1.pursuit._tickets
        ticket = book.issue(nonce, "n1.n", "m4.m", self.now() + 30)

        def redeem(dialler: str | None, proof: bytes) -> None:
            book.redeem(ticket, dialler, proof, self.now())

        mine = LinkTerms(ticket, dialler=False, plain=False, redeem=redeem)
        return mine, LinkTerms(ticket, dialler=True, plain=False)

    def joining(self, peer: HostedPeer, terms: LinkTerms, by: str = "relay.n") -> Deferred[DirectLink]:
        """Have a peer go to the relay."""
        return self.pair.start(join(peer, peer._wiring, by, terms))

    def linked(self) -> tuple[DirectLink, DirectLink]:
        """Both ends of a relayed link."""
        mine, theirs = self.terms()
        first, second = self.joining(self.pair.n1, mine), self.joining(self.pair.m4, theirs)
        self.pair.network.settle()
        return self.successResultOf(first), self.successResultOf(second)

    def reason(self, joining: Deferred[Any]) -> str:
        """Why no link came to stand."""
        return str(self.failureResultOf(joining, RelayFailed).value)

    def ask(self, sender: HostedPeer, **more: str | bytes) -> Any:
        """Send the relay a request by hand; returns what keeps what comes of it."""
        link, _ = self.pair.run(sender.link_to("relay.n"))
        told = Told()
        clock: Any = self.pair.network
        request = Request("relay", more=more)
        told.duplex = Duplex(link.open_stream(), request, told, clock=clock, silence_s=30.0, header_bytes=4096)
        self.pair.network.settle()
        return told


class Told:
    """Keeps what an exchange tells."""

    duplex: Duplex

    def __init__(self) -> None:
        self.data = bytearray()
        self.ends: list[str] = []

    def came(self, data: memoryview) -> None:
        self.data += data

    def ended(self) -> None:
        self.ends.append("ended")

    def broken(self, failure: Exception) -> None:
        self.ends.append(str(failure))


class RelayedTests(RelayCase):
    def echoed(self, size: int) -> None:
        """Something goes from n1.n to m4.m and back."""
        content = bytes(range(256)) * (size // 256)
        sinks: list[DigestSink] = []

        def sink() -> DigestSink:
            sinks.append(DigestSink())
            return sinks[-1]

        source = BytesSource(content)
        exchange = self.pair.n1.exchange("m4.m", Request("echo"), source, sink, planned_ns=0)
        result = self.pair.run(exchange, 1.0)
        self.assertEqual((size, source.digest), (result.reply_bytes, sinks[-1].digest))

    def test_link(self) -> None:
        """A relayed link is the pair's link at both ends, with the names of both certificates and TLS of their own."""
        near, far = self.linked()
        self.assertEqual(("relay.n", "relay.n"), (near.relayed_by, far.relayed_by))
        self.assertIs(near, self.pair.n1.links["m4.m"])
        self.assertIs(far, self.pair.m4.links["n1.n"])
        self.assertGreater(near.steps.secured_ns + 1, 0)
        self.assertFalse(near.terms.plain or far.terms.plain)
        self.echoed(256)
        self.echoed(8 * 1024 * 1024)
        self.assertGreater(self.relay.meetings.relayed, 16 * 1024 * 1024)

    def test_plain_never(self) -> None:
        """Where plain links are allowed, a relayed one has TLS all the same."""
        mine, theirs = (replace(one, plain=True) for one in self.terms())
        first, second = self.joining(self.pair.n1, mine), self.joining(self.pair.m4, theirs)
        for one in (first, second):
            self.assertFalse(self.successResultOf(one).terms.plain)

    def spy(self, write: Callable[[bytes | memoryview], None], seen: bytearray) -> Callable[[bytes | memoryview], None]:
        """The same, which keeps what is written."""

        def spied(data: bytes | memoryview) -> None:
            seen.extend(data)
            write(data)

        return spied

    def test_ciphertext(self) -> None:
        """What the relay passes on has nothing of the content in it."""
        seen = bytearray()
        end = self.relay.meetings
        self.linked()
        (meeting,) = end._joined
        for one in meeting.ends:
            self.patch(one, "write", self.spy(one.write, seen))
        self.echoed(256 * 64)
        self.assertGreater(len(seen), 256 * 64)
        self.assertNotIn(bytes(range(64)), bytes(seen))

    def test_polite(self) -> None:
        """A polite close ends the link, and the exchange with the relay, at all three."""
        near, far = self.linked()
        near.close()
        self.pair.network.settle()
        self.assertEqual(("closed", "closed"), (near.steps.reason, far.steps.reason))
        self.assertEqual([], self.relay.meetings.joined)
        self.assertEqual(0, self.pair.n1.links["relay.n"].stream_count)
        self.assert_nothing_left(self.pair)

    def test_relay_dies(self) -> None:
        """When the relay is gone the link breaks at both ends, as by a cable, and says by whom it was relayed."""
        near, far = self.linked()
        for link in list(self.relay.links.values()):
            link.abort("killed")
        self.pair.network.settle()
        for link in (near, far):
            self.assertIn("relay.n, which relayed it", link.steps.reason)
        self.assert_nothing_left(self.pair)

    def test_relay_stops(self) -> None:
        """A relay that is stopped parts those that it joins, and doesn't wait for them."""
        near, _ = self.linked()
        stopped = self.pair.start(self.relay.stop())
        self.successResultOf(stopped)
        self.assertIn("is stopping", near.steps.reason)
        self.assert_nothing_left(self.pair)

    def test_idle(self) -> None:
        """A relayed link on which nothing moves stays, longer than an exchange may stand still."""
        near, _ = self.linked()
        self.pair.n1._direct_again.close()
        for _ in range(200):
            self.pair.network.advance(1.0)
        self.assertTrue(near.reusable)

    def test_direct_again(self) -> None:
        """While a relayed link stands its initiator tries for a direct one, which takes its place at both ends."""
        near, far = self.linked()
        self.pair.routers.candidates = ["192.0.2.200"]
        self.pair.network.advance(AGAIN_FIRST_S)
        self.pair.network.advance(AGAIN_FIRST_S)
        self.assertIs(near, self.pair.n1.links["m4.m"])
        self.pair.routers.candidates = None
        self.pair.network.advance(AGAIN_FIRST_S)
        for peer, other, old in ((self.pair.n1, "m4.m", near), (self.pair.m4, "n1.n", far)):
            self.assertEqual("", peer.links[other].relayed_by)
            self.assertEqual("closed", old.steps.reason)
        self.assertEqual([], self.relay.meetings.joined)
        self.assert_nothing_left(self.pair)

    def test_nobody_comes(self) -> None:
        """Who waits for somebody in vain is told so, and nothing is left of it."""
        waiting = self.joining(self.pair.n1, self.terms()[0])
        self.assertEqual(1, self.relay.meetings.waiting)
        self.pair.network.advance(MEET_S)
        self.assertIn("m4.m", self.reason(waiting))
        self.assertEqual(0, self.relay.meetings.waiting)
        self.assert_nothing_left_but_tickets()

    def test_given_up(self) -> None:
        """A cancelled join leaves nothing, whether it waits or shakes hands."""
        waiting = self.joining(self.pair.n1, self.terms()[0])
        waiting.addErrback(lambda failure: None)
        waiting.cancel()
        self.pair.network.settle()
        self.assertEqual(0, self.relay.meetings.waiting)
        self.assert_nothing_left_but_tickets()

    def assert_nothing_left_but_tickets(self) -> None:
        self.pair.n1.pursuit._tickets._tickets.clear()
        self.assert_nothing_left(self.pair)

    def test_relay_of_a_relay(self) -> None:
        """A relay takes nobody whose link to it is relayed itself, and nobody goes to one by such a link."""
        self.linked()
        self.pair.m4.meetings._terms = RelayTerms(("*",))
        mine = LinkTerms(Ticket(bytes(32), "n1.n", "n9.n", 99.0), dialler=False, plain=False)
        self.assertIn("relayed itself, by relay.n", self.reason(self.joining(self.pair.n1, mine, "m4.m")))
        link = self.pair.n1.links["m4.m"]
        told = Told()
        more: dict[str, str | bytes] = {"meeting": bytes(32), "other": "n9.n"}
        Duplex(
            link.open_stream(),
            Request("relay", more=more),
            told,
            clock=self.pair.network,
            silence_s=30.0,
            header_bytes=4096,
        )
        self.pair.network.settle()
        self.assertIn("m4.m relays direct links only, and relay.n relays this one", told.ends[0])

    def test_end_as_relay(self) -> None:
        """No end of a link relays it."""
        self.assertIn("is an end", self.reason(self.joining(self.pair.n1, self.terms()[0], "m4.m")))

    def test_no_relay(self) -> None:
        """A peer without relay: in its YAML relays for nobody, and says so."""
        self.begin(None)
        self.assertIn("relay.n is no relay", self.reason(self.joining(self.pair.n1, self.terms()[0])))
        self.assertEqual(1, self.relay.meetings.refused)

    def test_not_granted(self) -> None:
        """A relay relays for those alone whom its YAML names."""
        self.begin(RelayTerms(("*.m",)))
        self.assertIn("doesn't relay for n1.n", self.reason(self.joining(self.pair.n1, self.terms()[0])))

    def test_unreachable(self) -> None:
        """A relay that can't be reached is named."""
        self.assertIn("relay x.n can't be reached", self.reason(self.joining(self.pair.n1, self.terms()[0], "x.n")))

    def test_stranger(self) -> None:
        """Somebody with the meeting of others is refused, and doesn't disturb who waits there."""
        mine, theirs = self.terms()
        first = self.joining(self.pair.n1, mine)
        stranger = self.pair.host("n9.n", "192.0.2.9")
        told = self.ask(stranger, meeting=mine.ticket.meeting(), other="n1.n")
        self.assertIn("knows of no meeting", told.ends[0])
        second = self.joining(self.pair.m4, theirs)
        self.successResultOf(first)
        self.successResultOf(second)

    def test_nonsense(self) -> None:
        """Requests that make no sense are refused with the reason."""
        wrong: list[dict[str, str | bytes]] = [{}, {"meeting": b"short", "other": "m4.m"}]
        wrong.append({"meeting": bytes(32), "other": "n1.n"})
        for more in wrong:
            (reason,) = self.ask(self.pair.n1, **more).ends
            self.assertIn("relay.n can't tell", reason)
        (reason,) = self.ask(self.pair.n1, meeting=bytes(32), other=b"\xff").ends
        self.assertIn("isn't UTF-8", reason)

    def test_rubbish(self) -> None:
        """A relay that sends rubbish instead of who is there fails the join, and is named."""
        self.relay._around.services._by_name["relay"] = echo
        real = Duplex.__init__

        def with_rubbish(duplex: Duplex, *arguments: Any, **named: Any) -> None:
            real(duplex, *arguments, **named)
            duplex.write(b"\xff" * 600)

        self.patch(Duplex, "__init__", with_rubbish)
        self.assertIn("the relay relay.n makes no sense", self.reason(self.joining(self.pair.n1, self.terms()[0])))

    def test_numbers(self) -> None:
        """A relay has a limit in total, for a pair, and for what one peer waits for; others aren't disturbed."""
        self.begin(RelayTerms(("*",), pairs=3, each=2))
        waiting = [self.joining(self.pair.n1, self.terms(bytes([n]) * 32)[0]) for n in range(3)]
        self.assertIn("2 links of n1.n and m4.m already", self.reason(waiting[2]))
        self.ask(self.pair.n1, meeting=bytes(32), other="n7.n")
        (reason,) = self.ask(self.pair.n1, meeting=bytes(31) + b"1", other="n8.n").ends
        self.assertIn("relays for 3 pairs already", reason)
        self.begin(RelayTerms(("*",)))
        for number in range(8):
            self.ask(self.pair.n1, meeting=bytes([number]) * 32, other=f"x{number}.n")
        (reason,) = self.ask(self.pair.n1, meeting=b"x" * 32, other="x9.n").ends
        self.assertIn("wait for 8 others", reason)

    def test_rates(self) -> None:
        """No more goes in a second than the limits say, in total and for a pair."""
        for terms in (RelayTerms(("*",), rate=100_000), RelayTerms(("*",), pair_rate=100_000)):
            self.begin(terms)
            one = self.ask(self.pair.n1, meeting=NONCE, other="m4.m")
            other = self.ask(self.pair.m4, meeting=NONCE, other="n1.n")
            one.duplex.write(bytes(200_000))
            one.duplex.write(bytes(200_000))
            for _ in range(40):
                self.pair.network.advance(0.05)
            self.assertLess(len(other.data), 350_000)
            for _ in range(60):
                self.pair.network.advance(0.05)
            self.assertGreater(len(other.data), 400_000)

    def test_halves(self) -> None:
        """A direction ends by itself, and the other goes on; who then does nothing is parted."""
        one = self.ask(self.pair.n1, meeting=NONCE, other="m4.m")
        other = self.ask(self.pair.m4, meeting=NONCE, other="n1.n")
        one.duplex.keep_open()
        other.duplex.keep_open()
        one.duplex.finish()
        self.pair.network.settle()
        self.assertEqual((["ended"], []), (other.ends, one.ends))
        other.duplex.write(b"still here")
        self.pair.network.advance(1)
        self.assertTrue(one.data.endswith(b"still here"))
        for _ in range(60):
            self.pair.network.advance(HALF_S / 20)
        self.assertIn("nothing moved", one.ends[0])
        self.assertEqual([], self.relay.meetings.joined)

    def test_backpressure(self) -> None:
        """Who doesn't read holds up who sends, and the relay holds little meanwhile."""
        one = self.ask(self.pair.n1, meeting=NONCE, other="m4.m")
        other = self.ask(self.pair.m4, meeting=NONCE, other="n1.n")
        other.duplex.pauseProducing()
        for _ in range(640):
            one.duplex.write(bytes(65536))
        for _ in range(50):
            self.pair.network.advance(0.01)
        self.assertLess(self.relay.meetings.relayed, 4 * 1024 * 1024)
        other.duplex.resumeProducing()
        for _ in range(200):
            self.pair.network.advance(0.01)
        self.assertGreaterEqual(len(other.data), 640 * 65536)
