"""Machines join a lab with one command each; the router, the signer and the new peers are real processes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from p2p.client import Client
from p2p.console.operations import PeerStatus
from test.functional.cases import FunctionalCase, Run
from test.functional.lab import RunningLab, reactor, until


class JoiningTests(FunctionalCase):
    """The router of a lab without peers, and empty folders."""

    async def prepare(self) -> None:
        """Make the lab and start its router."""
        self.lab: RunningLab = self.own_lab(("n",))
        await self.lab.start_router("n")
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        self.top = Path(folder.name)

    async def invite(self, name: str) -> tuple[Run, list[str]]:
        """Invite a machine; the run of that command, and the words of the command that it prints."""
        run = self.run_program("p2p", "lab", "invite", name, "--lab", self.lab.folder)
        await run.printing
        words = run.printed.decode().split()
        self.assertEqual(["p2p", "join", f"{name}@127.0.0.1:{self.lab.ports['n']}"], words[:3])
        return run, words[1:]

    def join(self, words: list[str], folder: str) -> Run:
        return self.run_program("p2p", *words, "--dir", self.top / folder)

    async def registered(self, folder: str, name: str) -> None:
        """Start the daemon of a machine that has joined, and see it registered."""
        config = self.top / folder / f"peer-{name}.yaml"
        self.run_program("twistd", "--nodaemon", "--pidfile=", "p2p-peer", "--config", config)
        console = config.with_suffix(".sock")

        async def there() -> bool:
            return console.exists()

        await until(there, "the console")
        async with await Client.connect(reactor, console) as client:
            status = await client.wait_registered(20.0)
        self.assertEqual((1, 1), (status.registered, status.peers))

    async def test_two_commands(self) -> None:
        """Invited, joined, started: the machine is registered, and no signer had to be started for it."""
        inviting, words = await self.invite("n5.n")
        await self.ended(self.join(words, "new"), 0)
        self.assertIn("n5.n has joined", await self.ended(inviting, 0))
        await self.registered("new", "n5.n")
        self.assertEqual(1, (await self.lab.router_status("n")).peers)

    async def test_signer(self) -> None:
        """With a signer that runs, invitations end at once; codes are good once, for one name, and one machine."""
        signer = self.run_program("twistd", "--nodaemon", "--pidfile=", "p2p-signer", "--lab", self.lab.folder)

        async def linked() -> bool:
            return b"signer: linked to router.n" in signer.printed

        await until(linked, "the signer")
        inviting, words = await self.invite("n5.n")
        self.assertNotIn("Waiting", await self.ended(inviting, 0))
        other = [words[0], words[1].replace("n5.n", "n6.n"), words[2]]
        self.assertIn("this code is for n5.n, not for n6.n", await self.ended(self.join(other, "thief"), 5))
        first, second = self.join(words, "new"), self.join(words, "second")
        codes = sorted([await first.ended or 0, await second.ended or 0])
        self.assertEqual([0, 5], codes, (first.errors, second.errors))
        lost = first if first.errors else second
        self.assertIn(b"this code has been used already, by another machine that is n5.n now", lost.errors)
        self.assertIn("n5.n has a certificate until", await self.ended(self.again("n5.n"), 2))

    def again(self, name: str) -> Run:
        return self.run_program("p2p", "lab", "invite", name, "--lab", self.lab.folder)

    async def test_older_router(self) -> None:
        """What isn't a router of p2p, or an older one, is told nothing, and named."""
        _, words = await self.invite("n5.n")
        status = await self.lab.router_status("n")
        self.assertNotIsInstance(status, PeerStatus)
        elsewhere = words[1].replace(str(self.lab.ports["n"]), "9")
        self.assertIn("no router can be reached", await self.ended(self.join([words[0], elsewhere, words[2]], "x"), 4))
