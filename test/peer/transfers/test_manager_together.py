"""Transfers between two hosted peers, with everything real but the network, the threads and the time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2p.console.transfer_operations import Done, GetArguments, Moved, Progress, Resumed, SendArguments, Waiting
from p2p.exchange.paths import RESERVED
from p2p.exchange.rules import Offer
from p2p.exchange.service import Incoming
from p2p.peer.node import HostedPeer
from p2p.peer.transfers.manager import Transfers
from p2p.transfer.receiving_service import transfer
from p2p.transfer.sharing_service import fetch
from p2p.transfer.tree import CHUNK
from test.exchange.doubles import OpenHost
from test.peer.pair import Pair, at_once
from test.peer.transfers.journals import make_journal
from test.peer.transfers.moving_doubles import WALL, Events
from test.transfer.sources import new_ctime


class _Host(OpenHost):
    """Allows everything, and enters it in the journal of its daemon."""

    def __init__(self, pair: MovingPair, name: str, folder: Path) -> None:
        super().__init__(folder)
        self._pair = pair
        self._name = name

    def incoming(self, offer: Offer, stop: Callable[[str], None]) -> Incoming:  # type: ignore[override]  # a real one
        return self._pair.transfers[self._name].incoming(self._name, offer, stop, self.folder)


class MovingPair(Pair):
    """n1.n and m4.m, each with a daemon of its own that moves things."""

    services = (transfer, fetch)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts: dict[str, _Host] = {}
        self.transfers: dict[str, Transfers] = {}
        super().__init__(folder)

    def host(
        self,
        name: str,
        address: str,
        *,
        plain: bool = True,
        lab: str = "lab",
        ports: range = range(0),
        relay: Any = None,
        openings: Any = (),
    ) -> HostedPeer:
        peer = super().host(name, address, plain=True, lab=lab, ports=ports, relay=relay)
        self.begin_daemon(name)
        return peer

    def host_of(self, name: str, inbox: Path) -> OpenHost:
        self.hosts[name] = _Host(self, name, inbox)
        return self.hosts[name]

    def begin_daemon(self, name: str) -> None:
        """Begin to move things, the first time or after an end."""
        journal, _ = make_journal(self.folder / f"{name}.journal")
        self.transfers[name] = Transfers(
            self.network,
            {name: self.peers[name]},
            journal,
            self.folder / f"{name}.state",
            at_once,
            lambda: WALL + self.network.seconds(),
            self._bytes,
        )
        Deferred.fromCoroutine(self.transfers[name].start())


class TogetherTests(SynchronousTestCase):
    """n1.n and m4.m."""

    def setUp(self) -> None:
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        self.pair = MovingPair(base)
        self.source = base / "source"
        self.source.mkdir()
        self.inbox = base / "m4.m"
        self.events = Events()

    def send(self, *paths: Path, **how: Any) -> Deferred[Moved]:
        arguments = SendArguments(peers=["m4.m"], paths=[str(path) for path in paths], **how)
        mover = self.pair.transfers["n1.n"]
        return self.pair.start(mover.send(self.pair.n1, arguments, self.events.append))

    def settled(self, moving: Deferred[Moved], seconds: float = 5.0) -> Any:
        self.pair.network.advance(seconds)
        (moved,) = self.successResultOf(moving).transfers
        return moved

    def film(self, chunks: int, name: str = "film.mp4") -> Path:
        path = self.source / name
        path.write_bytes(os.urandom(chunks * CHUNK + 77))
        return path

    def assert_clean(self) -> None:
        """Nothing of a transfer's own is left at either end."""
        self.assertEqual([], list(self.inbox.glob(f"{RESERVED}*")))
        out = self.pair.folder / "n1.n.state" / "out"
        self.assertEqual([], list(out.iterdir()) if out.exists() else [])

    def test_tree(self) -> None:
        """A folder with all that is in it arrives as it is; both ends know it."""
        (self.source / "deep" / "empty").mkdir(parents=True)
        for number in range(50):
            (self.source / "deep" / f"{number}.txt").write_text(f"number {number}")
        film = self.film(3)
        moved = self.settled(self.send(self.source))
        self.assertEqual(("ok", 54, 0), (moved.outcome, moved.entries, moved.refused))
        arrived = self.inbox / "source"
        self.assertEqual(film.read_bytes(), (arrived / "film.mp4").read_bytes())
        self.assertEqual("number 7", (arrived / "deep" / "7.txt").read_text())
        self.assertTrue((arrived / "deep" / "empty").is_dir())
        (received,) = self.successResultOf(Deferred.fromCoroutine(self.pair.transfers["m4.m"].shown(9))).transfers
        self.assertEqual(("receive", "done", 54), (received.direction, received.state, received.entries))
        self.assertEqual(54, self.events.kinds().count("verified"))
        self.assert_clean()

    def test_link_breaks(self) -> None:
        """After a broken link it goes on by itself, from the last chunk that was verified."""
        film = self.film(40)
        moving = self.send(film, limit=8 * CHUNK)
        self.pair.network.advance(2.0)
        self.pair.n1.links["m4.m"].abort("broken")
        moved = self.settled(moving, 30.0)
        self.assertEqual("ok", moved.outcome)
        self.assertEqual(film.read_bytes(), (self.inbox / "film.mp4").read_bytes())
        resumed, done = self.events.last(Resumed), self.events.last(Done)
        self.assertGreater(resumed.offset, CHUNK)
        self.assertEqual((0, []), (resumed.offset % CHUNK, resumed.restarted))
        self.assertEqual(2, done.sessions)
        self.assertEqual("reset", self.events.last(Waiting).outcome)
        self.assert_clean()

    def test_daemon_ends(self) -> None:
        """What a daemon had begun goes on when it runs again, with nobody asking."""
        film = self.film(20)
        moving = self.send(film, limit=8 * CHUNK)
        self.pair.network.advance(1.5)
        self.pair.run(self.pair.transfers["n1.n"].stop())
        self.assertEqual("reset", self.settled(moving, 0.1).outcome)
        before = self.events.last(Progress).bytes
        self.assertGreater(before, 0)
        self.pair.n1.link_watchers.clear()
        self.pair.begin_daemon("n1.n")
        self.pair.transfers["n1.n"].follow(self.events.append)
        self.pair.network.advance(30.0)
        self.assertEqual(film.read_bytes(), (self.inbox / "film.mp4").read_bytes())
        self.assertGreaterEqual(self.events.last(Resumed).offset, before // CHUNK * CHUNK)
        self.assert_clean()

    def test_source_changes(self) -> None:
        """If the source changed meanwhile, that is said, and it begins anew."""
        film = self.film(20)
        moving = self.send(film, limit=8 * CHUNK)
        self.pair.network.advance(1.5)
        moving.cancel()
        self.pair.network.advance(1.0)
        self.failureResultOf(moving)
        self.film(5)
        moved = self.settled(self.send(film), 10.0)
        self.assertEqual("ok", moved.outcome)
        self.assertEqual(["film.mp4"], self.events.last(Resumed).restarted)
        self.assertEqual(film.read_bytes(), (self.inbox / "film.mp4").read_bytes())
        self.assert_clean()

    def test_get(self) -> None:
        """What a peer shares is got, and goes on after a broken link."""
        film = self.film(40)
        self.pair.hosts["m4.m"].shares["films"] = self.source
        folder = self.pair.folder / "here"
        folder.mkdir()
        arguments = GetArguments(peer="m4.m", names=["films"], folder=str(folder), limit=8 * CHUNK)
        mover = self.pair.transfers["n1.n"]
        moving = self.pair.start(mover.get(self.pair.n1, arguments, self.events.append))
        self.pair.network.advance(2.0)
        self.pair.n1.links["m4.m"].abort("broken")
        moved = self.settled(moving, 30.0)
        self.assertEqual("ok", moved.outcome, moved.reason)
        self.assertEqual(film.read_bytes(), (folder / "films" / "film.mp4").read_bytes())
        self.assertGreater(self.events.last(Resumed).offset, CHUNK)
        self.assertEqual([], list(folder.glob(f"{RESERVED}*")))

    def test_get_changed(self) -> None:
        """What changed at the peer's while it was away is got anew, and said to be, however fast it comes then."""
        film = self.film(20)
        self.pair.hosts["m4.m"].shares["films"] = self.source
        folder = self.pair.folder / "here"
        folder.mkdir()
        arguments = GetArguments(peer="m4.m", names=["films"], folder=str(folder), limit=8 * CHUNK)
        mover = self.pair.transfers["n1.n"]
        moving = self.pair.start(mover.get(self.pair.n1, arguments, self.events.append))
        self.pair.network.advance(1.5)
        self.pair.n1.links["m4.m"].abort("broken")
        status = film.stat()
        with film.open("r+b") as file:
            file.write(b"changed")
        os.utime(film, ns=(status.st_atime_ns, status.st_mtime_ns))
        new_ctime(film)
        moved = self.settled(moving, 30.0)
        self.assertEqual("ok", moved.outcome, moved.reason)
        self.assertEqual(film.read_bytes(), (folder / "films" / "film.mp4").read_bytes())
        self.assertEqual(["films/film.mp4"], self.events.last(Resumed).restarted)

    def test_pipes(self) -> None:
        """What comes from a pipe arrives as a file, and a file goes to a pipe."""
        self.pair.hosts["m4.m"].shares["x.tar"] = self.inbox / "x.tar"
        mover = self.pair.transfers["n1.n"]
        read, write = os.pipe()
        os.write(write, b"tape" * 1000)
        os.close(write)
        sending = SendArguments(peers=["m4.m"], stream=True, name="x.tar")
        moved = self.settled(self.pair.start(mover.send(self.pair.n1, sending, self.events.append, read)))
        os.close(read)
        self.assertEqual(("ok", 4000), (moved.outcome, moved.bytes))
        read, write = os.pipe()
        getting = GetArguments(peer="m4.m", names=["x.tar"], stream=True)
        moved = self.settled(self.pair.start(mover.get(self.pair.n1, getting, self.events.append, write)))
        os.close(write)
        self.assertEqual("ok", moved.outcome, moved.reason)
        with os.fdopen(read, "rb") as stream:
            self.assertEqual(b"tape" * 1000, stream.read())

    def test_nothing_left(self) -> None:
        """When the links are closed, no timer is left."""
        self.settled(self.send(self.film(1)))
        self.pair.n1.disconnect()
        self.pair.network.advance(2.0)
        self.assertEqual({}, self.pair.leftovers())
