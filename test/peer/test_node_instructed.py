"""What a router may tell a peer to do: everything else is refused by name, and nothing begins."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from p2p.base.errors import Outcome
from p2p.control.commands import Busy, Refused
from p2p.peer.approach import Approaches
from p2p.peer.instruction import DIALS_EACH, MAX_CANDIDATES
from test.network import Machine
from test.peer.pair import M4, N1, NodeCase, Pair

INSTRUCTION: dict[str, Any] = {
    "target": "m4.m",
    "initiator": "n1.n",
    "observed": "",
    "candidates": [N1],
    "port": 7000,
    "ticket": bytes(32),
    "lifetime": 30.0,
    "plain": False,
}


class InstructedTests(NodeCase):
    def instruct(self, pair: Pair, **changed: Any) -> Deferred[Any]:
        """Tell m4.m to dial."""
        self.tickets = getattr(self, "tickets", 0) + 1
        ticket = self.tickets.to_bytes(32)
        return Deferred.fromCoroutine(pair.m4.instructed({**INSTRUCTION, "ticket": ticket, **changed}))

    def test_dials(self) -> None:
        """A good instruction is answered at once, before anything is dialled."""
        pair = self.make_pair()
        answer = self.successResultOf(self.instruct(pair))
        self.assertEqual({"dialling": True, "plain": False}, answer)
        self.assertEqual(1, pair.m4.pursuit.open_dials)
        pair.network.settle()
        self.assertEqual({}, pair.leftovers())

    def test_refused(self) -> None:
        """What makes no sense is refused, in words that are short and harmless, and nothing is dialled."""
        wrong: list[dict[str, Any]] = [
            {"target": "m5.m"},
            {"target": "\x1b" * 1000},
            {"initiator": "m4.m"},
            {"initiator": "router.n"},
            {"initiator": "N1.n"},
            {"initiator": "\x1b" * 1000},
            {"port": 0},
            {"port": 22},
            {"port": 1023},
            {"port": 65536},
            {"port": -1},
            {"lifetime": 0.0},
            {"lifetime": -1.0},
            {"lifetime": float("nan")},
            {"lifetime": float("inf")},
            {"candidates": []},
            {"candidates": ["example.org"]},
            {"candidates": ["0.0.0.0"]},
            {"candidates": ["224.0.0.1"]},
            {"candidates": ["169.254.1.1"]},
            {"candidates": ["fe80::1"]},
            {"candidates": ["fe80::1%lo"]},
            {"candidates": ["255.255.255.255"]},
            {"candidates": ["127.0.0.1"]},
            {"candidates": [N1, "::ffff:127.0.0.1"]},
            {"candidates": ["192.0.2.1", "\x1b" * 1000]},
            {"candidates": ["192.0.2.1"] * (MAX_CANDIDATES + 1)},
            {"ticket": b""},
            {"ticket": bytes(31)},
            {"ticket": bytes(33)},
        ]
        for changed in wrong:
            pair = self.make_pair()
            refusal = str(self.failureResultOf(self.instruct(pair, **changed), Refused).value)
            self.assertTrue(refusal.isprintable(), refusal)
            self.assertLess(len(refusal), 400, refusal)
            self.assertEqual({}, pair.leftovers())

    def test_reported(self) -> None:
        """Who asked for a dial that came to nothing is told where it went and how it ended, if it wants that."""
        for reports, expected in ((True, [("192.0.2.66", "refused"), (N1, "no-answer")]), (None, None)):
            pair = self.make_pair()
            pair.network.pull(N1, M4)
            candidates = ["192.0.2.66", N1]
            self.successResultOf(self.instruct(pair, candidates=candidates, reports=reports))
            pair.network.advance(31)
            reports_of = [list(zip(one["addresses"], one["failures"], strict=True)) for one in pair.routers.reports]
            self.assertEqual([expected] if expected else [], reports_of)
            self.assertEqual({}, pair.leftovers())

    def test_report_ends_it(self) -> None:
        """The initiator's attempt is over with the report if its own dials failed, long before its ticket dies."""
        pair = self.make_pair()
        pair.routers.reporting = True
        pair.routers.candidates, pair.routers.reachable = ["192.0.2.66"], ["192.0.2.77"]
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.advance(0.1)
        self.assertIn("192.0.2.66, port", reason := self.failed(waiting, Outcome.CONNECT_FAILED))
        self.assertIn("the connection was refused; from here, 192.0.2.77, port ", reason)
        pair.network.advance(10)
        self.assertEqual({}, pair.leftovers())

    def test_wrong_end_is_reported(self) -> None:
        """What answers at an address and isn't the initiator is reported as that."""
        pair = self.make_pair()
        listener = Factory.forProtocol(Protocol)
        pair.network.on("192.0.2.66").listenTCP(40500, listener)
        self.successResultOf(self.instruct(pair, candidates=["192.0.2.66"], port=40500, reports=True))
        pair.network.advance(31)
        (report,) = pair.routers.reports
        self.assertEqual((["192.0.2.66"], ["no-link"]), (report["addresses"], report["failures"]))

    def test_report_of_others(self) -> None:
        """A report that names another initiator, or a peer that isn't asked for, changes nothing."""
        pair = self.make_pair()
        pair.network.pull(N1, M4)
        pair.routers.reachable = ["192.0.2.77"]
        waiting = pair.start(pair.n1.link_to("m4.m"))
        ticket = pair.routers.asked[0][1]["ticket"]
        report = {"target": "m4.m", "initiator": "n1.n", "ticket": ticket, "addresses": [N1], "failures": ["refused"]}
        for changed in ({"initiator": "n2.n"}, {"target": "m5.m"}, {"ticket": bytes(32)}):
            pair.n1.reported({**report, **changed})
        self.assertNoResult(waiting)
        pair.n1.reported(report)
        pair.network.advance(1)
        self.failed(waiting, Outcome.CONNECT_FAILED)
        pair.network.advance(31)

    def test_this_machine(self) -> None:
        """A router on this machine may name a loopback address: a lab can be on one machine."""
        pair = self.make_pair()
        registration: Any = pair.m4.registration
        registration.nearby = True
        self.assertTrue(self.successResultOf(self.instruct(pair, candidates=["127.0.0.1"]))["dialling"])
        pair.network.advance(31)

    def test_stopping(self) -> None:
        """A peer that stops says so."""
        pair = self.make_pair()
        pair.run(pair.m4.stop())
        self.assertIn("it is stopping", str(self.failureResultOf(self.instruct(pair), Refused).value))

    def test_too_many_dials(self) -> None:
        """At the limit of dials a peer is busy, and says when to ask again; when one has ended, it takes the next."""
        pair = self.make_pair(attempts_in_flight=3)
        pair.network.pull(N1, M4)
        for number in range(3):
            self.successResultOf(self.instruct(pair, initiator=f"n{number}.n"))
        busy = self.failureResultOf(self.instruct(pair), Busy).value
        self.assertIsInstance(busy, Busy)
        self.assertEqual(0.5, busy.retry_after)
        pair.network.advance(31)
        self.successResultOf(self.instruct(pair))
        pair.network.advance(31)
        self.assertEqual({}, pair.leftovers())

    def test_dials_of_one_initiator(self) -> None:
        """One initiator alone can't keep a peer so busy that it has no dial left for the others."""
        pair = self.make_pair(attempts_in_flight=10)
        pair.network.pull(N1, M4)
        for _ in range(DIALS_EACH):
            self.successResultOf(self.instruct(pair))
        self.assertIn("for n1.n", str(self.failureResultOf(self.instruct(pair), Busy).value))
        self.successResultOf(self.instruct(pair, initiator="n2.n"))
        pair.network.advance(31)
        self.assertEqual({}, pair.leftovers())
        self.successResultOf(self.instruct(pair))
        pair.network.advance(31)

    def test_lifetime(self) -> None:
        """A ticket isn't dialled for longer than it lives, and not for longer than ``ticket_s``, whatever was said."""
        for lifetime, ends_after in ((5.0, 5.0), (1e9, 12.0)):
            pair = self.make_pair(ticket_s=12.0, handshake_s=100.0)
            pair.network.pull(N1, M4)
            self.successResultOf(self.instruct(pair, lifetime=lifetime))
            pair.network.advance(ends_after - 0.1)
            self.assertEqual(1, pair.m4.pursuit.open_dials)
            pair.network.advance(0.2)
            self.assertEqual({}, pair.leftovers())

    def test_next_candidate(self) -> None:
        """When an address doesn't answer, or refuses, the next one is tried."""
        pair = self.make_pair()
        pair.network.pull("192.0.2.66", M4)
        pair.routers.candidates = ["192.0.2.66", "192.0.2.77", N1]
        waiting = pair.start(pair.n1.link_to("m4.m"))
        pair.network.advance(11)
        link, _ = self.successResultOf(waiting)
        self.assertTrue(link.reusable)
        self.assert_nothing_left(pair)

    def test_no_candidate_answers(self) -> None:
        """What each address said is logged, and nothing is left."""
        pair = self.make_pair()
        told: list[str] = []
        self.patch(Approaches, "_log", _Log(told))
        pair.network.pull("192.0.2.66", M4)
        self.successResultOf(self.instruct(pair, candidates=["192.0.2.66", "2001:db8::1", "192.0.2.77"]))
        pair.network.advance(31)
        (line,) = told
        self.assertIn("192.0.2.66, port 7000: nothing answered", line)
        self.assertIn("2001:db8::1, port 7000: the connection was refused; ", line)
        self.assertIn("192.0.2.77, port 7000: the connection was refused; ", line)
        self.assertEqual({}, pair.leftovers())

    def test_twice(self) -> None:
        """An instruction that comes twice, because an answer was lost, makes one link."""
        pair = self.make_pair()
        request = pair.routers.request

        async def twice(initiator: str, arguments: dict[str, Any]) -> dict[str, Any]:
            await request(initiator, arguments)
            return await request(initiator, arguments)

        self.patch(pair.routers, "request", twice)
        pair.link()
        self.assertEqual(1, len(pair.m4.connections))
        self.assert_nothing_left(pair)

    def test_fault_in_a_dial(self) -> None:
        """A fault of ours in a dial isn't hidden, and the dial counts as ended."""
        pair = self.make_pair()

        class Fault(BaseException):
            """Nothing that is expected."""

        def faulty(*arguments: Any, **more: Any) -> None:
            raise Fault

        self.patch(Machine, "connectTCP", faulty)
        self.failureResultOf(self.instruct(pair), Fault)
        self.assertEqual({}, pair.leftovers())


class _Log:
    """A logger that keeps its lines."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def warn(self, format: str, **fields: Any) -> None:  # noqa: A002 - as Twisted names it
        self._told.append(format.format(**fields))

    info = failure = warn
