"""Who can be linked with whom is a matter of the networks alone: seen by bare sockets, without p2p."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import time
from contextlib import ExitStack
from itertools import permutations
from pathlib import Path
from unittest import SkipTest, skipUnless

from twisted.trial.unittest import SynchronousTestCase

from test.functional.reach.net import SITES, Host, Site, impossible, internet
from test.needs import needs

DEADLINE_S = 3.5
PUNCHED = {"host firewall", "NAT that drops", "NAT behind NAT"}
CROSSING = {*PUNCHED, "NAT with random ports"}

REACH = Path(__file__).parents[3] / "docs" / "reach.rst"
_REJECTS = """table inet filter {
 chain input {
 type filter hook input priority 0; policy accept;
 iifname "lo" accept
 ct state established,related accept
 reject
}
}
"""


def bound(host: Host, port: int) -> socket.socket:
    """A socket on a machine that shares its port with others of the same machine."""
    one = host.run(socket.socket)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind((host.address, port))
    one.setblocking(False)
    return one


def connected(dials: list[tuple[socket.socket, tuple[str, int]]]) -> list[bool]:
    """Which of some dials, begun together, are connected before the deadline."""
    until = time.monotonic() + DEADLINE_S
    done: set[socket.socket] = set()
    with selectors.DefaultSelector() as selector:
        for one, to in dials:
            one.connect_ex(to)
            selector.register(one, selectors.EVENT_WRITE, one)
        while selector.get_map() and (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                selector.unregister(key.fileobj)
                if not key.data.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    done.add(key.data)
    return [one in done for one, _ in dials]


def dialled(stack: ExitStack, one: Host, other: Host, ports: list[int]) -> list[tuple[socket.socket, tuple[str, int]]]:
    """Dials from one machine to some ports of another, that aren't begun yet."""
    return [(stack.enter_context(bound(one, 0)), (other.seen, port)) for port in ports]


@skipUnless(os.geteuid() == 0 and Path("/dev/net/tun").exists(), "needs root and /dev/net/tun")
@needs("ip", "nft")
class SitesTests(SynchronousTestCase):
    """What the sites let through, before any daemon stands there."""

    def setUp(self) -> None:
        """See whether there can be any."""
        if why := impossible():
            raise SkipTest(why)

    def test_dialled(self) -> None:
        """Only the machine without firewall and NAT can be dialled, and it can be dialled from everywhere."""
        with ExitStack() as stack, internet(*SITES) as hosts:
            pairs = list(permutations(zip(SITES, hosts, strict=True), 2))
            dials = []
            for port, ((_, first), (_, second)) in enumerate(pairs, 42000):
                stack.enter_context(bound(second, port)).listen()
                dials.append((stack.enter_context(bound(first, port)), (second.seen, port)))
            for ((a, _), (b, _)), linked in zip(pairs, connected(dials), strict=True):
                self.assertEqual(linked, b.name == "open", f"{a.name} dials {b.name}")

    def test_crossed(self) -> None:
        """Firewalls and NATs that drop what is new and keep the port are crossed; a NAT with random ports isn't."""
        with ExitStack() as stack, internet(*SITES) as hosts:
            places = [(site, host) for site, host in zip(SITES, hosts, strict=True) if site.name in CROSSING]
            pairs = list(permutations(places, 2))
            dials = []
            for port, ((_, first), (_, second)) in enumerate(pairs, 43000):
                dials.append((stack.enter_context(bound(first, port)), (second.seen, port)))
                dials.append((stack.enter_context(bound(second, port)), (first.seen, port)))
            ends = connected(dials)
            for ((a, _), (b, _)), one, other in zip(pairs, ends[::2], ends[1::2], strict=True):
                self.assertEqual(one and other, {a.name, b.name} <= PUNCHED, f"{a.name} with {b.name}")

    def test_opened(self) -> None:
        """The rule for nftables in ``docs/reach.rst`` opens its ports and no other, also where a rule rejects all."""
        (command,) = [line.split() for line in REACH.read_text("utf-8").splitlines() if line.startswith("    nft ")]
        ports = [42000, 42099, 42100]
        with ExitStack() as stack, internet(SITES[0], Site("rejecting", host=_REJECTS)) as (outside, inside):
            for port in ports:
                stack.enter_context(bound(inside, port)).listen()
            self.assertEqual([False] * 3, connected(dialled(stack, outside, inside, ports)))
            inside.run(lambda: subprocess.run(command, check=True, timeout=10))
            self.assertEqual([True, True, False], connected(dialled(stack, outside, inside, ports)))

    def test_removed(self) -> None:
        """Nothing of a net is left open when it is gone."""
        before = len(list(Path("/proc/self/fd").iterdir()))
        with internet(*SITES):
            self.assertGreater(len(list(Path("/proc/self/fd").iterdir())), before)
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before)
