"""What a router tells a peer to dial; that nonsense is refused is in test_node_instructed."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.control.commands import Refused
from p2p.peer.instruction import MAX_CANDIDATES, Instruction, check_instruction, failures_of
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
