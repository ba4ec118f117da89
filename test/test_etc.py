"""Tests for the examples in ``etc/``: configuration files and systemd units."""

from __future__ import annotations

import configparser
from pathlib import Path

import yaml
from pydantic import BaseModel
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import (
    AcceptRule,
    Neighbour,
    PeerConfig,
    PeerEntry,
    PeerLimits,
    RouterConfig,
    RouterLimits,
    TLSFiles,
    load_peers,
    load_router,
)
from p2p.base.errors import ConfigError

ROOT = Path(__file__).parents[1]


class ExampleTests(SynchronousTestCase):
    """The commented examples in ``etc/``."""

    def keys(self, value: object) -> set[str]:
        """Return every key at any depth."""
        if isinstance(value, dict):
            return set(value).union(*map(self.keys, value.values()))
        return set[str]().union(*map(self.keys, value)) if isinstance(value, list) else set()

    def complete(self, name: str, models: list[type[BaseModel]]) -> None:
        """Every key of the models stands in the file."""
        found = self.keys(yaml.safe_load((ROOT / "etc" / name).read_text()))
        for model in models:
            keys = {field.alias or key for key, field in model.model_fields.items()}
            self.assertEqual(keys - found, set(), name)

    def test_routers(self) -> None:
        """S1 is the router of cluster n on port 5555, S2 that of m on 5556, and each is the other's neighbour."""
        for cluster, port, other, other_port in (("n", 5555, "m", 5556), ("m", 5556, "n", 5555)):
            config = load_router(ROOT / "etc" / f"router-{cluster}.yaml", files=False)
            self.assertEqual((config.cluster, config.listen), (cluster, f"tcp:{port}"))
            self.assertEqual([*config.neighbours], [other])
            self.assertTrue(config.neighbours[other].endpoint.endswith(f":{other_port}"))
            self.assertEqual(config.limits, RouterLimits())
            self.complete(f"router-{cluster}.yaml", [RouterConfig, RouterLimits, TLSFiles, Neighbour])

    def test_peers(self) -> None:
        """There is a daemon with one peer and one with several; both show every key and the default limits."""
        for name, count in (("peer-n1.n.yaml", 1), ("peers-n.yaml", 3)):
            config = load_peers(ROOT / "etc" / name, files=False)
            self.assertEqual((config.cluster, len(config.peers), config.links), ("n", count, "tls"))
            self.assertEqual(config.limits, PeerLimits())
            self.complete(name, [PeerConfig, PeerLimits, PeerEntry])
        self.complete("peer-n1.n.yaml", [AcceptRule])

    def test_consent(self) -> None:
        """The examples show every action of a rule, and both ways to share."""
        peers = [
            entry
            for name in ("peer-n1.n.yaml", "peers-n.yaml")
            for entry in load_peers(ROOT / "etc" / name, files=False).peers
        ]
        actions = {rule.then for entry in peers for rule in entry.accept or ()}
        self.assertEqual(actions, {"accept", "ask", "refuse"})
        self.assertIn(None, [entry.accept for entry in peers])
        self.assertEqual(
            [set(entry.share) for entry in peers if entry.share], [{"films", "readme.txt"}, {"films", "music"}]
        )

    def test_only_files_are_missing(self) -> None:
        """Nothing is wrong with an example except that its files aren't on this machine."""
        error = self.assertRaises(ConfigError, load_router, ROOT / "etc" / "router-n.yaml")
        for line in str(error).splitlines():
            self.assertRegex(line, "can't read|there is no folder")

    def test_commented(self) -> None:
        """Every key of the first two kinds of files has a comment in the lines above it, or shares its neighbour's."""
        for name in ("router-n.yaml", "peer-n1.n.yaml"):
            text = (ROOT / "etc" / name).read_text()
            comments = sum(line.lstrip().startswith("#") for line in text.splitlines())
            self.assertGreater(comments, len(self.keys(yaml.safe_load(text))))


class UnitTests(SynchronousTestCase):
    """The systemd units in ``etc/systemd/``."""

    def unit(self, kind: str) -> configparser.SectionProxy:
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capital letters
        parser.read(ROOT / "etc" / "systemd" / f"p2p-{kind}@.service")
        self.assertEqual(parser["Install"]["WantedBy"], "multi-user.target")
        return parser["Service"]

    def test_essentials(self) -> None:
        """Each daemon is checked before it starts, says when it is ready, and isn't restarted for a bad file."""
        for kind in ("router", "peer"):
            service = self.unit(kind)
            command = f"/opt/p2p/bin/twistd --nodaemon --pidfile= p2p-{kind} --config /etc/p2p/{kind}-%i.yaml"
            self.assertEqual(service["ExecStart"], command)
            self.assertEqual(service["ExecStartPre"], f"{command} --check")
            self.assertEqual(service["Type"], "notify")
            self.assertEqual(service["Restart"], "on-failure")
            self.assertEqual(service["RestartPreventExitStatus"], "2")
            self.assertGreaterEqual(int(service["LimitNOFILE"]), RouterLimits().peers * 2)

    def test_hardened(self) -> None:
        """Each daemon runs as a user of its own that can write into its own folders only."""
        for kind in ("router", "peer"):
            service = self.unit(kind)
            self.assertEqual((service["User"], service["Group"]), ("p2p", "p2p"))
            self.assertEqual((service["ProtectSystem"], service["NoNewPrivileges"]), ("strict", "yes"))
            self.assertEqual(service["StateDirectory"], f"p2p/{kind}-%i")
            self.assertEqual(service["RuntimeDirectory"], f"p2p/{kind}-%i")
            self.assertEqual(service["CapabilityBoundingSet"], "")

    def test_no_ban_on_executable_memory(self) -> None:
        """The callbacks of pyOpenSSL need it: with MemoryDenyWriteExecute the daemons wouldn't start."""
        for kind in ("router", "peer"):
            self.assertNotIn("MemoryDenyWriteExecute", self.unit(kind))

    def test_folders_of_the_examples(self) -> None:
        """The examples put their consoles, inboxes and states where the units let them, and systemd keeps them."""
        router = load_router(ROOT / "etc" / "router-n.yaml", files=False)
        peer = load_peers(ROOT / "etc" / "peer-n1.n.yaml", files=False)
        several = load_peers(ROOT / "etc" / "peers-n.yaml", files=False)
        self.assertEqual(router.console, Path("/run/p2p/router-n/console.sock"))
        self.assertEqual(peer.console, Path("/run/p2p/peer-n1.n/console.sock"))
        self.assertEqual(several.console, Path("/run/p2p/peer-all/console.sock"))
        for config, instance in ((peer, "n1.n"), (several, "all")):
            self.assertEqual(config.state, Path(f"/var/lib/p2p/peer-{instance}/state"))
            for entry in config.peers:
                self.assertTrue(entry.inbox.is_relative_to(f"/var/lib/p2p/peer-{instance}"))
