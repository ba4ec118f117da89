"""Who can be linked with whom is a matter of the networks alone: seen by bare sockets, without p2p."""

from __future__ import annotations

import os
import selectors
import socket
import time
from itertools import permutations
from pathlib import Path
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from test.functional.reach.net import SITES, Host, internet
from test.needs import needs

DEADLINE_S = 1.5
PUNCHED = {"host firewall", "NAT that drops", "NAT behind NAT"}


def bound(host: Host, port: int) -> socket.socket:
    """A socket on a machine that shares its port with others of the same machine."""
    one = host.run(socket.socket)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind((host.address, port))
    one.setblocking(False)
    return one


def connected(*dials: tuple[socket.socket, tuple[str, int]]) -> bool:
    """Whether all of some dials, begun together, are connected before the deadline."""
    until = time.monotonic() + DEADLINE_S
    with selectors.DefaultSelector() as selector:
        for one, to in dials:
            one.connect_ex(to)
            selector.register(one, selectors.EVENT_WRITE)
        while selector.get_map() and (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                selector.unregister(key.fileobj)
                if one_failed(key.fd):
                    return False
        return not selector.get_map()


def one_failed(descriptor: int) -> bool:
    """Whether the dial of a socket has failed."""
    with socket.socket(fileno=os.dup(descriptor)) as one:
        return one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def dialled(first: Host, second: Host, port: int) -> bool:
    """Whether the second machine, listening, can be dialled by the first."""
    with bound(second, port) as listening, bound(first, port) as dialling:
        listening.listen()
        return connected((dialling, (second.seen, port)))


def crossed(first: Host, second: Host, port: int) -> bool:
    """Whether both get a connection when each dials the other from the port that the other dials."""
    with bound(first, port) as one, bound(second, port) as other:
        return connected((one, (second.seen, port)), (other, (first.seen, port)))


@skipUnless(os.geteuid() == 0 and Path("/dev/net/tun").exists(), "needs root and /dev/net/tun")
@needs("ip", "nft")
class SitesTests(SynchronousTestCase):
    """What the sites let through, before any daemon stands there."""

    def test_dialled(self) -> None:
        """Only the machine without firewall and NAT can be dialled, and it can be dialled from everywhere."""
        with internet(*SITES) as hosts:
            places = list(zip(SITES, hosts, strict=True))
            for port, ((a, first), (b, second)) in enumerate(permutations(places, 2), 42000):
                self.assertEqual(dialled(first, second, port), b.name == "open", f"{a.name} dials {b.name}")

    def test_crossed(self) -> None:
        """Firewalls and NATs that drop what is new and keep the port are crossed; a NAT with random ports isn't."""
        with internet(*SITES) as hosts:
            places = [
                one for one in zip(SITES, hosts, strict=True) if one[0].name in {*PUNCHED, "NAT with random ports"}
            ]
            for port, ((a, first), (b, second)) in enumerate(permutations(places, 2), 43000):
                expected = {a.name, b.name} <= PUNCHED
                self.assertEqual(crossed(first, second, port), expected, f"{a.name} with {b.name}")

    def test_removed(self) -> None:
        """Nothing of a net is left open when it is gone."""
        before = len(list(Path("/proc/self/fd").iterdir()))
        with internet(*SITES):
            self.assertGreater(len(list(Path("/proc/self/fd").iterdir())), before)
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before)
