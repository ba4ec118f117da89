"""Daemons that can't do their job say why in one line and end; those that can leave nothing behind."""

from __future__ import annotations

import socket
import stat
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from test.functional.cases import FunctionalCase, Run
from test.functional.lab import RunningLab, reactor, until

Change = Callable[[str], str]


class StartingTests(FunctionalCase):
    """Router n and peer n1.n of a lab whose files a test changes first."""

    async def prepare(self) -> None:
        """Make the lab."""
        self.lab: RunningLab = self.own_lab()
        self.router = self.lab.folder / "router-n.yaml"
        self.peer = self.lab.peers_file("n", "n1.n")
        self.key = self.lab.folder / "certificates" / "n1.n.key"

    def change(self, path: Path, old: str, new: str) -> int:
        """Write something else into a YAML file; the line where it stands."""
        text = path.read_text()
        self.assertEqual(text.count(old), 1, old)
        path.write_text(text.replace(old, new))
        return text[: text.index(old)].count("\n") + 1

    def twistd(self, path: Path, *more: str) -> Run:
        """Start the daemon of a YAML file as a person would."""
        plugin = "p2p-router" if path.name.startswith("router-") else "p2p-peer"
        return self.run_program("twistd", "--nodaemon", "--pidfile=", plugin, "--config", path, *more)

    async def refused(self, runs: Iterable[tuple[Run, str]], code: int) -> None:
        """Each daemon has ended with this code and a text that holds the one given; none of them has a console."""
        for run, expected in list(runs):
            told = await self.ended(run, code) + run.printed.decode()  # twistd prints its log
            self.assertIn(expected, told)
            self.assertNotIn("Traceback", told)
        self.assertEqual([one.name for one in self.lab.folder.iterdir() if one.is_socket()], [])

    async def test_taken_port(self) -> None:
        """A router whose port is taken ends with code 1 and names the port; it doesn't run on, deaf."""
        port = self.lab.ports["n"]
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            taken.listen()
            await self.refused(
                [(self.twistd(self.router), f"can't listen on tcp:{port}:interface=127.0.0.1: in use")], 1
            )

    async def test_live_console(self) -> None:
        """A second daemon of the same configuration ends with code 1 and leaves the first its console, mode 0600."""
        first = await self.lab.start_peers("n", registered=False)
        run = self.twistd(self.peer)
        await self.ended(run, 1)
        self.assertIn(f"{self.lab.console('n')}: a daemon answers on this console already", run.printed.decode())
        self.assertEqual(stat.S_IMODE(self.lab.console("n").stat().st_mode), 0o600)
        self.assertEqual((await self.lab.peer_status("n")).pid, first.pid)
        first.kill()
        await first.when_exited()
        self.assertTrue(self.lab.console("n").is_socket(), "the killed daemon couldn't remove it")
        again = await self.lab.start_peers("n", registered=False)
        self.assertEqual((await self.lab.peer_status("n")).pid, again.pid)

    async def test_wrong_files(self) -> None:
        """What is wrong in a YAML file is told with its line and what was expected, code 2, and nothing starts."""
        line = self.change(self.router, "cluster: n\n", "cluster: n\nneighbors: {}\n") + 1
        runs = [(self.twistd(self.router), f"{self.router}:{line}: neighbors")]
        other = self.lab.peers_file("o", "n2.n")
        line = self.change(other, "listen: tcp:0:interface=127.0.0.1", "listen: tcp:80")
        runs.append((self.twistd(other), f"{other}:{line}: listen: 'tcp:80' has a fixed port"))
        broken = self.lab.folder / "broken.yaml"
        broken.write_text("router: [tcp:\npeers: }\n")
        runs.append((self.twistd(broken), f"{broken}:2: "))
        runs.append(
            (self.twistd(self.lab.folder / "gone.yaml"), "gone.yaml: can't be read (No such file or directory)")
        )
        await self.refused(runs, 2)

    async def test_wrong_keys(self) -> None:
        """A key that is missing, open to others, or somebody else's is named, with code 2."""
        line = self.peer.read_text().split("key:")[0].count("\n") + 1
        self.key.chmod(0o644)
        runs = [(self.twistd(self.peer), f"{self.peer}:{line}: peers[0].key: {self.key} has mode 0644")]
        other = self.lab.peers_file("o", "n2.n")
        (self.lab.folder / "certificates" / "n2.n.key").unlink()
        runs.append((self.twistd(other), f"{other}:{line}: peers[0].key: can't read"))
        third = self.lab.peers_file("p", "n3.n", "n4.n")
        third.write_text(third.read_text().replace("n3.n.key", "n4.n.key"))
        runs.append((self.twistd(third), "n4.n.key: isn't the private key of"))
        await self.refused(runs, 2)

    async def test_wrong_certificates(self) -> None:
        """A certificate for another name, or of another kind, is refused at the start, with code 2."""
        self.lab.peers_file("o", "n2.n")
        self.peer.write_text(self.peer.read_text().replace("certificates/n1.n.", "certificates/n2.n."))
        runs = [(self.twistd(self.peer), "this certificate is for n2.n, not for n1.n")]
        self.router.write_text(self.router.read_text().replace("certificates/router.n.", "certificates/n2.n."))
        runs.append((self.twistd(self.router), "is the certificate of n2.n, and the router of cluster n needs"))
        await self.refused(runs, 2)

    async def test_expired_certificate(self) -> None:
        """An expired certificate that can't be renewed is refused at the start, with the date and what to do."""
        old = self.own_lab(now=datetime.now(UTC) - timedelta(days=900))
        router = old.folder / "router-n.yaml"
        self.change(router, "\nstate: state/router-n\n", "\n")
        await self.refused([(self.twistd(router), "router.n.pem: the certificate expired on ")], 2)

    async def test_check(self) -> None:
        """``--check`` says that all is well, with code 0, or what isn't, with code 2, and starts nothing."""
        fine = [self.twistd(path, "--check") for path in (self.router, self.peer)]
        for run, path in zip(fine, (self.router, self.peer), strict=True):
            await self.ended(run, 0)
            self.assertEqual(run.printed.decode(), f"{path}: ok\n")
        self.change(self.peer, "links: tls", "links: copper")
        await self.refused([(self.twistd(self.peer, "--check"), "links: ")], 2)

    async def test_stop_while_idle(self) -> None:
        """SIGTERM ends a router and a peer daemon that have nothing to do within a second, and nothing is left."""
        await self.lab.start_router("n")
        await self.lab.start_peers("n")
        gone = {"router-n.sock", "n.sock", "journal.sqlite-wal", "journal.sqlite-shm"}

        async def settled() -> bool:
            here = {one.name for one in self.lab.folder.rglob("*")}
            return "ages.json" in here and ".ages.json.new" not in here

        await until(settled, "the peer daemon to have written down the ages of what it keeps")
        names = {one.name for one in self.lab.folder.rglob("*")} - gone
        began = reactor.seconds()
        for daemon in ("n", "router-n"):
            self.assertEqual(await self.lab.daemons[daemon].stop(), -15)
        self.assertLess(reactor.seconds() - began, 20.0, "neither waits for the other, or for a deadline")
        self.assertEqual({one.name for one in self.lab.folder.rglob("*")}, names)
        self.assertEqual(yaml.safe_load(self.peer.read_text())["console"], "n.sock")
