"""What becomes of connections when this machine is attached to other networks."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.peer.roaming import Whereabouts


class WhereaboutsTests(SynchronousTestCase):
    """A machine with two addresses that reaches all others from the first."""

    def setUp(self) -> None:
        """Make it."""
        self.where = Whereabouts({"192.0.2.1", "2001:db8::1"}, lambda remote: None if ":" in remote else "192.0.2.1")

    def test_lost(self) -> None:
        """A connection from an address that is gone is lost, one from an address that is there isn't, however it is
        written; loopback addresses never go."""
        for there in ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "127.0.0.1", "::1", "127.7.7.7"):
            self.assertFalse(self.where.lost(there), there)
        for gone in ("192.0.2.2", "::ffff:192.0.2.2", "2001:db8::2"):
            self.assertTrue(self.where.lost(gone), gone)

    def test_elsewhere(self) -> None:
        """A connection that would be made from another address by now may be dead; while there is no way at all, it
        may come back, and nothing changes within the machine."""
        self.assertTrue(self.where.elsewhere("192.0.2.9", "198.51.100.1"))
        self.assertFalse(self.where.elsewhere("192.0.2.1", "::ffff:198.51.100.1"))
        self.assertFalse(self.where.elsewhere("::ffff:192.0.2.1", "198.51.100.1"))
        self.assertFalse(self.where.elsewhere("2001:db8::9", "2001:db8::2"))
        self.assertFalse(self.where.elsewhere("192.0.2.9", "127.0.0.1"))
