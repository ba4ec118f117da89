"""A peer of the lab, with a good certificate, that answers with what it wasn't asked for."""

from __future__ import annotations

import os
import time
from pathlib import Path

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.endpoints import clientFromString
from twisted.internet.threads import deferToThread

from p2p.base.config import PeerLimits
from p2p.base.log_gate import LogGate
from p2p.exchange.service import Services
from p2p.link.boxes import encode_box
from p2p.peer.node import HostedPeer
from p2p.peer.pursuit import Surroundings
from p2p.peer.registration import Registration
from test.exchange.doubles import OpenHost
from test.functional.cases import FunctionalCase
from test.functional.lab import RunningLab, reactor, until
from test.transfer.arrivals import end, file, folder
from test.transfer.lying import LyingService

MINE = b"mine"


class LyingPeerTests(FunctionalCase):
    """m1.m answers all who get something from it with the same lie; n1.n, whose daemon is real, wants a file."""

    async def prepare(self) -> None:
        """Start the lab, and let m1.m join it from here."""
        self.lab: RunningLab = self.own_lab()
        self.lab.peers_file("m", "m1.m")  # for its certificate
        await self.lab.start(n=["n1.n"])
        self.fetch = LyingService("fetch")
        self.listing = LyingService("list", [encode_box({"name": "../.bash_profile", "kind": "file"})])
        inbox = self.lab.folder / "lying"
        inbox.mkdir()
        surroundings = Surroundings(
            reactor=reactor,
            limits=PeerLimits(),
            services=Services([self.fetch, self.listing]),
            threads=deferToThread,
            random=os.urandom,
            now_ns=time.monotonic_ns,
            listen="tcp:0",
            plain=False,
            gate=LogGate(reactor),
            scopes=PeerLimits().scopes(),
        )
        credentials = self.lab.credentials("m1.m")
        router = clientFromString(reactor, f"tcp:127.0.0.1:{self.lab.ports['m']}")
        registration = Registration(reactor, router, credentials, surroundings.limits, DeferredSemaphore(1))
        peer = HostedPeer(credentials, inbox, surroundings, OpenHost(inbox), registration)
        peer.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(peer.stop()))

        async def registered() -> bool:
            return peer.registration.registered

        await until(registered, "m1.m to register")
        self.home = self.lab.folder / "home"
        self.home.mkdir()
        (self.home / ".bash_profile").write_bytes(MINE)

    def there(self) -> dict[str, bytes]:
        """Every file in the folder that is got into, but what p2p keeps there."""
        paths = [path for path in sorted(self.home.rglob("*")) if path.is_file() and ".p2p-" not in str(path)]
        return {path.relative_to(self.home).as_posix(): path.read_bytes() for path in paths}

    async def test_names(self) -> None:
        """Of what nobody asked for nothing is written, nor anything written over; who asked is told what came."""
        profile = file(".bash_profile", b"evil")
        keys = [*folder(".ssh"), *file(".ssh/authorized_keys", b"evil")]
        into: tuple[str | Path, ...] = ("share/a.txt", f"{self.home}/")
        for options in ((), ("--exists", "replace")):
            for answer, name in (((profile, keys, end(3, 8)), ".bash_profile"), ((keys, end(2, 4)), ".ssh")):
                self.fetch.answer = answer
                said = await self.ended(self.p2p(self.lab, "n", "get", "m1.m", *into, *options), 9)
                self.assertIn(f"'{name}' came, which wasn't asked for", said)
                self.assertEqual({".bash_profile": MINE}, self.there())
        self.fetch.answer = (file("a.txt", b"good"), profile, end(2, 8))
        await self.ended(self.p2p(self.lab, "n", "get", "m1.m", *into), 9)
        self.assertEqual({".bash_profile": MINE, "a.txt": b"good"}, self.there())
        self.fetch.answer = (file("b.txt", b"good"), end(1, 4))
        await self.ended(self.p2p(self.lab, "n", "get", "m1.m", "share/b.txt", f"{self.home}/"), 0)
        self.assertEqual({".bash_profile": MINE, "a.txt": b"good", "b.txt": b"good"}, self.there())

    async def test_pipe(self) -> None:
        """Not a byte of another file than the one that was asked for goes to standard output."""
        self.fetch.answer = (file("b.txt", b"evil"), end(1, 4))
        run = self.p2p(self.lab, "n", "get", "m1.m", "share/a.txt", "-")
        self.assertIn("'b.txt' came, which wasn't asked for", await self.ended(run, 9))
        self.assertEqual(b"", run.printed)

    async def test_list(self) -> None:
        """A list with paths in it, where names belong, isn't shown."""
        run = self.p2p(self.lab, "n", "ls", "m1.m", "share")
        self.assertIn("which is no name", await self.ended(run, 9))
        self.assertEqual(b"", run.printed)
