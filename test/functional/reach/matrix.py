"""A lab whose peers stand at sites of all kinds, and what must come of each pair: the table of ``docs/reach.rst``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import quoteStringArgument

from p2p.client import Client
from p2p.console.operations import PeerStatus
from test.functional.lab import RunningLab
from test.functional.machines import interpreter
from test.functional.reach.net import ALL_SITES, DELAY_S, Host, Site, internet

__all__ = [
    "DIRECT",
    "EITHER",
    "RELAYED",
    "SITUATIONS",
    "Matrix",
    "R",
    "Tried",
    "expected",
    "limit_s",
    "situation",
]

R: Final = 2 * DELAY_S
"""A round trip between two sites, seconds."""

DIRECT: Final = "direct"
RELAYED: Final = "relayed"
EITHER: Final = "either"
"""What it comes to is a matter of milliseconds."""

SITUATIONS: Final = {
    "nothing": DIRECT,
    "a firewall on one side, whether it drops or answers with a reset": DIRECT,
    "a firewall on each side, at least one of which drops": DIRECT,
    "a firewall on each side, and both answer with a reset": EITHER,
    "a NAT on one side, of any kind": DIRECT,
    "a NAT on each side that keeps ports, as Linux does while it can": DIRECT,
    "a NAT on each side that gives other ports, the same for whoever is dialled": DIRECT,
    "a NAT on one side that gives other ports, and on the other one that answers with a reset": EITHER,
    "both behind one NAT, on one network": DIRECT,
    "both behind one NAT that lets one reach the other at its outer address": DIRECT,
    "both behind one NAT, on two networks": RELAYED,
    "a NAT on each side, one of which gives out ports at random": RELAYED,
    "nothing that passes at all, or no IP version that both have": RELAYED,
}
"""What comes of each situation in the table of ``docs/reach.rst``, by its words there, with a relay that all reach."""

RELAY: Final = "relay.n"

AT_ONCE: Final = 4
"""Daemons that start beside each other."""

_OPEN: Final = {"open", "dead IPv6", "a dead interface"}
"""Where others' dials come in, over IPv4."""

_TWO_VERSIONS: Final = {"open", "IPv6 alone"}
"""Where they come in over IPv6."""

_TOGETHER: Final = {
    "one NAT, one network": "both behind one NAT, on one network",
    "one NAT, two networks": "both behind one NAT, on two networks",
    "one NAT with hairpin": "both behind one NAT that lets one reach the other at its outer address",
}
"""The situation of two machines that are both at such a site."""

_WALL: Final = "host firewall"
_RESETS: Final = "NAT that answers with RST"
_RANDOM: Final = "NAT with random ports"
_OTHER_PORTS: Final = "NAT with other ports"


def situation(asking: str, asked: str) -> str:
    """In which of ``SITUATIONS`` two machines are, by the names of their sites."""
    pair = {asking, asked}
    if "IPv6 alone" in pair:
        passes = pair <= _TWO_VERSIONS
        return "nothing" if passes else "nothing that passes at all, or no IP version that both have"
    if pair <= _OPEN:
        return "nothing"
    if pair & _OPEN:
        if _WALL in pair:
            return "a firewall on one side, whether it drops or answers with a reset"
        return "a NAT on one side, of any kind"
    if asking == asked and asking in _TOGETHER:
        return _TOGETHER[asking]
    if _RANDOM in pair:
        return "a NAT on each side, one of which gives out ports at random"
    if pair == {_RESETS}:
        return "a firewall on each side, and both answer with a reset"
    if pair == {_RESETS, _OTHER_PORTS}:
        return "a NAT on one side that gives other ports, and on the other one that answers with a reset"
    if _OTHER_PORTS in pair:
        return "a NAT on each side that gives other ports, the same for whoever is dialled"
    if _WALL in pair:
        return "a firewall on each side, at least one of which drops"
    return "a NAT on each side that keeps ports, as Linux does while it can"


def expected(asking: str, asked: str) -> str:
    """What comes of a request, by the names of the two sites."""
    return SITUATIONS[situation(asking, asked)]


def limit_s(asking: str, asked: str) -> float:
    """Within how many seconds the link stands on machines that do nothing else."""
    if expected(asking, asked) != DIRECT:
        return 3.0
    mapped = "other ports" in situation(asking, asked)
    return 12 * R + 0.5 if mapped else 6 * R + 0.3


@dataclass(frozen=True)
class Tried:
    """What came of a pair.

    :ivar how: ``direct``, or ``relayed``.
    :ivar setup_s: seconds from the request to the link, and ``first_byte_s`` of the next exchange.
    """

    how: str
    setup_s: float
    first_byte_s: float


class Matrix:
    """The lab: both routers at one open machine, a relay at another, and two peers at each site, one of each cluster.

    :param relay: whether there is one.
    :ivar host: the routers' address, which the lab must know.
    """

    def __init__(self, sites: Sequence[Site], folder: Path, stack: ExitStack, *, relay: bool = True) -> None:
        self._sites = sites
        self._has_relay = relay
        self._folder = folder
        machines = stack.enter_context(internet(ALL_SITES[0], ALL_SITES[0], *sites, *sites))
        self._routers, self._relay, *self._machines = machines
        self.host = self._routers.seen
        self._clients: dict[str, Client] = {}

    async def start(self, lab: RunningLab) -> None:
        """Start everybody, in a lab whose routers are to be at ``host``."""
        self._put(lab, "router-n", self._routers)
        lab.pythons["router-m"] = lab.pythons["router-n"]
        for cluster in "nm":
            path = lab.folder / f"router-{cluster}.yaml"
            port = lab.ports[cluster]
            path.write_text(path.read_text().replace(f"listen: tcp:{port}", f"listen: tcp6:{port}"))
            if self._has_relay:
                with path.open("a") as file:
                    file.write(f"relays: {RELAY}\n")
        hosts: dict[str, list[str]] = {}
        if self._has_relay:
            hosts["relay"] = [RELAY]
            self._put(lab, "relay", self._relay)
            path = lab.peers_file("relay", RELAY)
            name = f"  - name: {RELAY}\n"
            path.write_text(path.read_text().replace(name, f"{name}    relay: {{from: '*', each: 16}}\n"))
        for number, machine in enumerate(self._machines):
            cluster, site = "nm"[number // len(self._sites)], number % len(self._sites)
            name = self._name(cluster, site)
            self._put(lab, name, machine)
            hosts[name] = [f"{name}.{cluster}"]
            ports = self._sites[site].ports
            settings = f"ports: {ports[number // len(self._sites)]}\n" if ports else ""
            path = lab.peers_file(name, *hosts[name], settings=settings)
            if self._sites[site].versions == (6,):
                here = f"router: tcp:{self.host}:"
                there = f"router: tcp:{quoteStringArgument(self._six)}:"
                path.write_text(path.read_text().replace(here, there))
        for cluster in lab.ports:
            await lab.start_router(cluster)
        names = list(hosts)
        for first in range(0, len(names), AT_ONCE):
            starting = [lab.start_peers(name, *hosts[name]) for name in names[first : first + AT_ONCE]]
            await gatherResults([Deferred.fromCoroutine(one) for one in starting], consumeErrors=True)
        await lab.linked()
        for name in hosts:
            self._clients[name] = await lab.connect(name)

    async def close(self) -> None:
        """Close the consoles."""
        for client in self._clients.values():
            await client.close()

    async def tried(self, asking: int, asked: int) -> Tried:
        """Have the peer of cluster n at one site reach that of cluster m at another, which it isn't linked to yet."""
        client, target = self._clients[self._name("n", asking)], f"{self._name('m', asked)}.m"
        link = await client.link(target)
        answer = await client.message(target, "hello")
        if answer.text != "HELLO" or answer.first_byte_ns is None:
            raise AssertionError(f"{target} answered {answer.text!r}")
        status = await client.status()
        assert isinstance(status, PeerStatus)
        (by,) = [one.relayed_by for peer in status.peers for one in peer.links if one.peer == target]
        assert by in ("", RELAY)
        setup_s = (link.setup_ns or 0) / 1e9
        return Tried(RELAYED if by else DIRECT, setup_s, (answer.first_byte_ns - answer.planned_ns) / 1e9)

    async def part(self) -> None:
        """End all links between the sites."""
        for client in self._clients.values():
            await client.disconnect()

    @property
    def _six(self) -> str:
        """The IPv6 address of the routers."""
        return f"2001:db8::{int(self.host.rpartition('.')[2]):x}"

    @staticmethod
    def _name(cluster: str, site: int) -> str:
        return f"{cluster}{site + 1}"

    def _put(self, lab: RunningLab, name: str, machine: Host) -> None:
        """Let a daemon run on a machine."""
        enter = f"nsenter --net=/proc/{os.getpid()}/fd/{machine.space}"
        lab.pythons[name] = interpreter(self._folder, name, enter)
