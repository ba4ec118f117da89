"""Tests of checking requests and finding the router that has the target."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import InvalidName
from p2p.router.broker import CANDIDATES, Forbidden, Route, check_request, route

GOOD: dict[str, Any] = {
    "target": "m4.m",
    "initiator": "n1.n",
    "port": 40001,
    "ticket": bytes(32),
    "lifetime": 30.0,
    "plain": False,
    "candidates": ["192.0.2.7"],
}


class RouteTests(SynchronousTestCase):
    def test_routes(self) -> None:
        """A cluster is this router's own, a neighbour's, or unknown."""
        self.assertIs(Route.HERE, route("n", "n", ["m"]))
        self.assertIs(Route.NEIGHBOUR, route("m", "n", ["m"]))
        self.assertIs(Route.UNKNOWN, route("k", "n", ["m"]))
        self.assertIs(Route.HERE, route("n", "n", ["n"]))


class CheckRequestTests(SynchronousTestCase):
    def forbidden(self, **changed: Any) -> str:
        return str(self.assertRaises(Forbidden, check_request, **{**GOOD, **changed}))

    def test_good(self) -> None:
        """A request as it must be comes back checked, with its names taken apart."""
        request = check_request(**GOOD)
        self.assertEqual(("m4.m", "m", "n1.n"), (str(request.target), request.target.cluster, str(request.initiator)))
        self.assertEqual(
            (40001, bytes(32), 30.0, False), (request.port, request.ticket, request.lifetime, request.plain)
        )
        self.assertEqual(("192.0.2.7",), request.candidates)

    def test_edges(self) -> None:
        """The first and the last value of each range are allowed."""
        edges: list[dict[str, Any]] = [
            {"port": 1024},
            {"port": 65535},
            {"lifetime": 300.0},
            {"lifetime": 0.001},
            {"candidates": []},
            {"candidates": ["192.0.2.7"] * CANDIDATES},
        ]
        for changed in edges:
            check_request(**{**GOOD, **changed})

    def test_target(self) -> None:
        """A target that isn't a name is nobody."""
        for target in ("", "m4", "M4.m", "router.m", "m4.m.example.org", "x" * 70_000):
            self.assertRaises(InvalidName, check_request, **{**GOOD, "target": target})

    def test_initiator(self) -> None:
        """An initiator that isn't a name is refused, and so is the target itself."""
        self.assertIn("the initiator can't be", self.forbidden(initiator="router.n"))
        self.assertEqual("n1.n asks for a link to itself", self.forbidden(target="n1.n"))

    def test_port(self) -> None:
        """Only ports that an unprivileged process can have: services below 1024 can't be aimed at."""
        for port in (-1, 0, 22, 1023, 65536, 10**300):
            self.assertIn("isn't within 1024 to 65535", self.forbidden(port=port))

    def test_ticket(self) -> None:
        """A ticket has exactly 32 bytes."""
        for length in (0, 31, 33):
            self.assertEqual(f"the ticket has {length} bytes, not 32", self.forbidden(ticket=bytes(length)))

    def test_lifetime(self) -> None:
        """A ticket lives more than 0 and at most 300 s; what isn't a number lives not at all."""
        for lifetime in (0.0, -1.0, 300.1, float("inf"), float("nan")):
            self.assertIn("isn't within 0 to 300", self.forbidden(lifetime=lifetime))

    def test_candidates(self) -> None:
        """At most 8 candidates, all of them addresses that can be dialled."""
        self.assertEqual("9 candidates are more than 8", self.forbidden(candidates=["192.0.2.7"] * 9))
        for candidate in ("localhost", "0.0.0.0", "224.0.0.1", "169.254.0.1", "255.255.255.255"):
            self.assertIn("a candidate can't be dialled", self.forbidden(candidates=["192.0.2.7", candidate]))

    def test_relays(self) -> None:
        """At most 4 relays, all of them names of peers; none is none."""
        self.assertEqual((), check_request(**GOOD).relays)
        self.assertEqual(("relay.n",), check_request(**{**GOOD, "relays": ["relay.n"]}).relays)
        self.assertEqual("5 relays are more than 4", self.forbidden(relays=["relay.n"] * 5))
        self.assertIn("a relay can't be", self.forbidden(relays=["relay.n", "router.n"]))
