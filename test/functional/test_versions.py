"""A lab that is being upgraded: daemons of an earlier version and of the tree find each other, link, send and get."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

import psutil
from twisted.internet.defer import Deferred

import p2p
from p2p.base.errors import P2PError
from p2p.client import Client, Done, GetArguments, Resumed, SendArguments, TransferEvent, TransfersArguments
from test.functional.cases import FunctionalCase
from test.functional.lab import RunningLab, no_links, reactor, until
from test.functional.test_transfers import tree
from test.functional.wheels import InstalledWheel

CHUNK: Final = 1 << 20
SIZE: Final = 16 * CHUNK + 12345
LIMIT: Final = 4 * CHUNK
"""Bytes a second of a transfer that is interrupted."""

OLD: Final = ("router-n", "peer-m1.m", "peer-m2.m")
"""The daemons that run the wheel; ``router-m`` and ``peer-n1.n`` run the tree. So a router of either version serves a
peer of the other, and each of the two routers and of the two peers has the other as its neighbour."""


ASK: Final = """\
import json, sys
from pathlib import Path
from twisted.internet import defer, task
from p2p.client import Client

async def ask(reactor, console, peer, film, project, target):
    async with await Client.connect(reactor, Path(console)) as client:
        told = {"reply": (await client.message(peer, "straße")).text}
        told["rtt_ns"] = (await client.ping(peer)).rtt_ns
        told["sent"] = (await client.send(peer, [Path(film), Path(project)])).complete
        told["listed"] = [one.name for one in (await client.list_shared(peer, "ours")).entries]
        told["got"] = (await client.get(peer, "ours", Path(target))).complete
    print(json.dumps(told))

task.react(lambda *arguments: defer.Deferred.fromCoroutine(ask(*arguments)), sys.argv[1:])
"""
"""Has the client of the wheel do what :meth:`VersionTests.test_tree_asks` does; one process costs less than five."""


class MixedLab(RunningLab):
    """A lab that the earlier version made, with its daemons; m2.m doesn't run yet.

    :ivar wheel: the environment of the earlier version.
    """

    def __init__(self) -> None:
        self._environment = Path(tempfile.mkdtemp(prefix="p2p-wheel-")).resolve()
        self.wheel = InstalledWheel(self._environment / "old")
        self.wheel.add_script("ask", ASK)
        super().__init__(create=self.wheel.create_lab, peers=2)
        self.pythons = dict.fromkeys(OLD, self.wheel.python)
        for peer in ("n1.n", "m1.m"):
            path = self.folder / f"peer-{peer}.yaml"
            shared = self.folder / f"shared-{peer}"
            (shared / "photos").mkdir(parents=True)
            (shared / "photos" / "one.png").write_bytes(os.urandom(CHUNK + 1))
            (shared / "notes.txt").write_text(f"the notes of {peer}")
            path.write_text(path.read_text() + f"    share: {{ours: {shared}}}\n")

    async def stop(self) -> None:
        """End every daemon and remove all folders."""
        await super().stop()
        shutil.rmtree(self._environment)


_labs: list[MixedLab] = []


async def mixed_lab() -> MixedLab:
    """The lab of all tests here; it is gone when the whole run of tests ends."""
    if not _labs:
        lab = MixedLab()
        reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(lab.stop()))
        _labs.append(lab)
        await lab.start_router("n")
        await lab.start_router("m")
        await lab.start_peers("peer-n1.n")
        await lab.start_peers("peer-m1.m", registered=False)
        await until(lambda: _everybody(lab), "the daemons of both versions to find one another")
    return _labs[0]


async def _everybody(lab: RunningLab) -> bool:
    """Whether the router of the tree has its peer and its neighbour."""
    status = await lab.router_status("m")
    return status.peers == 1 and all(status.neighbours.values())


class VersionTests(FunctionalCase):
    """n1.n, of the tree, at a router of the wheel, and m1.m, of the wheel, at a router of the tree."""

    timeout = 60

    async def prepare(self) -> None:
        """Have the lab running, n1.n without links, and something to send."""
        self.lab = await mixed_lab()
        self.addCleanup(self.assert_no_faults, self.lab)
        self.client_n: Client = await self.client(self.lab, "peer-n1.n")
        await no_links(self.client_n)
        self.work = Path(tempfile.mkdtemp(prefix="p2p-"))
        self.addCleanup(shutil.rmtree, self.work)
        self.film, self.project = self.work / "film", self.work / "project"
        self.film.write_bytes(os.urandom(2 * CHUNK + 1))
        (self.project / "empty").mkdir(parents=True)
        (self.project / "run.sh").write_text("#!/bin/sh\n")
        (self.project / "run.sh").chmod(0o755)
        (self.project / "link").symlink_to("run.sh")

    def inbox_of(self, peer: str) -> Path:
        """The inbox of a peer, empty."""
        inbox = self.lab.folder / "inbox" / peer
        shutil.rmtree(inbox)
        inbox.mkdir()
        return inbox

    async def test_versions(self) -> None:
        """Each daemon runs the code and the plugins that it is meant to run, and no others."""
        for name in ("router-n", "peer-m1.m", "router-m", "peer-n1.n"):
            said = self.lab.log(name)
            command = psutil.Process(self.lab.daemons[name].pid).cmdline()
            if name in OLD:
                self.assertEqual(said.splitlines()[0], self.lab.wheel.told)
                self.assertEqual(command[0], self.lab.wheel.python)
            else:
                self.assertNotIn(self.lab.wheel.told, said)
                self.assertEqual(command[0], sys.executable)
        self.assertEqual(Path(p2p.__file__).parents[1], Path(__file__).parents[2])

    async def test_tree_asks(self) -> None:
        """A peer of the tree reaches one of the wheel by way of both routers, and sends, lists and gets."""
        self.assertEqual((await self.client_n.message("m1.m", "straße")).text, "STRASSE")
        self.assertEqual((await self.client_n.link("m1.m")).initiator, "n1.n")
        self.assertGreater((await self.client_n.ping("m1.m")).rtt_ns, 0)
        inbox = self.inbox_of("m1.m")
        asked = SendArguments(peers=["m1.m"], paths=[str(self.film), str(self.project)])
        self.assertTrue((await self.client_n.send(asked)).complete)
        self.assertEqual(tree(inbox), tree(self.work))
        listed = await self.client_n.list_shared("m1.m", "ours")
        self.assertEqual({one.name for one in listed.entries}, {"photos", "notes.txt"})
        target = self.work / "target"
        target.mkdir()
        wanted = GetArguments(peer="m1.m", names=["ours"], folder=str(target))
        self.assertTrue((await self.client_n.get(wanted)).complete)
        self.assertEqual(tree(target / "ours"), tree(self.lab.folder / "shared-m1.m"))

    async def test_wheel_asks(self) -> None:
        """A peer of the wheel reaches one of the tree by way of both routers, and sends, lists and gets."""
        inbox, sent = self.inbox_of("n1.n"), tree(self.work)
        target = self.work / "target"
        target.mkdir()
        console = self.lab.console("peer-m1.m")
        run = self.run_program(
            "ask", console, "n1.n", self.film, self.project, target, python=self.lab.python("peer-m1.m")
        )
        await self.ended(run, 0)
        told = json.loads(run.printed)
        self.assertGreater(told.pop("rtt_ns"), 0)
        told["listed"].sort()
        wanted = {"reply": "STRASSE", "sent": True, "listed": ["notes.txt", "photos"], "got": True}
        self.assertEqual(told, wanted)
        self.assertEqual((await self.client_n.link("m1.m")).initiator, "m1.m")
        self.assertEqual(tree(inbox), sent)
        self.assertEqual(tree(target / "ours"), tree(self.lab.folder / "shared-n1.n"))

    async def test_upgraded_in_the_middle(self) -> None:
        """A daemon of the wheel is killed while it receives and sends, and comes back as one of the tree: it reads
        what the wheel wrote down, and both transfers go on from the last verified chunk."""
        there, here = self.inbox_of("m2.m"), self.inbox_of("n1.n")
        ours, theirs = self.work / "ours", self.work / "theirs"
        for path in (ours, theirs):
            path.write_bytes(os.urandom(SIZE))
        await self.lab.start_peers("peer-m2.m", registered=False)
        self.assertEqual(self.lab.log("peer-m2.m").splitlines()[0], self.lab.wheel.told)
        detached = self.p2p(self.lab, "peer-m2.m", "send", "n1.n", theirs, "--detach", "--limit", f"{LIMIT}B/s")
        await self.ended(detached, 0)
        told: list[TransferEvent] = []
        asked = SendArguments(peers=["m2.m"], paths=[str(ours)], limit=LIMIT)
        sending = Deferred.fromCoroutine(self.client_n.send(asked, on_event=told.append))

        async def halfway() -> bool:
            shown = (await self.client_n.transfers(TransfersArguments(count=2))).transfers
            return len(shown) == 2 and all(2 * CHUNK <= one.bytes < SIZE for one in shown)

        await until(halfway, "both transfers to be in the middle")
        self.lab.daemons["peer-m2.m"].kill()
        await self.lab.daemons["peer-m2.m"].when_exited()
        del self.lab.pythons["peer-m2.m"]
        with self.lab.suspended("peer-n1.n"):  # so that nothing happens before it is followed
            await self.lab.start_peers("peer-m2.m")
            follower = await self.client(self.lab, "peer-m2.m")
            following: Deferred[None] = Deferred()
            ends = Deferred.fromCoroutine(
                follower.transfers(
                    TransfersArguments(follow=True),
                    on_shown=lambda shown: following.callback(None),
                    on_event=told.append,
                )
            )
            ends.addErrback(lambda failure: failure.trap(P2PError))
            await following
        self.assertEqual(psutil.Process(self.lab.daemons["peer-m2.m"].pid).cmdline()[0], sys.executable)
        self.assertTrue((await sending).complete)

        async def all_done() -> bool:
            return sum(isinstance(one, Done) for one in told) == 3  # of "ours" at both ends, of "theirs" at one

        await until(all_done, "the daemon to end what it sent")
        resumed = {one.peer: one.bytes for one in told if isinstance(one, Resumed)}
        self.assertEqual(set(resumed), {"m2.m", "n1.n"})
        self.assertGreaterEqual(min(resumed.values()), CHUNK)
        self.assertEqual((there / "ours").read_bytes(), ours.read_bytes())
        self.assertEqual((here / "theirs").read_bytes(), theirs.read_bytes())
