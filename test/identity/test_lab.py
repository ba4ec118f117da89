"""Labs that are made in a folder, and what is issued in them later."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_network
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import load_peers, load_router
from p2p.base.errors import ConfigError, IdentityError, InvalidName, LocalFileError, P2PError
from p2p.identity import lab, pem_files
from p2p.identity.authority import Authority
from p2p.identity.lab import create_lab, issue_name, write_peer_daemon
from p2p.identity.lab_files import RouterPlace
from p2p.identity.tls import Credentials
from p2p.router.service import load_credentials


class LabTestCase(SynchronousTestCase):
    """A folder to make labs in; its path is short enough for UNIX sockets."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.lab = self.folder / "lab"

    def everything(self) -> dict[str, bytes | None]:
        """Return all that is in the folder: contents of files, nothing for folders."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else None
            for path in self.folder.rglob("*")
        }

    def fails_at(self, name: str) -> None:
        """Let the disk be full when a file of this name is written."""

        def write_new(path: Path, data: bytes, mode: int) -> None:
            if path.name == name:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            pem_files.write_new(path, data, mode)

        self.patch(lab, "write_new", write_new)


class CreateTests(LabTestCase):
    """New labs."""

    def test_layout(self) -> None:
        """A lab holds what its description says, and nothing else."""
        create_lab(self.lab, peers=1)
        self.assertEqual(
            sorted(str(path.relative_to(self.lab)) for path in self.lab.rglob("*")),
            [
                "ca.key",
                "ca.pem",
                "certificates",
                *(
                    f"certificates/{name}.{end}"
                    for name in ("m1.m", "n1.n", "router.m", "router.n")
                    for end in ("key", "pem")
                ),
                "inbox",
                "inbox/m1.m",
                "inbox/n1.n",
                "lab.yaml",
                "peer-m1.m.yaml",
                "peer-n1.n.yaml",
                "router-m.yaml",
                "router-n.yaml",
            ],
        )

    def test_files_load(self) -> None:
        """Every file loads as it is: S1 on port 5555, S2 on 5556, and four peers each, named as their certificates."""
        made = create_lab(self.lab)
        self.assertEqual([*made.routers], ["router.n", "router.m"])
        self.assertEqual([*made.peers], [f"{one}{number}.{one}" for one in "nm" for number in (1, 2, 3, 4)])
        for cluster, port, other, other_port in (("n", 5555, "m", 5556), ("m", 5556, "n", 5555)):
            config = load_router(made.routers[f"router.{cluster}"])
            self.assertEqual(config.cluster, cluster)
            self.assertEqual(config.listen, f"tcp:{port}:interface=127.0.0.1")
            endpoints = {name: neighbour.endpoint for name, neighbour in config.neighbours.items()}
            self.assertEqual(endpoints, {other: f"tcp:127.0.0.1:{other_port}"})
            self.assertEqual(config.console, self.lab / f"router-{cluster}.sock")
            credentials = Credentials(config.tls.certificate, config.tls.key, config.tls.authority)
            self.assertEqual(credentials.name, f"router.{cluster}")
        for name, path in made.peers.items():
            peers = load_peers(path)
            (entry,) = peers.peers
            self.assertEqual(entry.name, name)
            self.assertEqual(entry.inbox, self.lab / "inbox" / name)
            self.assertEqual(peers.router, f"tcp:127.0.0.1:{5555 if peers.cluster == 'n' else 5556}")
            self.assertEqual((peers.links, peers.listen), ("tls", "tcp:0:interface=127.0.0.1"))
            self.assertEqual(peers.console, self.lab / f"peer-{name}.sock")
            self.assertEqual(peers.state, self.lab / "state" / f"peer-{name}")
            self.assertEqual(Credentials(entry.certificate, entry.key, peers.authority).name, name)

    def test_modes(self) -> None:
        """Keys are their owner's alone, and so are inboxes."""
        create_lab(self.lab, peers=1)
        for path in self.lab.rglob("*"):
            mode = stat.S_IMODE(path.stat().st_mode)
            if path.suffix == ".key":
                self.assertEqual(mode, 0o600, path)
            if path.parent.name == "inbox":
                self.assertEqual(mode, 0o700, path)

    def test_moved(self) -> None:
        """Paths in the files are relative: a lab can be moved, or copied to another machine."""
        create_lab(self.lab, peers=1)
        moved = self.lab.rename(self.folder / "elsewhere")
        self.assertEqual(load_peers(moved / "peer-n1.n.yaml").authority, moved / "ca.pem")

    def test_machines(self) -> None:
        """With hosts the routers listen for other machines, and everybody is told where they are."""
        made = create_lab(
            self.lab,
            clusters=["n", "m", "lab-3"],
            hosts={"n": "192.0.2.1", "m": "router-m.example.org", "lab-3": "2001:db8::3"},
        )
        router = load_router(made.routers["router.n"])
        self.assertEqual(router.listen, "tcp:5555")
        endpoints = {name: neighbour.endpoint for name, neighbour in router.neighbours.items()}
        self.assertEqual(endpoints, {"m": "tcp:router-m.example.org:5556", "lab-3": "tcp:2001\\:db8\\:\\:3:5557"})
        self.assertEqual(load_peers(made.peers["n1.n"]).listen, "tcp6:0")
        self.assertEqual(load_router(made.routers["router.lab-3"]).listen, "tcp:5557:interface=\\:\\:")
        peers = load_peers(made.peers["l1.lab-3"])
        self.assertEqual((peers.router, peers.listen), ("tcp:2001\\:db8\\:\\:3:5557", "tcp6:0"))

    def test_networks(self) -> None:
        """What a lab is told of its networks binds what other clusters' routers may say; lab.yaml is as it was."""
        hosts = {"n": "192.0.2.1/24", "m": "router-m.example.org", "k": "2001:db8::3/64"}
        made = create_lab(self.lab, clusters=["n", "m", "k"], peers=0, hosts=hosts)
        networks = {name: load_router(path).networks for name, path in made.routers.items()}
        n, k = ip_network("192.0.2.0/24"), ip_network("2001:db8::/64")
        self.assertEqual(networks, {"router.n": {"k": [k]}, "router.m": {"n": [n], "k": [k]}, "router.k": {"n": [n]}})
        self.assertNotIn("/24", (self.lab / "lab.yaml").read_text())
        self.assertEqual(load_router(made.routers["router.k"]).neighbours["n"].endpoint, "tcp:192.0.2.1:5555")
        issue_name(self.lab, "n7.n")

    def test_networks_of_one_machine(self) -> None:
        """In a lab on one machine nobody is sent elsewhere; where nothing is known, nothing is said."""
        made = create_lab(self.lab, peers=0)
        self.assertEqual(load_router(made.routers["router.n"]).networks, {"m": [ip_network("127.0.0.0/8")]})
        self.assertEqual(RouterPlace(host="::1", port=1).peers_network, ip_network("::1/128"))
        self.assertIsNone(RouterPlace(host="192.0.2.1", port=1).peers_network)

    def test_ports(self) -> None:
        """Ports can be chosen one by one."""
        made = create_lab(self.lab, peers=0, ports={"m": 7000})
        listen = [load_router(path).listen for path in made.routers.values()]
        self.assertEqual(listen, ["tcp:5555:interface=127.0.0.1", "tcp:7000:interface=127.0.0.1"])

    def test_one_cluster(self) -> None:
        """A lab of one cluster has a router without neighbours, even if YAML would read its name as a truth value."""
        made = create_lab(self.lab, clusters=["no"], peers=2)
        router = load_router(made.routers["router.no"])
        self.assertEqual((router.cluster, router.neighbours), ("no", {}))
        self.assertEqual(load_peers(made.peers["n2.no"]).cluster, "no")

    def test_plain(self) -> None:
        """The links of a lab's peers can be plain from the start."""
        made = create_lab(self.lab, peers=1, links="plain")
        self.assertEqual(load_peers(made.peers["n1.n"]).links, "plain")
        self.assertEqual(load_peers(issue_name(self.lab, "n2.n").config).links, "plain")

    def test_validity(self) -> None:
        """The certificates begin when they are told to."""
        then = datetime(2026, 1, 1, tzinfo=UTC)
        create_lab(self.lab, peers=1, now=then)
        self.assertEqual(Authority.load(self.lab).certificate.not_valid_after_utc, datetime(2035, 12, 30, tzinfo=UTC))

    def test_empty_folder(self) -> None:
        """An empty folder that is there already is filled and stays the same folder: it may be the working one."""
        self.lab.mkdir(mode=0o700)
        before = self.lab.stat()
        create_lab(self.lab, peers=1)
        after = self.lab.stat()
        self.assertEqual((after.st_ino, after.st_mode), (before.st_ino, before.st_mode))
        self.assertIn("router-n.yaml", os.listdir(self.lab))  # noqa: PTH208 - hidden leftovers would show here
        self.assertEqual([path.name for path in self.lab.iterdir() if path.name.startswith(".")], [])
        load_peers(self.lab / "peer-n1.n.yaml")

    def test_here(self) -> None:
        """The current folder can become a lab."""
        self.lab.mkdir()
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.lab)
        made = create_lab(Path(), peers=1)
        self.assertEqual(made.directory, self.lab)

    def refused(self, make: Callable[[], object], kind: type[P2PError]) -> str:
        """Check that nothing changed, and return why."""
        before = self.everything()
        message = str(self.assertRaises(kind, make))
        self.assertEqual(self.everything(), before)
        return message

    def test_not_empty(self) -> None:
        """A folder with anything in it is left alone."""
        self.lab.mkdir()
        (self.lab / "thesis.odt").write_text("years of work")
        self.assertIn("isn't empty", self.refused(lambda: create_lab(self.lab), LocalFileError))

    def test_not_a_folder(self) -> None:
        """A file isn't replaced."""
        self.lab.write_text("years of work")
        self.assertIn("isn't a folder", self.refused(lambda: create_lab(self.lab), LocalFileError))

    def test_no_parent(self) -> None:
        """A folder is made in one that exists."""
        message = self.refused(lambda: create_lab(self.lab / "x"), LocalFileError)
        self.assertIn(f"{self.lab}: isn't a folder", message)

    def test_nothing_half_made(self) -> None:
        """If the disk is full in the middle nothing is left, neither of a new folder nor in an empty one."""
        self.fails_at("peer-m1.m.yaml")
        for _ in range(2):
            message = self.refused(lambda: create_lab(self.lab, peers=1), LocalFileError)
            self.assertIn("peer-m1.m.yaml: can't be written (No space left on device)", message)
            self.lab.mkdir(exist_ok=True)

    def test_nothing_half_moved(self) -> None:
        """If an entry can't be moved into the empty folder at last, those before it are taken out again."""
        self.lab.mkdir()
        real = Path.rename

        def rename(path: Path, target: Path) -> Path:
            if target == self.lab / "router-n.yaml":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(path, target)

        self.patch(Path, "rename", rename)
        self.assertIn("Permission denied", self.refused(lambda: create_lab(self.lab, peers=1), LocalFileError))

    def test_socket_path(self) -> None:
        """A folder so deep that no console could have its socket there is refused before anything is made."""
        deep = self.folder / ("x" * 100)
        self.assertIn("choose a shorter one", self.refused(lambda: create_lab(deep), LocalFileError))

    def test_number_of_peers(self) -> None:
        """A number of peers that is a slip of the pen is refused."""
        for number in (-1, 100_001):
            message = self.refused(partial(create_lab, self.lab, peers=number), ConfigError)
            self.assertIn("expected 0 to 100000", message)

    def test_cluster_names(self) -> None:
        """A name that isn't a cluster's is refused with the reason."""
        message = self.refused(lambda: create_lab(self.lab, clusters=["n", "M"]), InvalidName)
        self.assertIn("capital letters", message)


class IssueTests(LabTestCase):
    """Peers that come later."""

    def setUp(self) -> None:
        super().setUp()
        create_lab(self.lab, peers=1, ports={"n": 7000})

    def refused(self, name: str, kind: type[P2PError], lab: Path | None = None) -> str:
        before = self.everything()
        message = str(self.assertRaises(kind, issue_name, lab or self.lab, name))
        self.assertEqual(self.everything(), before)
        return message

    def test_issued(self) -> None:
        """A new peer gets a certificate, an inbox and a YAML file that loads."""
        made = issue_name(self.lab, "n9.n")
        self.assertFalse(made.kept)
        config = load_peers(made.config)
        (entry,) = config.peers
        self.assertEqual((config.router, entry.name), ("tcp:127.0.0.1:7000", "n9.n"))
        self.assertEqual(Credentials(entry.certificate, entry.key, config.authority).name, "n9.n")
        self.assertTrue((self.lab / "inbox" / "n9.n").is_dir())

    def test_twice(self) -> None:
        """A peer that has a certificate keeps it."""
        self.assertIn("n1.n.key: is there already", self.refused("n1.n", IdentityError))

    def test_renewed(self) -> None:
        """A peer whose old certificate was moved away gets a new one; its YAML file is kept as it was."""
        for end in ("pem", "key"):
            (self.lab / "certificates" / f"n1.n.{end}").unlink()
        with (self.lab / "peer-n1.n.yaml").open("a") as file:
            file.write("# mine\n")
        made = issue_name(self.lab, "n1.n")
        self.assertTrue(made.kept)
        self.assertTrue(made.config.read_text().endswith("# mine\n"))
        load_peers(made.config)

    def test_router(self) -> None:
        """A router whose old certificate was moved away gets a new one, and its YAML file if that was, too."""
        self.assertIn("router.n.key: is there already", self.refused("router.n", IdentityError))
        self.assertIn("the lab has no cluster 'q'", self.refused("router.q", ConfigError))
        for end in ("pem", "key"):
            (self.lab / "certificates" / f"router.n.{end}").unlink()
        made = issue_name(self.lab, "router.n")
        self.assertEqual((True, self.lab / "router-n.yaml"), (made.kept, made.config))
        text = made.config.read_text()
        self.assertEqual("router.n", load_credentials(load_router(made.config)).name)
        for path in (made.issued.certificate, made.issued.key, made.config):
            path.unlink()
        again = issue_name(self.lab, "router.n")
        self.assertEqual((False, text), (again.kept, again.config.read_text()))

    def test_names(self) -> None:
        """Only a peer of one of the lab's clusters gets a certificate."""
        self.assertIn("cluster name 'router.n'", self.refused("router.router.n", InvalidName))
        self.assertIn("isn't <node>.<cluster>", self.refused("../../n1", InvalidName))
        message = self.refused("q1.q", ConfigError)
        self.assertIn("lab.yaml: the lab has no cluster 'q', expected one of: n, m", message)

    def test_no_lab(self) -> None:
        """A folder that isn't a lab is told, with how to make one."""
        self.assertIn("make one: p2p lab init", self.refused("n9.n", ConfigError, self.folder))

    def test_broken_lab(self) -> None:
        """A lab.yaml that somebody has broken is told like every file."""
        (self.lab / "lab.yaml").write_text("clusters:\n  n: {host: 0.0.0.0, port: 5555}\nlink: tls\n")
        message = self.refused("n9.n", ConfigError)
        self.assertIn(f"{self.lab}/lab.yaml:2: clusters.n.host: 0.0.0.0 isn't the address of one machine", message)
        self.assertIn(f"{self.lab}/lab.yaml:3: link: unknown key, did you mean links?", message)

    def test_no_key(self) -> None:
        """Where the authority's key isn't, nothing is issued."""
        (self.lab / "ca.key").unlink()
        self.assertIn("ca.key: can't read the private key", self.refused("n9.n", IdentityError))

    def test_nothing_half_made(self) -> None:
        """If the YAML file can't be written the certificate isn't left without it."""
        self.fails_at("peer-n9.n.yaml")
        before = {name for name in self.everything() if "inbox" not in name}
        self.assertRaises(LocalFileError, issue_name, self.lab, "n9.n")
        self.assertEqual({name for name in self.everything() if "inbox" not in name}, before)

    def test_socket_path(self) -> None:
        """A name whose console would have too long a path is refused."""
        self.assertIn("choose a shorter one", self.refused(f"{'x' * 63}.n", LocalFileError, self.deep()))

    def deep(self) -> Path:
        return self.lab.rename(self.folder / ("x" * (70 - len(str(self.folder)))))


class PeerDaemonTests(LabTestCase):
    """Daemons that host many peers."""

    def setUp(self) -> None:
        super().setUp()
        create_lab(self.lab, peers=1)

    def test_written(self) -> None:
        """One file hosts all the peers; those without a certificate get one, the others keep theirs."""
        key = (self.lab / "certificates" / "n1.n.key").read_bytes()
        path = write_peer_daemon(self.lab, "peers-n.yaml", ["n1.n", "x1.n", "x2.n"])
        config = load_peers(path)
        self.assertEqual([entry.name for entry in config.peers], ["n1.n", "x1.n", "x2.n"])
        self.assertEqual(config.console, self.lab / "peers-n.sock")
        self.assertEqual(config.state, self.lab / "state" / "peers-n")
        self.assertEqual((self.lab / "certificates" / "n1.n.key").read_bytes(), key)
        for entry in config.peers:
            self.assertEqual(Credentials(entry.certificate, entry.key, config.authority).name, entry.name)
            self.assertTrue(entry.inbox.is_dir())

    def test_refused(self) -> None:
        """The peers are different ones of one cluster of the lab."""
        for names in ([], ["n1.n", "m1.m"], ["n2.n", "n2.n"]):
            self.assertRaises(ConfigError, write_peer_daemon, self.lab, "peers.yaml", names)
        self.assertRaises(InvalidName, write_peer_daemon, self.lab, "peers.yaml", ["n1"])
        self.assertFalse((self.lab / "peers.yaml").exists())

    def test_existing(self) -> None:
        """A file that is there already isn't overwritten, and no certificate is issued for nothing."""
        before = self.everything()
        error = self.assertRaises(LocalFileError, write_peer_daemon, self.lab, "peer-n1.n.yaml", ["x1.n"])
        self.assertIn("peer-n1.n.yaml: can't be written (File exists)", str(error))
        self.assertEqual(self.everything(), before)

    def test_nothing_half_made(self) -> None:
        """If a certificate can't be made, those before it and the file are removed again."""
        (self.lab / "certificates" / "x2.n.pem").touch()
        before = {name for name in self.everything() if "inbox" not in name}
        self.assertRaises(IdentityError, write_peer_daemon, self.lab, "peers-n.yaml", ["x1.n", "x2.n"])
        self.assertEqual({name for name in self.everything() if "inbox" not in name}, before)
