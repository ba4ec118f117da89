"""Tests for :mod:`p2p.base.endpoints`."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.endpoints import check_fresh_listener, check_listener, check_router


class EndpointTestCase(SynchronousTestCase):
    """What the checks have in common."""

    def refused(self, check: Callable[[str], str], description: str) -> str:
        """Return why a description is refused."""
        return str(self.assertRaises(ValueError, check, description))

    def accepted(self, check: Callable[[str], str], *descriptions: str) -> None:
        """Each of these is fine, and is handed back as it is."""
        for description in descriptions:
            self.assertEqual(check(description), description)


class ListenerTests(EndpointTestCase):
    """Where a router listens."""

    def test_accepted(self) -> None:
        """TCP on all addresses or one, over IPv4 and IPv6, and sockets of systemd go."""
        self.accepted(
            check_listener,
            "tcp:5555",
            "tcp:0",
            "tcp:port=5555:interface=192.0.2.1:backlog=500",
            "tcp:5555:interface=\\:\\:",
            "tcp6:5555",
        )

    def test_systemd(self) -> None:
        """A socket that systemd hands over later needn't be there yet, for the check runs before the start."""
        self.accepted(check_listener, "systemd:domain=INET:index=0", "systemd:domain=INET6:name=p2p-router")

    def test_systemd_malformed(self) -> None:
        """A description of such a socket must still say which one."""
        self.assertIn("exactly one of", self.refused(check_listener, "systemd:domain=INET"))

    def test_kinds(self) -> None:
        """Any other kind is refused with those that go: its addresses couldn't be passed on."""
        for description in ("unix:/run/p2p", "onion:80", "5555", "", "stdio:"):
            message = self.refused(check_listener, description)
            self.assertIn("doesn't begin with tcp: or tcp6: or systemd:", message)
            self.assertIn("like tcp:5555", message)

    def test_tls(self) -> None:
        """TLS under TLS is refused: the daemon adds it itself."""
        for description in ("ssl:5555:privateKey=k.pem", "tls:/etc/certificates:5555"):
            self.assertIn("the daemon adds itself", self.refused(check_listener, description))

    def test_not_parsed(self) -> None:
        """What Twisted can't parse is refused in its words, without the names of its functions."""
        for description, reason in {
            "tcp:x": "invalid literal for int",
            "tcp:127.0.0.1:5555": "invalid literal for int",
            "tcp:": "invalid literal for int",
            "tcp:5555:bogus=1": "got an unexpected keyword argument 'bogus'",
            "tcp:1:2:3:4": "but 5 were given",
            "tcp:5555\\": "a backslash at its end",
        }.items():
            message = self.refused(check_listener, description)
            self.assertIn(reason, message)
            self.assertNotIn("_parse", message)

    def test_port(self) -> None:
        """A port that no socket has is refused here, not by the system later."""
        for description in ("tcp:65536", "tcp:-1", "tcp6:70000"):
            self.assertIn("isn't within 0 to 65535", self.refused(check_listener, description))

    def test_interface(self) -> None:
        """An interface is an IP address of this machine, not a device or a name."""
        self.assertIn("'eth0' isn't an IP address", self.refused(check_listener, "tcp:5555:interface=eth0"))


class FreshListenerTests(EndpointTestCase):
    """Where a peer binds the socket of one request."""

    def test_accepted(self) -> None:
        """TCP goes, with a port that the system chooses."""
        self.accepted(check_fresh_listener, "tcp:0", "tcp:0:interface=127.0.0.1", "tcp6:0")

    def test_fixed_port(self) -> None:
        """A fixed port is refused: two requests at once couldn't both listen on it."""
        self.assertIn("only one request at a time", self.refused(check_fresh_listener, "tcp:6000"))

    def test_systemd(self) -> None:
        """A socket of systemd isn't fresh."""
        self.assertIn("doesn't begin with tcp:", self.refused(check_fresh_listener, "systemd:domain=INET:index=0"))

    def test_not_parsed(self) -> None:
        """What Twisted can't parse is refused with an example."""
        self.assertIn("expected tcp6:0", self.refused(check_fresh_listener, "tcp:zero"))


class RouterTests(EndpointTestCase):
    """Where a router is reached."""

    def test_accepted(self) -> None:
        """A DNS name or an address with a port goes, IPv6 with its colons escaped, and Twisted's further options."""
        self.accepted(
            check_router,
            "tcp:router-n.example.org:5555",
            "tcp:192.0.2.1:5555",
            "tcp:\\:\\:1:5555",
            "tcp:host=192.0.2.1:port=5555:timeout=5:bindAddress=192.0.2.9",
        )

    def test_not_parsed(self) -> None:
        """What Twisted can't parse is refused in its words."""
        for description, reason in {
            "tcp:192.0.2.1": "missing 1 required positional argument: 'port'",
            "tcp:192.0.2.1:x": "invalid literal for int",
            "tcp:192.0.2.1:5555:bogus=1": "unexpected keyword argument 'bogus'",
            "tcp:h:5555\\": "a backslash at its end",
        }.items():
            self.assertIn(reason, self.refused(check_router, description))

    def test_kinds(self) -> None:
        """Other kinds are refused, TLS with the reason."""
        self.assertIn("doesn't begin with tcp:", self.refused(check_router, "unix:/run/p2p"))
        self.assertIn("doesn't begin with tcp:", self.refused(check_router, "192.0.2.1:5555"))
        self.assertIn("the daemon adds itself", self.refused(check_router, "tls:router-n.example.org:5555"))

    def test_host(self) -> None:
        """A host must be there."""
        self.assertIn("has no host", self.refused(check_router, "tcp::5555"))

    def test_port(self) -> None:
        """Nothing listens on port 0 or beyond 65535."""
        for description in ("tcp:192.0.2.1:0", "tcp:192.0.2.1:65536"):
            self.assertIn("isn't within 1 to 65535", self.refused(check_router, description))
