"""Transfers whose receiver or sender is killed (kill -9) at a random moment: is everything there, and what went twice?

Two routers and two peers run as real daemons. Each transfer is one file under a rate limit, so that the moment of the
kill falls anywhere in it; the killed daemon is started again at once, and nobody asks for the transfer again. Told are
the files that aren't identical, and how many chunks went again although the receiver had verified them: by how many its
part became shorter after the kill.

Run it from the project's folder: ``python -m bench.kills``.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

import click
from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.internet.task import LoopingCall, deferLater, react

from bench._rivals import free_port
from p2p.base.errors import P2PError
from p2p.client import Client, SendArguments
from p2p.identity.lab import create_lab
from p2p.measure.processes import Daemon, Daemons

MIB: Final = 1024 * 1024
START_S: Final = 30.0
END_S: Final = 90.0
LOOK_S: Final = 0.004
"""Between two looks at how many chunks the receiver has: less than a chunk takes."""


class Lab:
    """Two clusters with a peer each.

    :ivar daemons: by name.
    """

    def __init__(self, reactor: Any, folder: Path) -> None:
        self.reactor = reactor
        self.folder = folder / "lab"
        ports = {cluster: free_port() for cluster in "nm"}
        create_lab(self.folder, clusters="nm", peers=1, ports=ports)
        self._processes = Daemons(reactor, folder)
        self.daemons: dict[str, Daemon] = {}

    async def start(self, name: str) -> None:
        """Start a daemon, or start it again."""
        plugin = "p2p-router" if name.startswith("router") else "p2p-peer"
        self.daemons[name] = await self._processes.start(name, plugin, self.folder / f"{name}.yaml", deadline=START_S)

    async def client(self, name: str) -> Client:
        """A client of a daemon that may just be starting."""
        last: P2PError | None = None
        for _ in range(100):
            try:
                return await Client.connect(self.reactor, self.folder / f"{name}.sock")
            except P2PError as error:
                last = error
                await deferLater(self.reactor, 0.1)
        raise last or AssertionError

    async def stop(self) -> None:
        """End everything."""
        await self._processes.stop_all()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--transfers", default=100, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--size", default=24, show_default=True, type=click.IntRange(2), help="MiB of each file.")
@click.option("--seed", default=1, show_default=True, help="For who is killed when.")
def main(transfers: int, size: int, seed: int) -> None:
    """Kill a daemon in the middle of each of many transfers, and see what becomes of them."""
    react(lambda reactor: ensureDeferred(_run(reactor, transfers, size, random.Random(seed))))


async def _run(reactor: Any, transfers: int, size: int, chance: random.Random) -> None:
    folder = Path(tempfile.mkdtemp(prefix="p2p-kills-"))
    counts: Counter[str] = Counter()
    lab = Lab(reactor, folder)
    try:
        for name in ("router-n", "router-m", "peer-n1.n", "peer-m1.m"):
            await lab.start(name)
        for number in range(transfers):
            victim = chance.choice(["peer-n1.n", "peer-m1.m"])
            again = await _one(lab, folder, number, size, victim, chance.random())
            counts["transfers"] += 1
            counts[f"killed {victim}"] += 1
            counts[f"{again} verified chunks again"] += 1
            click.echo(f"{number + 1}: {victim} killed, {again} verified chunks went again", err=True)
    finally:
        await lab.stop()
        shutil.rmtree(folder)
    click.echo(json.dumps(counts, indent=2, sort_keys=True))


async def _one(lab: Lab, folder: Path, number: int, size: int, victim: str, when: float) -> int:
    """Bring one file over with a kill in the middle; returns how many verified chunks went again."""
    source = folder / f"film-{number}"
    source.write_bytes(os.urandom(size * MIB - 777))
    rate = size * MIB
    client = await lab.client("peer-n1.n")
    await client.wait_registered(START_S)
    sending = ensureDeferred(client.send(SendArguments(peers=["m1.m"], paths=[str(source)], limit=rate)))
    sending.addErrback(lambda failure: failure.trap(P2PError, CancelledError))
    await deferLater(lab.reactor, 0.05 + when)
    lab.daemons[victim].kill()
    await lab.daemons[victim].when_exited()
    verified = least = _verified(lab)

    def look() -> None:
        nonlocal least
        now = _verified(lab)
        least = min(least, now) if now else least  # none: it has its name

    looking = LoopingCall(look)
    looking.start(LOOK_S).addErrback(lambda failure: failure.printTraceback())
    await lab.start(victim)
    if victim == "peer-n1.n":
        client = await lab.client(victim)
        await _over(lab, client, source.name)
    await sending
    looking.stop()
    await client.close()
    there = lab.folder / "inbox" / "m1.m" / source.name
    if not there.exists() or there.read_bytes() != source.read_bytes():
        sys.exit(f"{source.name} isn't what was sent")
    left = [one.name for one in there.parent.iterdir() if one.name.startswith(".p2p-")]
    if left:
        sys.exit(f"{left} is left in the inbox")
    there.unlink()
    source.unlink()
    return verified - least


def _verified(lab: Lab) -> int:
    """Chunks that the receiver has on its disk with their leaves; 0 when the file has got its name."""
    try:
        return sum(one.stat().st_size // 32 for one in (lab.folder / "inbox" / "m1.m").glob(".p2p-*/*.leaves"))
    except FileNotFoundError:  # just now, while we looked
        return 0


async def _over(lab: Lab, client: Client, name: str) -> None:
    """Wait until a transfer that the daemon has taken up by itself is over."""
    for _ in range(round(END_S / 0.1)):
        for shown in (await client.transfers()).transfers:
            if shown.names == [name] and shown.state == "done":
                return
        await deferLater(lab.reactor, 0.1)
    sys.exit(f"{name} hasn't arrived within {END_S:g} s")


if __name__ == "__main__":
    main()
