"""Links between machines whose firewalls drop or refuse what others begin, and a machine that gets another address."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.client import Client
from test.functional.cases import FunctionalCase, Run
from test.functional.lab import RunningLab, no_links, until
from test.functional.machines import Machines, Wall
from test.needs import needs

WALLS: Final[tuple[Wall, ...]] = ("open", "drop", "reject")
IMPOSSIBLE: Final = {("reject", "reject")}
"""What neither end's dial can open: each refusal takes away what the other's needs."""

GOES_ON_S: Final = 5.0
"""Seconds within which a transfer goes on when an address is gone."""
SLACK_S: Final = 2.0
"""Seconds that a machine which does much else may take besides."""


@needs("ip", "nft")
class MachinesCase(FunctionalCase):
    """Routers on a machine of their own, and peers on others."""

    timeout = 120

    async def prepare(self) -> None:
        """Make the machines' switch."""
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        self.machines = Machines(Path(folder.name))
        self.addCleanup(self.machines.close)

    def lab_on(self, router: str) -> RunningLab:
        """A lab whose routers are on a machine."""
        address = self.machines.add(router)
        lab = self.own_lab(hosts={"n": address, "m": address})
        python = self.machines.python(router)
        lab.pythons |= {"router-n": python, "router-m": python}
        return lab


class FirewallTests(MachinesCase):
    """A peer of each cluster behind each kind of firewall."""

    async def prepare(self) -> None:
        """Start everybody."""
        await super().prepare()
        self.lab = self.lab_on("routers")
        hosts = {}
        for cluster in "nm":
            for number, wall in enumerate(WALLS, 1):
                name = f"{cluster}-{wall}"
                self.machines.add(name, wall)
                self.lab.pythons[name] = self.machines.python(name)
                hosts[name] = [f"{cluster}{number}.{cluster}"]
        await self.lab.start(**hosts)
        self.clients: dict[str, Client] = {name: await self.client(self.lab, name) for name in hosts}

    async def test_every_pair(self) -> None:
        """Every pair links, in both directions, unless both ends answer with a reset; then that is said. No socket is
        left of it."""
        for asking, asked in ("nm", "mn"):
            for own in WALLS:
                client = self.clients[f"{asking}-{own}"]
                for number, other in enumerate(WALLS, 1):
                    target = f"{asked}{number}.{asked}"
                    try:
                        self.assertEqual("HELLO", (await client.message(target, "hello")).text)
                        self.assertNotIn((own, other), IMPOSSIBLE)
                    except ExchangeFailed as error:
                        self.assertIn((own, other), IMPOSSIBLE, f"{own} asks {other}: {error}")
                        self.assertEqual(Outcome.CONNECT_FAILED, error.outcome)
                        self.assertIn("the connection was refused; from here, ", str(error))
            await gatherResults([Deferred.fromCoroutine(no_links(client)) for client in self.clients.values()])
        for name in self.clients:
            await until(lambda name=name: self.is_quiet(name), f"{name} to close its sockets")  # type: ignore[misc]  # mypy can't type a lambda's default

    async def is_quiet(self, name: str) -> bool:
        """Whether a machine has no connection but that to its router."""
        return len(self.machines.sockets(name)) == 1


class RoamingTests(MachinesCase):
    """n1.n on a machine that gets another address."""

    async def prepare(self) -> None:
        """Start it, and m1.m on another machine."""
        await super().prepare()
        self.lab = self.lab_on("routers")
        for name in ("n", "m"):
            self.machines.add(name)
            self.lab.pythons[name] = self.machines.python(name)
        await self.lab.start(n=["n1.n"], m=["m1.m"])
        self.film = self.lab.folder / "film"
        self.film.write_bytes(os.urandom(8 << 20))

    async def test_in_a_transfer(self) -> None:
        """When either end has moved, a transfer goes on over a new link within 5 s, sends nothing again that the other
        end has verified, and arrives whole."""
        config = str(self.lab.folder / "n.yaml")
        arrived = self.lab.folder / "inbox" / "m1.m" / "film"
        for mover in ("n", "m"):
            run = self.run_program("p2p", "send", "--json", "--limit", "2MB/s", "m1.m", self.film, P2P_CONFIG=config)
            await until(lambda run=run: self.is_moving(run), "the transfer to be under way")  # type: ignore[misc]  # mypy can't type a lambda's default
            self.machines.move(mover)
            await until(
                lambda run=run: self.has_gone_on(run),  # type: ignore[misc]  # mypy can't type a lambda's default
                f"the transfer to go on after {mover} has moved",
                GOES_ON_S + SLACK_S,
            )
            await self.ended(run, 0)
            self.assertEqual(self.film.read_bytes(), arrived.read_bytes())
            arrived.unlink()
            cut = [line for line in self.lab.log(mover).splitlines() if "has lost its address" in line]
            self.assertTrue(any("link with" in line for line in cut), cut)
            verified = 0
            for event in events(run):
                if event["event"] == "resumed":
                    self.assertGreater(verified, 0)
                    self.assertGreaterEqual(event["bytes"], verified)
                    self.assertEqual([], event["restarted"])
                elif event["event"] == "progress":
                    verified = event["bytes"]

    async def is_moving(self, run: Run) -> bool:
        """Whether a transfer has told that bytes have arrived."""
        return any(event["event"] == "progress" and event["bytes"] for event in events(run))

    async def has_gone_on(self, run: Run) -> bool:
        """Whether more has arrived over a new link."""
        kept: int | None = None
        for event in events(run):
            if event["event"] == "resumed":
                kept = event["bytes"]
            elif event["event"] == "progress" and kept is not None and event["bytes"] > kept:
                return True
        return False


def events(run: Run) -> list[dict[str, Any]]:
    """What a command has told so far, line by line."""
    return [json.loads(line) for line in run.printed.splitlines(keepends=True) if line.endswith(b"\n")]
