"""Tests for :mod:`p2p.cli.lab`."""

from __future__ import annotations

import json
import shlex
import tempfile
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import load_peers, load_router
from p2p.base.errors import ConfigError, IdentityError, LocalFileError
from p2p.cli.lab import lab


class LabCommandTestCase(SynchronousTestCase):
    """Runs of the command, in a folder whose path is short enough for UNIX sockets."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        self.lab = Path(folder.name) / "lab"

    def run_lab(self, *arguments: str) -> Result:
        return CliRunner().invoke(lab, arguments)

    def done(self, *arguments: str) -> str:
        """Run the command to a good end and return what it printed."""
        result = self.run_lab(*arguments)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.stdout

    def usage(self, *arguments: str) -> str:
        """Run the command to a complaint about its use and return that."""
        result = self.run_lab(*arguments)
        self.assertEqual(result.exit_code, 2, result.output)
        self.assertFalse(self.lab.exists())
        return result.stderr


class InitTests(LabCommandTestCase):
    """``p2p lab init``."""

    def test_text(self) -> None:
        """It says what it made and which commands come next; their files are there and load."""
        text = self.done("init", str(self.lab))
        self.assertIn("2 routers (n at 127.0.0.1:5555  m at 127.0.0.1:5556), 8 peers", text)
        self.assertIn(f"{self.lab}/ca.key signs new certificates", text)
        commands = [shlex.split(line) for line in text.splitlines() if line.startswith("  twistd")]
        self.assertEqual([command[3] for command in commands], ["p2p-router", "p2p-router", "p2p-peer", "p2p-peer"])
        for command in commands:
            load = load_router if command[3] == "p2p-router" else load_peers
            load(Path(command[-1]))
            self.assertIn("--pidfile=", command)
        self.assertIn(f"  p2p --config {self.lab}/peer-n1.n.yaml message m1.m hello", text)

    def test_commands_can_be_copied(self) -> None:
        """A folder with a blank in its name stays one word for the shell."""
        text = self.done("init", str(self.lab.with_name("my lab")), "--peers", "1")
        self.assertIn(f"--config '{self.lab.parent}/my lab/router-n.yaml'", text)

    def test_systemd(self) -> None:
        """For systemd's units, consoles, inboxes and state lie in the folders that these give their daemons."""
        text = self.done("init", str(self.lab), "--peers", "1", "--systemd")
        self.assertIn("its files in certificates/, all in /etc/p2p.", text)
        self.assertIn("  systemctl enable --now p2p-router@n\n", text)
        self.assertIn("  systemctl enable --now p2p-peer@n1.n\n", text)
        self.assertEqual(
            "/run/p2p/router-n/console.sock", str(load_router(self.lab / "router-n.yaml", files=False).console)
        )
        self.done("issue", "n9.n", "--lab", str(self.lab))
        for name in ("n1.n", "n9.n"):
            peers = load_peers(self.lab / f"peer-{name}.yaml", files=False)
            self.assertEqual(f"/run/p2p/peer-{name}/console.sock", str(peers.console))
            self.assertEqual(f"/var/lib/p2p/peer-{name}/inbox/{name}", str(peers.peers[0].inbox))
            self.assertEqual(f"/var/lib/p2p/peer-{name}/state", str(peers.state))
        self.assertFalse((self.lab / "inbox").exists())

    def test_json(self) -> None:
        """With --json it prints one object that names every file."""
        fields = json.loads(self.done("init", str(self.lab), "--peers", "1", "--json"))
        self.assertEqual(fields["lab"], str(self.lab))
        self.assertEqual(fields["clusters"]["m"], {"host": "127.0.0.1", "port": 5556, "endpoint": "tcp:127.0.0.1:5556"})
        self.assertEqual([*fields["routers"]], ["router.n", "router.m"])
        self.assertEqual([*fields["peers"]], ["n1.n", "m1.m"])
        for path in (fields["authority"], *fields["routers"].values(), *fields["peers"].values()):
            self.assertTrue(Path(path).is_file())

    def test_options(self) -> None:
        """Clusters, the number of peers, hosts and ports can be chosen."""
        self.done(
            *("init", str(self.lab), "--clusters", "a, b", "--peers", "2"),
            *("--host", "a=192.0.2.1", "--host", "b = 2001:db8::2", "--port", "b=7000"),
        )
        router = load_router(self.lab / "router-a.yaml")
        self.assertEqual(router.neighbours["b"].endpoint, "tcp:2001\\:db8\\:\\:2:7000")
        self.assertEqual(load_peers(self.lab / "peer-a2.a.yaml").router, "tcp:192.0.2.1:5555")

    def test_one_cluster(self) -> None:
        """In a lab of one cluster the message to try goes to the second peer; with one peer there is none."""
        self.assertIn("message n2.n hello", self.done("init", str(self.lab), "--clusters", "n"))
        text = self.done("init", str(self.lab.with_name("small")), "--clusters", "n", "--peers", "1")
        self.assertNotIn("message", text)

    def test_no_peers(self) -> None:
        """A lab without peers is told how to get some."""
        text = self.done("init", str(self.lab), "--peers", "0")
        self.assertIn(f"p2p lab issue NAME --lab {self.lab}", text)

    def test_malformed(self) -> None:
        """An option that isn't of its form is refused with an example, and nothing is made."""
        for text in ("n", "n=", "=192.0.2.1"):
            self.assertIn(
                f"{text!r} isn't CLUSTER=HOST, for example n=192.0.2.1",
                self.usage("init", str(self.lab), "--host", text),
            )
        for port in ("70000", "0", "x", "-5", "²"):
            message = self.usage("init", str(self.lab), "--port", f"n={port}")
            self.assertIn("isn't a number from 1 to 65535", message)
        self.assertIn("for example n=5555", self.usage("init", str(self.lab), "--port", "5555"))

    def test_twice(self) -> None:
        """A cluster has one host and one port."""
        message = self.usage("init", str(self.lab), "--host", "n=192.0.2.1", "--host", "n=192.0.2.2")
        self.assertIn("cluster n is given twice", message)

    def test_number_of_peers(self) -> None:
        """A negative number of peers is refused."""
        self.assertIn("--peers", self.usage("init", str(self.lab), "--peers", "-1"))

    def test_errors_pass(self) -> None:
        """What can't be made is raised for the command's one place that explains errors."""
        self.lab.mkdir()
        (self.lab / "x").touch()
        self.assertIsInstance(self.run_lab("init", str(self.lab)).exception, LocalFileError)
        result = self.run_lab("init", str(self.lab.with_name("new")), "--host", "q=192.0.2.1")
        self.assertIsInstance(result.exception, ConfigError)


class IssueTests(LabCommandTestCase):
    """``p2p lab issue``."""

    def setUp(self) -> None:
        super().setUp()
        self.done("init", str(self.lab), "--peers", "1")

    def test_text(self) -> None:
        """It says what it made and how to start the new peer."""
        text = self.done("issue", "n9.n", "--lab", str(self.lab))
        self.assertRegex(text, r"n9\.n\.pem and its key, valid until \d{4}-\d\d-\d\d\.")
        self.assertIn(f"Made {self.lab}/peer-n9.n.yaml from {self.lab}/lab.yaml.", text)
        self.assertIn(f"  twistd --nodaemon --pidfile= p2p-peer --config {self.lab}/peer-n9.n.yaml", text)
        load_peers(self.lab / "peer-n9.n.yaml")

    def test_renewed(self) -> None:
        """A file that was there is said to be kept."""
        for end in ("pem", "key"):
            (self.lab / "certificates" / f"n1.n.{end}").unlink()
        self.assertIn("peer-n1.n.yaml as it was", self.done("issue", "n1.n", "--lab", str(self.lab)))

    def test_json(self) -> None:
        """With --json it prints one object that names the files and the end of the certificate."""
        fields = json.loads(self.done("issue", "n9.n", "--lab", str(self.lab), "--json"))
        self.assertEqual((fields["name"], fields["config_kept"]), ("n9.n", False))
        self.assertEqual(fields["certificate"], f"{self.lab}/certificates/n9.n.pem")
        self.assertEqual(fields["key"], f"{self.lab}/certificates/n9.n.key")
        self.assertEqual(fields["config"], f"{self.lab}/peer-n9.n.yaml")
        self.assertRegex(fields["valid_until"], r"^\d{4}-\d\d-\d\dT.*\+00:00$")

    def test_errors_pass(self) -> None:
        """What can't be issued is raised for the command's one place that explains errors."""
        self.assertIsInstance(self.run_lab("issue", "n1.n", "--lab", str(self.lab)).exception, IdentityError)
        self.assertIsInstance(self.run_lab("issue", "n1.n", "--lab", "/").exception, ConfigError)
