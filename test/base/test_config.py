"""Tests for :mod:`p2p.base.config` and :mod:`p2p.base.config_fields`."""

from __future__ import annotations

import errno
import ipaddress
import os
import tempfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import (
    MAX_SOCKET_PATH,
    AcceptRule,
    Neighbour,
    PeerConfig,
    PeerEntry,
    PeerLimits,
    RouterConfig,
    RouterLimits,
    TLSFiles,
    check_console,
    load_peers,
    load_router,
)
from p2p.base.errors import ConfigError

MODELS: list[type[BaseModel]] = [RouterConfig, RouterLimits, TLSFiles, Neighbour]
MODELS += [PeerConfig, PeerLimits, PeerEntry, AcceptRule]

ROUTER = """\
cluster: n
listen: tcp:5555
tls:
  certificate: router.n.pem
  key: router.n.key
  authority: ca.pem
neighbours:
  m: {endpoint: "tcp:192.0.2.2:5556"}
networks:
  m: [198.51.100.0/24, "2001:db8::/64"]
  n: []
console: router.sock
limits:
  peers: 5
  silence_s: 1.5
"""

PEERS = """\
router: tcp:192.0.2.1:5555
authority: ca.pem
console: peers.sock
peers:
- name: n1.n
  certificate: n1.n.pem
  key: n1.n.key
  inbox: inbox/n1.n
- name: n2.n
  certificate: n1.n.pem
  key: n1.n.key
  inbox: inbox/n2.n
"""


class ConfigTestCase(SynchronousTestCase):
    """A folder with files as a lab has them; its path is short enough for UNIX sockets."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name in ("ca.pem", "router.n.pem", "n1.n.pem"):
            (self.folder / name).touch(0o644)
        for name in ("router.n.key", "n1.n.key"):
            (self.folder / name).touch(0o600)

    def file(self, text: str) -> Path:
        path = self.folder / "config.yaml"
        path.write_text(text)
        return path

    def router_refused(self, text: str) -> list[str]:
        path = self.file(text)
        error = self.assertRaises(ConfigError, load_router, path)
        return [line.removeprefix(f"{path}:") for line in str(error).splitlines()]

    def peers_refused(self, text: str) -> list[str]:
        path = self.file(text)
        error = self.assertRaises(ConfigError, load_peers, path)
        return [line.removeprefix(f"{path}:") for line in str(error).splitlines()]


class RouterFileTests(ConfigTestCase):
    """The YAML file of a router."""

    def test_loaded(self) -> None:
        """Every key arrives in the model, paths absolute from the file's folder, limits over their defaults."""
        self.assertEqual(
            load_router(self.file(ROUTER)),
            RouterConfig(
                cluster="n",
                listen="tcp:5555",
                tls=TLSFiles(
                    certificate=self.folder / "router.n.pem",
                    key=self.folder / "router.n.key",
                    authority=self.folder / "ca.pem",
                ),
                neighbours={"m": Neighbour(endpoint="tcp:192.0.2.2:5556")},
                networks={
                    "m": [ipaddress.ip_network("198.51.100.0/24"), ipaddress.ip_network("2001:db8::/64")],
                    "n": [],
                },
                console=self.folder / "router.sock",
                limits=RouterLimits(peers=5, silence_s=1.5),
            ),
        )

    def test_least(self) -> None:
        """A router needs its cluster, a place to listen and its files; the rest has defaults."""
        config = load_router(self.file(ROUTER[: ROUTER.index("neighbours")]))
        self.assertEqual((config.neighbours, config.networks, config.console), ({}, {}, None))
        self.assertEqual(config.limits, RouterLimits())

    def test_relative_to_the_file(self) -> None:
        """Relative paths don't depend on the folder in which the daemon is started, nor on how the file is named."""
        self.file(ROUTER)
        before = Path.cwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        self.assertEqual(load_router(Path("config.yaml")).tls.authority, self.folder / "ca.pem")

    def test_missing_files(self) -> None:
        """Each file that isn't there is told at its line, with its absolute path and what was expected."""
        missing = [str(self.folder / name) for name in ("x.pem", "x.key")]
        text = ROUTER.replace("router.n.pem", "x.pem").replace("router.n.key", "x.key")
        self.assertEqual(
            self.router_refused(text),
            [
                f"{line}: tls.{key}: can't read {path} (No such file or directory), "
                "expected a PEM file that this user can read"
                for line, key, path in ((4, "certificate", missing[0]), (5, "key", missing[1]))
            ],
        )

    def test_without_files(self) -> None:
        """The files can be left out of the check, for a file that is meant for another machine."""
        text = ROUTER.replace("router.n.key", "x.key").replace("router.sock", "missing/router.sock")
        self.assertEqual(load_router(self.file(text), files=False).tls.key, self.folder / "x.key")

    def test_not_a_file(self) -> None:
        """A folder in the place of a file is told."""
        (line,) = self.router_refused(ROUTER.replace("ca.pem", str(self.folder)))
        self.assertEqual(line, f"6: tls.authority: {self.folder} isn't a regular file, expected a PEM file")

    def test_unreadable(self) -> None:
        """A file that this user may not read is told; root may read all, so that a loop of links stands in for one."""
        (self.folder / "loop").symlink_to("loop")
        (line,) = self.router_refused(ROUTER.replace("router.n.key", "loop"))
        self.assertIn("tls.key: can't read", line)

    def test_forbidden(self) -> None:
        """A file without the right to read it is told."""
        opening = Path.open

        def forbidden(path: Path, *arguments: Any, **more: Any) -> Any:
            if path.name == "ca.pem":  # root may read every file, whatever its mode
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return opening(path, *arguments, **more)

        self.patch(Path, "open", forbidden)
        (line,) = self.router_refused(ROUTER)
        self.assertIn("Permission denied", line)

    def test_key_of_everybody(self) -> None:
        """A key that others may read is refused with the command that mends it."""
        key = self.folder / "router.n.key"
        for mode in (0o640, 0o604, 0o620):
            key.chmod(mode)
            (line,) = self.router_refused(ROUTER)
            self.assertEqual(
                line,
                f"5: tls.key: {key} has mode 0{mode:o}, which lets others use the key, expected 0600: chmod 600 {key}",
            )
        key.chmod(0o400)
        load_router(self.file(ROUTER))

    def test_paths(self) -> None:
        """What can't be a path is told."""
        self.assertIn(
            "3: tls.key: '' can't be a path", self.router_refused("cluster: n\nlisten: tcp:1\ntls: {key: ''}\n")[-1]
        )
        self.assertIn("tls.key: is 5, expected a path", self.router_refused("tls: {key: 5}\n")[-1])

    def test_names(self) -> None:
        """Names of clusters are checked wherever they stand."""
        text = ROUTER.replace("cluster: n", "cluster: N").replace("  m: {end", "  5: {end")
        self.assertEqual(
            self.router_refused(text),
            [
                "1: cluster: cluster name 'N' has capital letters; names are lower case",
                "8: neighbours.5: a key must be text, put it in quotes: '5'",
                "8: neighbours.5: cluster '5' has no letter; digits alone could be read as part of an address",
            ],
        )

    def test_endpoints(self) -> None:
        """Bad endpoints are told at their lines."""
        lines = self.router_refused(
            ROUTER.replace("tcp:5555", "tpc:5555").replace("tcp:192.0.2.2:5556", "tcp:192.0.2.2")
        )
        self.assertEqual([line.partition(" '")[0] for line in lines], ["2: listen:", "8: neighbours.m.endpoint:"])

    def test_own_cluster(self) -> None:
        """A router is no neighbour of itself."""
        lines = self.router_refused(ROUTER.replace("  m: {end", "  n: {end"))
        self.assertEqual(lines, ["8: neighbours.n: n is this router's own cluster, expected other clusters only"])

    def test_networks_of_strangers(self) -> None:
        """A grant for a cluster that this router doesn't know is a slip of the pen."""
        self.assertEqual(
            self.router_refused(ROUTER.replace("  n: []", "  mm: []")),
            ["11: networks.mm: no cluster of this router, did you mean m?"],
        )

    def test_networks(self) -> None:
        """Networks are checked one by one."""
        text = ROUTER.replace('[198.51.100.0/24, "2001:db8::/64"]', "[198.51.100.9/24, here, 5]")
        self.assertEqual(
            self.router_refused(text),
            [
                "10: networks.m[0]: '198.51.100.9/24' sets bits after its prefix, expected 198.51.100.0/24",
                "10: networks.m[1]: 'here' isn't a network, expected a network like 192.0.2.0/24 or 2001:db8::/64",
                "10: networks.m[2]: 5 isn't text, expected a network like 192.0.2.0/24 or 2001:db8::/64",
            ],
        )

    def test_limits(self) -> None:
        """Limits have types and bounds, and those that contain one another stay in proportion."""
        self.assertEqual(
            self.router_refused(ROUTER.replace("  peers: 5", "  peers: 0\n  call_s: .inf\n  peer: 3")),
            [
                "14: limits.peers: is 0, expected at least 1",
                "15: limits.call_s: is .inf, expected a finite number",
                "16: limits.peer: unknown key, did you mean peers?",
            ],
        )
        (line,) = self.router_refused(ROUTER.replace("  peers: 5", "  pending_connections: 8"))
        self.assertEqual(
            line,
            "13: limits.pending_per_address: 32 is more than pending_connections, 8; "
            "lower it or raise pending_connections",
        )

    def test_console(self) -> None:
        """A console needs a folder, and a path that a UNIX socket can have."""
        (line,) = self.router_refused(ROUTER.replace("router.sock", "run/router.sock"))
        self.assertEqual(
            line,
            f"12: console: there is no folder {self.folder}/run, expected one for the socket: "
            f"mkdir -p {self.folder}/run",
        )
        (line,) = self.router_refused(ROUTER.replace("router.sock", "x" * 107))
        self.assertIn("and the path of a UNIX socket at most 107", line)


class PeersFileTests(ConfigTestCase):
    """The YAML file of a peer daemon."""

    def test_loaded(self) -> None:
        """Every key arrives in the model; what isn't there has its default."""
        text = PEERS + "links: plain\nlisten: tcp:0:interface=127.0.0.1\nlimits: {streams: 9}\n"
        config = load_peers(self.file(text))
        files: dict[str, Any] = {"certificate": self.folder / "n1.n.pem", "key": self.folder / "n1.n.key"}
        self.assertEqual(
            config,
            PeerConfig(
                router="tcp:192.0.2.1:5555",
                authority=self.folder / "ca.pem",
                console=self.folder / "peers.sock",
                peers=[PeerEntry(name=name, inbox=self.folder / "inbox" / name, **files) for name in ("n1.n", "n2.n")],
                links="plain",
                listen="tcp:0:interface=127.0.0.1",
                limits=PeerLimits(streams=9),
            ),
        )
        self.assertEqual(config.cluster, "n")
        config = load_peers(self.file(PEERS))
        self.assertEqual((config.links, config.listen, config.limits), ("tls", "tcp6:0", PeerLimits()))

    def test_streams(self) -> None:
        """A link has room for a stream each way: with one alone, two exchanges that begin together would both fail."""
        (line,) = self.peers_refused(PEERS + "limits: {streams: 1}\n")
        self.assertTrue(line.endswith(": limits.streams: is 1, expected at least 2"), line)
        self.assertEqual(2, load_peers(self.file(PEERS + "limits: {streams: 2}\n")).limits.streams)

    def test_names(self) -> None:
        """The peers of a daemon are peers, different ones, of one cluster; everything else is told at its own line."""
        entry = "  certificate: n1.n.pem\n  key: n1.n.key\n  inbox: inbox\n"
        text = PEERS + "".join(f"- name: {name}\n{entry}" for name in ("n1.n", "m1.m", "router.n"))
        self.assertEqual(
            self.peers_refused(text),
            [
                "13: peers[2].name: n1.n is hosted already, keep one of its entries",
                "17: peers[3].name: m1.m isn't of n1.n's cluster, expected peers of one cluster in one daemon",
                "21: peers[4].name: peer name 'router.n' is reserved: 'router' names the cluster's S-Router",
            ],
        )

    def test_no_peers(self) -> None:
        """A daemon hosts at least one peer."""
        self.assertEqual(
            self.peers_refused(PEERS[: PEERS.index("peers:")] + "peers: []\n"),
            ["4: peers: is a list without entries, expected at least 1 entry"],
        )

    def test_links(self) -> None:
        """Links are with TLS or plain."""
        self.assertEqual(
            self.peers_refused(PEERS + "links: none\n"), ["13: links: is 'none', expected 'tls' or 'plain'"]
        )

    def test_inbox(self) -> None:
        """An inbox may be missing, for the daemon makes it; if it is there, it is a folder."""
        (self.folder / "inbox").touch()
        (self.folder / "gone").symlink_to("nowhere")
        lines = self.peers_refused(PEERS.replace("inbox/n1.n", "inbox").replace("inbox/n2.n", "gone"))
        self.assertEqual(
            lines,
            [
                f"{line}: peers[{index}].inbox: {self.folder / name} isn't a folder, "
                "expected one for the files that this peer receives"
                for line, index, name in ((8, 0, "inbox"), (12, 1, "gone"))
            ],
        )

    def test_inbox_of_somebody_else(self) -> None:
        """An inbox that this user may not write into is told."""
        (self.folder / "inbox").mkdir()
        self.patch(os, "access", lambda path, mode: False)
        (line,) = self.peers_refused(PEERS.replace("inbox/n1.n", "inbox"))
        self.assertIn("may not write into", line)

    def test_ports(self) -> None:
        """The ports of fresh sockets are a range, or a single one, that needs no privileges; without it, any."""
        self.assertIsNone(load_peers(self.file(PEERS)).ports)
        for text, ports in (("42000-42099", range(42000, 42100)), ("42000", range(42000, 42001))):
            self.assertEqual(ports, load_peers(self.file(PEERS + f"ports: {text}\n")).ports)
        for wrong in ("22-23", "42099-42000", "65000-65536", "any", "[42000]", "42000-", "-5"):
            (line,) = self.peers_refused(PEERS + f"ports: {wrong}\n")
            self.assertIn("expected two ports within 1024 to 65535, like 42000-42099", line)

    def test_windows(self) -> None:
        """A window isn't smaller than Yamux's own first one, nor than its largest size."""
        self.assertEqual(
            self.peers_refused(PEERS + "limits: {window_bytes: 1000}\n"),
            ["13: limits.window_bytes: is 1000, expected at least 262144"],
        )
        (line,) = self.peers_refused(PEERS + "limits:\n  window_max_bytes: 300000\n  window_bytes: 400000\n")
        self.assertIn("15: limits.window_bytes: 400000 is more than window_max_bytes, 300000", line)

    def test_thousand_peers(self) -> None:
        """A file with 1,000 peers is loaded."""
        entries = "".join(
            f"- name: n{number}.n\n  certificate: n1.n.pem\n  key: n1.n.key\n  inbox: inbox/n{number}.n\n"
            for number in range(1000)
        )
        path = self.file(PEERS[: PEERS.index("- name")] + entries)
        self.assertEqual(len(load_peers(path).peers), 1000)


class ModelTests(SynchronousTestCase):
    """Models that code makes without a file."""

    def entry(self, name: str) -> PeerEntry:
        return PeerEntry(name=name, certificate=Path("c"), key=Path("k"), inbox=Path("i"))

    def peers(self, *names: str) -> PeerConfig:
        return PeerConfig(
            router="tcp:h:5",
            authority=Path("ca.pem"),
            console=Path("x" * 200),
            peers=[self.entry(name) for name in names],
        )

    def test_no_files(self) -> None:
        """Nothing looks at the disk, and paths stay as they are."""
        self.assertEqual(self.peers("n1.n").authority, Path("ca.pem"))

    def test_hosting(self) -> None:
        """The peers are different ones of one cluster here too."""
        for names in (("n1.n", "n1.n"), ("n1.n", "m1.m")):
            self.assertRaises(ValidationError, self.peers, *names)

    def test_frozen(self) -> None:
        """A configuration doesn't change under a running daemon."""
        config = self.peers("n1.n")
        self.assertRaises(ValidationError, setattr, config, "links", "plain")

    def test_defaults(self) -> None:
        """The default limits are those of the documents."""
        router, peer = RouterLimits(), PeerLimits()
        self.assertEqual((router.peers, router.requests_per_s, router.pending_per_address), (20_000, 50, 32))
        self.assertEqual((peer.ticket_s, peer.idle_s, peer.streams, peer.header_bytes), (30, 300, 256, 65_536))

    def test_every_key_is_described(self) -> None:
        """Every key says what it is: the message about a missing one repeats it."""
        for model in MODELS:
            for name, field in model.model_fields.items():
                self.assertTrue(field.description, f"{model.__name__}.{name}")


class ConsolePathTests(SynchronousTestCase):
    """Paths of UNIX sockets."""

    def test_longest(self) -> None:
        """The longest path that the system takes is fine; a byte more isn't, and letters count in bytes."""
        self.assertEqual(check_console(Path("x" * MAX_SOCKET_PATH)), Path("x" * MAX_SOCKET_PATH))
        self.assertRaises(ValueError, check_console, Path("x" * (MAX_SOCKET_PATH + 1)))
        error = self.assertRaises(ValueError, check_console, Path("ü" * 54))
        self.assertIn("has 108 bytes", str(error))
