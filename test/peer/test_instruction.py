"""What a router may have its peer dial."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.ticket import NONCE_BYTES
from p2p.control.commands import Refused
from p2p.peer.instruction import MAX_CANDIDATES, Instruction, check_instruction

GOOD: dict[str, Any] = {
    "initiator": "n1.n",
    "target": "m4.m",
    "candidates": ["192.0.2.1"],
    "port": 40000,
    "ticket": bytes(NONCE_BYTES),
    "lifetime": 60.0,
    "plain": True,
}


class InstructionTests(SynchronousTestCase):
    def check(self, *, nearby: bool = False, plain: bool = False, **different: Any) -> Instruction:
        """Check an instruction that m4.m got."""
        return check_instruction({**GOOD, **different}, "m4.m", nearby=nearby, plain=plain, now=100.0, longest_s=30.0)

    def test_good(self) -> None:
        """A good one says whom to dial, for no longer than a ticket lives here, and plain only where both want it."""
        found = self.check()
        self.assertEqual((["192.0.2.1"], 40000, False), (found.candidates, found.port, found.plain))
        self.assertEqual(("n1.n", "m4.m", 130.0), (found.ticket.initiator, found.ticket.target, found.ticket.expires))
        self.assertTrue(self.check(plain=True).plain)

    def test_refused(self) -> None:
        """What makes no sense, or nobody may be told to dial, is refused."""
        bad: tuple[dict[str, Any], ...] = (
            {"target": "m5.m"},
            {"initiator": "m4.m"},
            {"initiator": "no name"},
            {"port": 22},
            {"port": 65536},
            {"lifetime": 0.0},
            {"lifetime": float("inf")},
            {"lifetime": float("nan")},
            {"ticket": b"short"},
            {"candidates": []},
            {"candidates": ["192.0.2.1"] * (MAX_CANDIDATES + 1)},
            {"candidates": ["127.0.0.1"]},
            {"candidates": ["0.0.0.0"]},
            {"candidates": ["224.0.0.1"]},
            {"candidates": ["not an address"]},
        )
        for different in bad:
            self.assertRaises(Refused, self.check, **different)

    def test_nearby(self) -> None:
        """A router on this machine may name this machine's own addresses: two of its peers must link."""
        self.assertEqual(["127.0.0.1"], self.check(nearby=True, candidates=["127.0.0.1"]).candidates)
