"""Where the routers of a lab are, and that its plan makes sense."""

from __future__ import annotations

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ConfigError
from p2p.identity.lab_files import LabPlan, RouterPlace, make_plan


class PlanTests(SynchronousTestCase):
    """Where routers are."""

    def refused(self, clusters: str, hosts: dict[str, str] | None = None, ports: dict[str, int] | None = None) -> str:
        return str(self.assertRaises(ConfigError, make_plan, clusters.split(), hosts, ports))

    def test_defaults(self) -> None:
        """Without a word, routers are on this machine and count their ports from 5555 on."""
        plan = make_plan(["n", "m"])
        self.assertEqual(
            [place.endpoint for place in plan.clusters.values()], ["tcp:127.0.0.1:5555", "tcp:127.0.0.1:5556"]
        )

    def test_unknown(self) -> None:
        """A host or port for a cluster that the lab doesn't have is a slip of the pen."""
        self.assertEqual(self.refused("n m", {"q": "192.0.2.1"}), "the lab has no cluster 'q', expected one of: n, m")
        self.assertIn("no cluster 'q'", self.refused("n m", ports={"q": 5}))

    def test_twice(self) -> None:
        """A cluster can't be there twice."""
        self.assertIn("named twice", self.refused("n n"))

    def test_none(self) -> None:
        """A lab has a cluster at least."""
        self.assertIn("clusters: ", self.refused(""))

    def test_same_place(self) -> None:
        """Two routers can't listen on the same port of the same machine."""
        self.assertEqual(
            self.refused("n m", ports={"n": 5556}), "clusters.m.port: 127.0.0.1 port 5556 is that of cluster n already"
        )

    def test_mixed(self) -> None:
        """A router that only its own machine reaches is no neighbour for one that is elsewhere."""
        message = self.refused("n m", {"n": "192.0.2.1"})
        self.assertIn("clusters.m.host: 127.0.0.1 can't be reached from other machines", message)

    def test_hosts(self) -> None:
        """A host is a DNS name or the address of one machine."""
        for host in ("", "a b", "-x", "1.2.3", "1.2.3.4.5", "0.0.0.0", "224.0.0.1", "::", "x" * 64, "tcp:h", "a..b"):
            self.assertIn("clusters.n.host: ", self.refused("n", {"n": host}))
        for host in ("router-n", "Router-N.Example.ORG", "192.0.2.1", "2001:db8::1", "localhost"):
            make_plan(["n"], {"n": host})
        for host in ("192.0.2.1/33", "router-n/24", "192.0.2.1/", "/24", "192.0.2.1/24/24"):
            self.assertIn("isn't an address with the prefix of its network", self.refused("n", {"n": host}))

    def test_ports(self) -> None:
        """A port is one that a socket can have."""
        for port in (0, 65_536):
            self.assertIn("clusters.n.port: ", self.refused("n", ports={"n": port}))

    def test_local(self) -> None:
        """A lab on one machine listens there alone, over IPv6 as well."""
        for host, interface in (("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "\\:\\:1")):
            self.assertEqual(RouterPlace(host=host, port=5).listener(0), f"tcp:0:interface={interface}")
        self.assertEqual(RouterPlace(host="192.0.2.1", port=5).listener(5), "tcp:5")
        self.assertEqual(RouterPlace(host="2001:db8::1", port=5).listener(5), "tcp:5:interface=\\:\\:")

    def test_model(self) -> None:
        """The same rules hold for the file."""
        self.assertRaises(ValidationError, LabPlan, clusters={})
