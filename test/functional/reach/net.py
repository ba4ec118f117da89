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

__all__ = ["DELAY_S", "SITES", "Host", "Site", "impossible", "internet"]

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
_NAT: Final = """table ip nat {
 chain post {
 type nat hook postrouting priority 100;
 oifname "wan" masquerade %s
}
}
table ip pass {
 chain forward {
 type filter hook forward priority 0; policy drop;
 ct state established,related accept
 iifname "lan" accept
}
}
"""


@dataclass(frozen=True)
class Site:
    """A kind of place where a machine stands: nft rules of the machine, and of its gateways, the outermost first."""

    name: str
    host: str = ""
    gateways: tuple[str, ...] = ()


SITES: Final = (
    Site("open"),
    Site("host firewall", host=_DROPS_NEW),
    Site("NAT that drops", gateways=(_NAT % "" + _DROPS_NEW,)),
    Site("NAT that answers with RST", gateways=(_NAT % "",)),
    Site("NAT behind NAT", gateways=(_NAT % "" + _DROPS_NEW,) * 2),
    Site("NAT with random ports", gateways=(_NAT % "fully-random" + _DROPS_NEW,)),
)


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


def _uplink(space: int, address: str, stack: ExitStack) -> int:
    """Give a namespace its line to the internet; the other end of it is the descriptor that is answered."""

    def opened() -> int:
        line = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        stack.callback(os.close, line)
        fcntl.ioctl(line, _TUNSETIFF, struct.pack("16sH22x", b"wan", _IFF_TUN_NO_PI))
        return line

    line = _within(space, opened)
    _ip(space, f"link set lo up\nlink set wan up\naddr add {address}/32 dev wan\nroute add default dev wan\n")
    return line


def _forward(lines: dict[bytes, int], stop: int) -> None:
    """Carry packets between the lines, by destination (IPv4), each after the delay, until ``stop`` can be read."""
    waiting: deque[tuple[float, int, bytes]] = deque()
    with selectors.DefaultSelector() as selector:
        for one in (*lines.values(), stop):
            selector.register(one, selectors.EVENT_READ)
        while True:
            ready = selector.select(max(0.0, waiting[0][0] - time.monotonic()) if waiting else None)
            for key, _ in ready:
                if key.fd == stop:
                    return
                packet = os.read(key.fd, 65536)
                if packet[0] >> 4 == 4 and (to := lines.get(packet[16:20])) is not None:
                    waiting.append((time.monotonic() + DELAY_S, to, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, to, packet = waiting.popleft()
                os.write(to, packet)


def _site(site: Site, number: int, lines: dict[bytes, int], stack: ExitStack) -> Host:
    seen = address = f"203.0.113.{10 + number}"
    space = _new_space(stack)
    lines[socket.inet_aton(seen)] = _uplink(space, seen, stack)
    for depth, rules in enumerate(site.gateways):
        _command(space, "nft", "-f", "-", text=rules)
        _within(space, lambda: Path("/proc/sys/net/ipv4/ip_forward").write_text("1", "ascii"))
        inner, net = _new_space(stack), f"10.{number}.{depth}"
        address = f"{net}.2"
        _ip(space, f"link add lan type veth peer name wan netns /proc/{os.getpid()}/fd/{inner}\n")
        _ip(space, f"link set lan up\naddr add {net}.1/24 dev lan\n")
        _ip(inner, f"link set lo up\nlink set wan up\naddr add {address}/24 dev wan\nroute add default via {net}.1\n")
        space = inner
    if site.host:
        _command(space, "nft", "-f", "-", text=site.host)
    return Host(space, address, seen)


@contextmanager
def internet(*sites: Site) -> Iterator[list[Host]]:
    """Build some sites, a machine at each; all of it is gone at the end."""
    with ExitStack() as stack:
        lines: dict[bytes, int] = {}
        hosts = [_site(site, number, lines, stack) for number, site in enumerate(sites)]
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
