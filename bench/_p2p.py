"""A lab of real daemons for the benchmarks: two routers, a peer in each cluster, and their consoles."""

from __future__ import annotations

import os
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import click
import psutil
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from bench._rivals import Transfer, Unavailable, free_port
from p2p.client import Client, ExchangeArguments, SendArguments
from p2p.console.transfer_operations import TransferEvent
from p2p.identity.lab import create_lab
from p2p.identity.lab_files import Links
from p2p.measure.processes import Daemon, Daemons

RECEIVER: Final = "m1.m"
REGISTER_S: Final = 30.0
PAUSE_S: Final = 0.005
"""Between two messages that are timed."""


class P2P:
    """A lab of two clusters with one peer each, and ways to send from one to the other.

    :param stored: whether files go as exchanges of the service ``store``, and not as transfers.
    """

    def __init__(self, reactor: Any, folder: Path, links: Links = "tls", *, stored: bool = False) -> None:
        self._reactor = reactor
        self._links = links
        self._stored = stored
        self.folder = folder
        self._daemons = Daemons(reactor, folder)
        self._peers: list[Daemon] = []
        folder.mkdir()

    async def start(self) -> None:
        """Start routers and peers, and wait until they are registered."""
        ports = {cluster: free_port() for cluster in "nm"}
        self.lab = create_lab(self.folder / "lab", peers=1, ports=ports, links=self._links)
        for name, config in self.lab.routers.items():
            await self._daemons.start(name, "p2p-router", config)
        for name, config in self.lab.peers.items():
            self._peers.append(await self._daemons.start(name, "p2p-peer", config))
        self.clients = [
            await Client.connect(self._reactor, config.with_suffix(".sock")) for config in self.lab.peers.values()
        ]
        for client in self.clients:
            await client.wait_registered(REGISTER_S)

    @property
    def inbox(self) -> Path:
        """Where the receiver keeps what it gets."""
        return self.lab.directory / "inbox" / RECEIVER

    async def transfer(self, source: Path) -> Transfer:
        """Bring a file or folder over on a new link, as a new scp needs a new connection; leave nothing behind."""
        await self.clients[0].disconnect()
        before = [cpu_s(daemon.pid) for daemon in self._peers]
        began = self._reactor.seconds()
        name = await (self._store(source) if self._stored else self._send(source))
        seconds = self._reactor.seconds() - began
        cpu = [cpu_s(daemon.pid) - then for daemon, then in zip(self._peers, before, strict=True)]
        remove(self.inbox / name)
        return Transfer(seconds, *cpu)

    async def _store(self, source: Path) -> str:
        asked = ExchangeArguments(peer=RECEIVER, service="store", path=str(source), name=source.name, type="data")
        stored = await self.clients[0].exchange(asked)
        receipt = stored.receipt
        if receipt is None:
            raise Unavailable("the file was stored, but nobody says under which name")
        return receipt.name

    async def _send(self, source: Path) -> str:
        names: list[str] = []

        def on_event(event: TransferEvent) -> None:
            if event.event == "verified":
                names.append(event.name)

        asked = SendArguments(peers=[RECEIVER], paths=[str(source)])
        moved = await self.clients[0].send(asked, on_event=on_event)
        if not moved.complete:
            raise Unavailable(f"p2p send ended with {moved.transfers[0].outcome}: {moved.transfers[0].reason}")
        return names[-1].split("/")[0] if names else source.name

    async def messages(self, flow: Coroutine[Any, Any, object]) -> list[float]:
        """Send texts on the link while something flows; return how many seconds each text took."""
        flowing = Deferred.fromCoroutine(flow)
        took: list[float] = []
        while not flowing.called:
            took.append((await self.clients[0].message(RECEIVER, "as quick as you can")).seconds)
            await deferLater(self._reactor, PAUSE_S)
        await flowing
        return took

    def memory_peaks(self) -> list[int]:
        """The most bytes that sender and receiver held since they started; none where the system doesn't tell."""
        peaks = []
        for daemon in self._peers:
            status = Path(f"/proc/{daemon.pid}/status")
            if status.exists():
                line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
                peaks.append(int(line.split()[1]) * 1024)
        return peaks

    @property
    def pids(self) -> list[int]:
        """The processes of the sending and of the receiving peer."""
        return [daemon.pid for daemon in self._peers]

    async def stop(self) -> None:
        """Stop every daemon."""
        await self._daemons.stop_all()


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def roomy(size: int) -> str | None:
    """A folder in memory with room for so many bytes; else the usual one."""
    shared = Path("/dev/shm")
    if shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > size:
        return str(shared)
    tell("/dev/shm is missing or has no room: the disk is measured too")
    return None


def touch(folder: Path, size: int) -> None:
    """Use so much memory, or disk, and give it back: a virtual machine gets its memory when it uses it."""
    path = folder / "touched"
    piece = memoryview(bytes(1024 * 1024))
    with path.open("wb", buffering=0) as file:
        for start in range(0, size, len(piece)):
            file.write(piece[: size - start])
    path.unlink()


def tell(text: str) -> None:
    """Say how far it is, beside the results."""
    click.echo(text, err=True)
