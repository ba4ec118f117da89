"""A small internet of network namespaces: sites behind firewalls and NATs, and 10 ms of delay between any two.

A namespace has no name: it lives by its open descriptor, so two runs don't collide, and the kernel removes it with all
that is in it when the process ends, in whatever way.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import selectors
import socket
import struct
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Final, TypeVar

__all__ = ["ALL_SITES", "DELAY_S", "SITES", "Host", "Site", "impossible", "internet"]

T = TypeVar("T")

DELAY_S: Final = 0.01
"""Delay of a packet between two sites, each way, in seconds."""
_CLONE_NEWNET: Final = 0x40000000
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN_NO_PI: Final = 0x1001
_LIBC: Final = ctypes.CDLL(None, use_errno=True)

_DROPS_NEW: Final = """table ip wall {
 chain in {
 type filter hook input priority 0; policy drop;
 iifname "lo" accept
 ct state established,related accept
}
}
"""
_PASS: Final = """table ip pass {
 chain forward {
 type filter hook forward priority 0; policy drop;
 ct state established,related accept
 iifname "lan*" accept
}
}
"""
_NAT: Final = (
    """table ip nat {
 chain post {
 type nat hook postrouting priority 100;
 oifname "wan" masquerade %s
}
}
"""
    + _PASS
)
_NUMBERS: Final = ", ".join(f"{port} : {port + 10000}" for port in range(42000, 42020))
_OTHER_PORTS: Final = (
    f"""table ip nat {{
 chain post {{
 type nat hook postrouting priority 100;
 oifname "wan" tcp sport 42000-42019 snat to SEEN : tcp sport map {{ {_NUMBERS} }}
 oifname "wan" masquerade
}}
}}
"""
    + _PASS
)
"""A NAT that gives some ports other numbers, the same for whoever is dialled."""
_HAIRPIN: Final = """table ip hairpin {
 chain pre {
 type nat hook prerouting priority -100;
 iifname "lan*" ip daddr SEEN tcp dport 42000-42009 dnat to 10.NUMBER.0.2
 iifname "lan*" ip daddr SEEN tcp dport 42010-42019 dnat to 10.NUMBER.1.2
}
 chain post {
 type nat hook postrouting priority 90;
 iifname "lan*" oifname "lan*" snat to SEEN
}
}
"""
"""Lets one machine behind a NAT reach the other at the outer address."""


@dataclass(frozen=True)
class Site:
    """A kind of place where a machine stands.

    :ivar host: nft rules of the machine, and ``gateways`` those of its gateways, the outermost first.
    :ivar together: whether further machines of the same site stand behind the same gateway, in the same network;
        ``apart`` whether they do in networks of their own.
    :ivar versions: the IP versions that it has, and ``dead`` those of which nothing ever arrives.
    :ivar more: further commands of ip(8) on the machine.
    :ivar ports: what ``ports`` says in the YAML of the first machine, and of the next.
    """

    name: str
    host: str = ""
    gateways: tuple[str, ...] = ()
    together: bool = False
    apart: bool = False
    versions: tuple[int, ...] = (4,)
    dead: tuple[int, ...] = ()
    more: str = ""
    ports: tuple[str, ...] = ()


SITES: Final = (
    Site("open", versions=(4, 6)),
    Site("host firewall", host=_DROPS_NEW),
    Site("NAT that drops", gateways=(_NAT % "" + _DROPS_NEW,)),
    Site("NAT that answers with RST", gateways=(_NAT % "",)),
    Site("NAT behind NAT", gateways=(_NAT % "" + _DROPS_NEW,) * 2),
    Site("NAT with random ports", gateways=(_NAT % "fully-random" + _DROPS_NEW,)),
)
ALL_SITES: Final = (
    *SITES,
    Site("NAT with other ports", gateways=(_OTHER_PORTS + _DROPS_NEW,), ports=("42000-42019", "42000-42019")),
    Site("one NAT, one network", gateways=(_NAT % "" + _DROPS_NEW,), together=True),
    Site("one NAT, two networks", gateways=(_NAT % "" + _DROPS_NEW,), apart=True),
    Site(
        "one NAT with hairpin",
        gateways=(_NAT % "" + _HAIRPIN + _DROPS_NEW,),
        apart=True,
        ports=("42000-42009", "42010-42019"),
    ),
    Site("IPv6 alone", versions=(6,)),
    Site("dead IPv6", versions=(4, 6), dead=(6,)),
    Site(
        "a dead interface",
        more="link add nowhere type veth peer name nothing\nlink set nowhere up\nlink set nothing up\n"
        "addr add 10.99.0.7/24 dev nowhere\n",
    ),
)
"""All of them; ``SITES`` are those of which each is tried with each whenever the tests run."""


@dataclass(frozen=True)
class Host:
    """A machine: the descriptor of its namespace, its own address, and the one that others see."""

    space: int
    address: str
    seen: str

    def run(self, work: Callable[[], T]) -> T:
        """Call something with this machine's network; sockets and processes that it makes stay there."""
        return _within(self.space, work)


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _within(space: int, work: Callable[[], T]) -> T:
    """Call something in a thread of its own that has entered a namespace."""

    def entered() -> T:
        _checked(_LIBC.setns(space, _CLONE_NEWNET))
        return work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(entered).result()


def _new_space(stack: ExitStack) -> int:
    def unshared() -> int:
        _checked(_LIBC.unshare(_CLONE_NEWNET))
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    with ThreadPoolExecutor(1) as pool:
        space = pool.submit(unshared).result()
    stack.callback(os.close, space)
    return space


def _command(space: int, *words: str, text: str = "") -> None:
    _within(space, lambda: subprocess.run(words, input=text, text=True, check=True, timeout=10))


def _ip(space: int, text: str) -> None:
    _command(space, "ip", "-batch", "-", text=text)


def _uplink(space: int, addresses: list[str], stack: ExitStack) -> int:
    """Give a namespace its line to the internet; the other end of it is the descriptor that is answered."""

    def opened() -> int:
        line = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        stack.callback(os.close, line)
        fcntl.ioctl(line, _TUNSETIFF, struct.pack("16sH22x", b"wan", _IFF_TUN_NO_PI))
        return line

    line = _within(space, opened)
    _ip(space, "link set lo up\nlink set wan up\n")
    for address in addresses:
        prefix, flags = (128, " nodad") if ":" in address else (32, "")
        _ip(space, f"addr add {address}/{prefix} dev wan{flags}\n")
        _command(space, "ip", "-6" if ":" in address else "-4", "route", "add", "default", "dev", "wan")
    return line


def _forward(lines: dict[bytes, int], stop: int) -> None:
    """Carry packets between the lines, by destination, each after the delay, until ``stop`` can be read."""
    waiting: deque[tuple[float, int, bytes]] = deque()
    with selectors.DefaultSelector() as selector:
        for one in {*lines.values(), stop}:
            selector.register(one, selectors.EVENT_READ)
        while True:
            ready = selector.select(max(0.0, waiting[0][0] - time.monotonic()) if waiting else None)
            for key, _ in ready:
                if key.fd == stop:
                    return
                packet = os.read(key.fd, 65536)
                if (to := lines.get(packet[16:20] if packet[0] >> 4 == 4 else packet[24:40])) is not None:
                    waiting.append((time.monotonic() + DELAY_S, to, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, to, packet = waiting.popleft()
                os.write(to, packet)


class _Place:
    """A site that has been built: its outermost gateway, or the machine itself, and the machines behind it."""

    def __init__(self, site: Site, number: int, lines: dict[bytes, int], stack: ExitStack) -> None:
        self._site = site
        self._number = number
        self._stack = stack
        self._machines = 0
        by_version = {4: f"203.0.113.{10 + number}", 6: f"2001:db8::{10 + number:x}"}
        addresses = [by_version[version] for version in site.versions]
        self._seen = addresses[0]
        self._space = _new_space(stack)
        line = _uplink(self._space, addresses, stack)
        for version in set(site.versions) - set(site.dead):
            family = socket.AF_INET6 if version == 6 else socket.AF_INET
            lines[socket.inet_pton(family, by_version[version])] = line
        for depth, rules in enumerate(site.gateways):
            if depth:
                self._space, _ = self._behind(0)
            rules = rules.replace("SEEN", self._seen).replace("NUMBER", str(number))
            _command(self._space, "nft", "-f", "-", text=rules)
            _within(self._space, lambda: Path("/proc/sys/net/ipv4/ip_forward").write_text("1", "ascii"))

    def machine(self) -> Host:
        """Put one more machine there."""
        site, space, address = self._site, self._space, self._seen
        if site.gateways:
            space, address = self._behind(len(site.gateways) - 1)
        self._machines += 1
        if site.host:
            _command(space, "nft", "-f", "-", text=site.host)
        if site.more:
            _ip(space, site.more)
        return Host(space, address, self._seen)

    def _behind(self, depth: int) -> tuple[int, str]:
        """Make a namespace behind the innermost gateway so far; return it and its address."""
        inner, outer = _new_space(self._stack), self._space
        count = self._machines
        net, host = f"10.{self._number}.{count if self._site.apart else depth}", 2
        port = f"lan{count}"
        _ip(outer, f"link add {port} type veth peer name wan netns /proc/{os.getpid()}/fd/{inner}\n")
        if self._site.together:
            host += count
            if not count:
                _ip(outer, f"link add lan type bridge\nlink set lan up\naddr add {net}.1/24 dev lan\n")
            _ip(outer, f"link set {port} master lan up\n")
        else:
            _ip(outer, f"link set {port} up\naddr add {net}.1/24 dev {port}\n")
        address = f"{net}.{host}"
        _ip(inner, f"link set lo up\nlink set wan up\naddr add {address}/24 dev wan\nroute add default via {net}.1\n")
        return inner, address


@contextmanager
def internet(*sites: Site) -> Iterator[list[Host]]:
    """Build some sites, a machine at each; all of it is gone at the end.

    A site that is named again is another one, unless its machines stand behind one gateway.
    """
    with ExitStack() as stack:
        lines: dict[bytes, int] = {}
        places: dict[str, _Place] = {}
        hosts = []
        for number, site in enumerate(sites):
            place = places.get(site.name) if site.together or site.apart else None
            if place is None:
                place = places[site.name] = _Place(site, number, lines, stack)
            hosts.append(place.machine())
        stopped, stop = os.pipe()
        stack.callback(os.close, stopped)
        forwarder = Thread(target=_forward, args=(lines, stopped), daemon=True)
        forwarder.start()
        stack.callback(forwarder.join, 10)
        stack.callback(os.close, stop)
        yield hosts


@cache
def impossible() -> str:
    """Why no such internet can be built here, as in a container without the privileges; empty if it can."""
    try:
        with internet(SITES[2]):
            return ""
    except (OSError, subprocess.SubprocessError) as error:
        return f"network namespaces can't be made here: {error}"
