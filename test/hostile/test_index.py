"""The index of the attacks, and the bounds of each."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from test.hostile.catalogue import ATTACKS, MODULES
from test.hostile.speaker import Budget, Spent, connect

README = Path(__file__).with_name("README.rst")


class IndexTests(SynchronousTestCase):
    """What README.rst says of the attacks."""

    def test_complete(self) -> None:
        """Each attack has its row, with who attacks, what it tries and what must happen; and there is no other row."""
        rows = [" ".join(row.split()) for row in README.read_text("utf-8").split("   * - ")[2:]]
        expected = [f"``{one.name}`` - {one.role} - {one.tries} - {one.must}" for one in ATTACKS.values()]
        self.assertEqual(sorted(expected), sorted(rows))

    def test_bounds(self) -> None:
        """Each attack ends within a minute, and is a function of one of the modules."""
        for one in ATTACKS.values():
            self.assertTrue(0 < one.seconds <= 60 and one.most > 0, one.name)
            self.assertIn(one.play.__module__, [module.__name__ for module in MODULES])


class BoundTests(SynchronousTestCase):
    """What an attack can't do, whatever it is."""

    def test_other_machines(self) -> None:
        """Nobody but this machine is connected to."""
        for host in ("192.0.2.1", "128.0.0.1", "10.0.0.1"):
            with self.assertRaisesRegex(ValueError, "another machine"):
                connect(9, host=host)

    def test_bytes(self) -> None:
        """An attack that has said all that it may is stopped."""
        budget = Budget(10, 100)
        budget.spend(100)
        self.assertFalse(budget.left)
        with self.assertRaises(Spent):
            budget.spend(1)

    def test_time(self) -> None:
        """An attack whose time is over is told so."""
        self.assertFalse(Budget(0, 100).left)
        self.assertTrue(Budget(10, 100).left)
