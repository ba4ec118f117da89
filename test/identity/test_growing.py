"""Tests for :mod:`p2p.identity.growing`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import load_router
from p2p.base.errors import ConfigError, IdentityError
from p2p.identity.growing import add_cluster
from p2p.identity.lab import create_lab, load_plan
from p2p.router.service import load_credentials


class AddClusterTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        self.lab = Path(folder.name) / "lab"

    def test_added(self) -> None:
        """The new router knows the others, and they know it; their files are otherwise as they were."""
        create_lab(self.lab, peers=0, hosts={"n": "192.0.2.1/24", "m": "198.51.100.1"})
        before = (self.lab / "router-n.yaml").read_text()
        made = add_cluster(self.lab, "k", "203.0.113.1")
        config = load_router(made.router.config)
        self.assertEqual("router.k", load_credentials(config).name)
        self.assertEqual({"n", "m"}, set(config.neighbours))
        self.assertEqual({}, made.unchanged)
        for path in made.changed:
            self.assertEqual("tcp:203.0.113.1:5557", load_router(path).neighbours["k"].endpoint)
        added = "\n  k:\n    endpoint: tcp:203.0.113.1:5557"
        self.assertEqual(before, made.changed[0].read_text().replace(added, "", 1))
        plan = load_plan(self.lab)
        self.assertEqual(["n", "m", "k"], list(plan.clusters))

    def test_lonely(self) -> None:
        """A lab of one cluster gets a second one, at a port of one's own."""
        create_lab(self.lab, clusters=["n"], peers=0)
        made = add_cluster(self.lab, "m", "127.0.0.1", 7777)
        self.assertEqual("tcp:127.0.0.1:7777", load_router(made.changed[0]).neighbours["m"].endpoint)

    def test_written_otherwise(self) -> None:
        """A file that isn't there, or is written in another way, is left as it is, with what it needs."""
        create_lab(self.lab, peers=0)
        (self.lab / "router-m.yaml").unlink()
        path = self.lab / "router-n.yaml"
        path.write_text("# mine\nlisten: 5\nneighbours:\n  m: {}\n")
        made = add_cluster(self.lab, "k", "127.0.0.1")
        self.assertEqual(([], {"n", "m"}), (made.changed, set(made.unchanged)))
        self.assertIn("endpoint: tcp:127.0.0.1:5557", made.unchanged["n"])
        self.assertTrue(path.read_text().startswith("# mine\nlisten: 5"))

    def test_wrong(self) -> None:
        """A cluster that is there, or can't be reached by the others, isn't added; nothing is left of it."""
        create_lab(self.lab, peers=0, hosts={"n": "192.0.2.1", "m": "198.51.100.1"})
        before = (self.lab / "lab.yaml").read_bytes()
        for cluster, host, why in (
            ("m", "203.0.113.1", "has a cluster m already"),
            ("k", "nowhere/at/all", "isn't an address with the prefix"),
            ("k", "127.0.0.1", "can't be reached from other machines"),
        ):
            with self.assertRaisesRegex(ConfigError, why):
                add_cluster(self.lab, cluster, host)
        (self.lab / "ca.key").unlink()
        self.assertRaises(IdentityError, add_cluster, self.lab, "k", "203.0.113.1")
        self.assertEqual(before, (self.lab / "lab.yaml").read_bytes())
        self.assertFalse((self.lab / "router-k.yaml").exists())
