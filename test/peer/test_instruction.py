"""What a router tells a peer to dial; that nonsense is refused is in test_node_instructed."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.control.commands import Refused
from p2p.peer.instruction import MAX_CANDIDATES, Instruction, check_instruction, check_reachable, failures_of
from p2p.peer.offered import OwnAddresses

ARGUMENTS: dict[str, Any] = {
    "target": "m4.m",
    "initiator": "n1.n",
    "candidates": ["192.0.2.1", "2001:db8::1"],
    "port": 7000,
    "ticket": bytes(range(32)),
    "lifetime": 30.0,
    "plain": True,
    "reports": True,
}


class InstructionTests(SynchronousTestCase):
    def check(self, *, nearby: bool = False, allowed: bool = True, **changed: Any) -> Instruction:
        """Check one that came at 100 s."""
        arguments = {**ARGUMENTS, **changed}
        own = OwnAddresses(("192.0.2.4",), frozenset({"192.0.2.4"}), (ip_network("192.0.2.0/24"),))
        return check_instruction(arguments, "m4.m", own, nearby=nearby, plain=allowed, now=100.0, longest_s=20.0)

    def test_taken(self) -> None:
        """The ticket lives no longer than it may here; a link is plain if both sides allow it."""
        checked = self.check()
        self.assertEqual((["192.0.2.1", "2001:db8::1"], 7000), (checked.candidates, checked.port))
        self.assertEqual(
            ("n1.n", "m4.m", 120.0), (checked.ticket.initiator, checked.ticket.target, checked.ticket.expires)
        )
        self.assertEqual((True, True), (checked.plain, checked.reports))
        self.assertEqual((False, False), (self.check(allowed=False).plain, self.check(plain=False).plain))
        self.assertEqual(105.0, self.check(lifetime=5.0).ticket.expires)

    def test_report(self) -> None:
        """What is reported of a dial can be read, as many addresses as there can be."""
        failures = [("192.0.2.1", "refused"), ("2001:db8::1", "no-answer")]
        report = self.check().report(failures)
        self.assertEqual(("m4.m", "n1.n", bytes(range(32))), (report["target"], report["initiator"], report["ticket"]))
        self.assertEqual(failures, failures_of(report))
        self.assertEqual(MAX_CANDIDATES, len(failures_of(self.check().report(failures * 50))))

    def test_of_version_0_1_0(self) -> None:
        """A router that says nothing of reports doesn't take them."""
        for said in ({"reports": None}, {"reports": False}):
            self.assertFalse(self.check(**said).reports)

    def test_this_machine(self) -> None:
        """Only a router on this machine may name an address of it."""
        self.assertRaises(Refused, self.check, candidates=["127.0.0.1"])
        self.assertEqual(["127.0.0.1"], self.check(candidates=["127.0.0.1"], nearby=True).candidates)


class ReachableTests(SynchronousTestCase):
    """Where a router says that a target is: an initiator dials it as little blindly as a target does."""

    def test_taken(self) -> None:
        """Addresses that anybody can be told are dialled, as many as there can be; one of this machine if the router is
        on it."""
        many = [f"192.0.2.{number}" for number in range(1, MAX_CANDIDATES + 1)]
        self.assertEqual(many, check_reachable(42000, many, nearby=False, mapped=61000))
        self.assertEqual(["127.0.0.1"], check_reachable(42000, ["127.0.0.1"], nearby=True))

    def test_refused(self) -> None:
        """Loopback, what isn't one machine, a hundred addresses and ports out of range are refused, in short and
        harmless words."""
        wrong: list[tuple[int, list[str], int | None]] = [
            (42000, ["127.0.0.1"], None),
            (42000, ["192.0.2.1", "::1"], None),
            (42000, ["::ffff:127.0.0.1"], None),
            (42000, ["224.0.0.1"], None),
            (42000, ["\x1b" * 1000], None),
            (42000, ["192.0.2.1"] * 100, None),
            (22, ["192.0.2.1"], None),
            (65536, ["192.0.2.1"], None),
            (42000, ["192.0.2.1"], 22),
            (42000, ["192.0.2.1"], 65536),
            (42000, [], 61000),
        ]
        for port, addresses, mapped in wrong:
            refusal = str(self.assertRaises(Refused, check_reachable, port, addresses, nearby=False, mapped=mapped))
            self.assertIn("the router has it dialled where nobody can be", refusal)
            self.assertTrue(refusal.isprintable(), refusal)
            self.assertLess(len(refusal), 300)
