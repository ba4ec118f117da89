"""Whether an address is one of this machine."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2p.wire.own_address import is_own_address


class OwnAddressTests(SynchronousTestCase):
    def test_own(self) -> None:
        """The loopback addresses are this machine's; those of documentation (RFC 5737, RFC 3849) are nobody's."""
        self.assertTrue(is_own_address("127.0.0.1"))
        for foreign in ("192.0.2.1", "2001:db8::1", "no address"):
            self.assertFalse(is_own_address(foreign))
