"""Machines of their own on this one: network namespaces (ip-netns(8)) on a switch, each with address and firewall.

A daemon runs on one of them if the lab takes :meth:`Machines.python` for its interpreter. Consoles are UNIX sockets in
the file system, which all machines share.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal
from unittest import SkipTest

__all__ = ["Machines", "Wall", "interpreter"]

Wall = Literal["open", "drop", "reject"]
"""What a machine's firewall does with connections that others begin."""

_RULES: Final = {
    "drop": "drop",
    "reject": "reject with tcp reset",
}
_FIREWALL: Final = """\
table inet wall {{
  chain input {{
    type filter hook input priority 0; policy accept;
    ct state established,related accept
    iifname lo accept
    tcp flags & (syn | ack) == syn {verdict}
  }}
}}
"""
_PARTED: Final = """\
table inet parted {{
  chain input {{ type filter hook input priority 0; ip saddr {address} drop; }}
  chain output {{ type filter hook output priority 0; ip daddr {address} drop; }}
}}
"""
_PATH: Final = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
_MADE: Final[list[None]] = []


class Machines:
    """A switch and what is plugged into it; the first machine has the address ``gateway``.

    :param folder: for the interpreters' wrappers.
    """

    def __init__(self, folder: Path) -> None:
        _MADE.append(None)
        self._prefix = f"p2p-{os.getpid()}-{len(_MADE)}"
        self._folder = folder
        self._switch = f"{self._prefix}-sw"
        self._names: list[str] = []
        self._space = f"10.{os.getpid() % 200 + 20}.{len(_MADE) % 250}"
        try:
            _run("ip", "netns", "add", self._switch)
            self._names.append(self._switch)
            self._ip("link", "add", "br0", "type", "bridge", at=self._switch)
            _run("ip", "netns", "exec", self._switch, "nft", "add", "table", "inet", "wall")
        except subprocess.CalledProcessError as error:
            self.close()
            raise SkipTest(f"network namespaces can't be made here: {error.stderr.decode().strip()}") from error
        self._ip("link", "set", "br0", "up", at=self._switch)

    def add(self, name: str, wall: Wall = "open") -> str:
        """Plug in a machine; returns its address."""
        space = f"{self._prefix}-{name}"
        number = len(self._names)
        _run("ip", "netns", "add", space)
        self._names.append(space)
        self._ip("link", "set", "lo", "up", at=space)
        port = f"v{number}"
        self._ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space, at=self._switch)
        self._ip("link", "set", port, "master", "br0", "up", at=self._switch)
        address = f"{self._space}.{number}"
        self._ip("addr", "add", f"{address}/24", "dev", "eth0", at=space)
        self._ip("link", "set", "eth0", "up", at=space)
        if wall != "open":
            rules = _FIREWALL.format(verdict=_RULES[wall])
            _run("ip", "netns", "exec", space, "nft", "-f", "-", text=rules)
        return address

    def part(self, name: str, other: str) -> None:
        """Let nothing go from one machine to another, nor back."""
        address = f"{self._space}.{self._names.index(f'{self._prefix}-{other}')}"
        rules = _PARTED.format(address=address)
        _run("ip", "netns", "exec", f"{self._prefix}-{name}", "nft", "-f", "-", text=rules)

    def join(self, name: str) -> None:
        """Let a machine reach all others again."""
        _run("ip", "netns", "exec", f"{self._prefix}-{name}", "nft", "delete", "table", "inet", "parted")

    def move(self, name: str) -> str:
        """Give a machine another address in the place of the one that it has; returns it."""
        space = f"{self._prefix}-{name}"
        number = self._names.index(space)
        self._ip("addr", "flush", "dev", "eth0", "scope", "global", at=space)
        address = f"{self._space}.{number + 100}"
        self._ip("addr", "add", f"{address}/24", "dev", "eth0", at=space)
        return address

    def python(self, name: str) -> str:
        """The path of an interpreter that runs on a machine."""
        return interpreter(self._folder, name, f"ip netns exec {self._prefix}-{name}")

    def sockets(self, name: str) -> list[str]:
        """The TCP sockets of a machine that listen or are connected, as ss(8) shows them."""
        space = f"{self._prefix}-{name}"
        shown = _run("ip", "netns", "exec", space, "ss", "-Htan", "state", "listening", "state", "connected")
        return [line for line in shown.splitlines() if "TIME-WAIT" not in line]

    def close(self) -> None:
        """Take everything away."""
        for name in self._names:
            with suppress(subprocess.CalledProcessError):
                _run("ip", "netns", "del", name)

    def _ip(self, *arguments: str, at: str) -> None:
        _run("ip", "-n", at, *arguments)


def _run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(
        command,
        input=None if text is None else text.encode(),
        capture_output=True,
        check=True,
        env={**os.environ, "PATH": _PATH},
        timeout=30,
    )
    return done.stdout.decode()


def interpreter(folder: Path, name: str, enter: str) -> str:
    """Make an interpreter that runs on another machine, with the commands beside it; returns its path.

    :param enter: the command that runs another one there.
    """
    place = folder / f"on-{name}"
    place.mkdir()
    wrapper = place / "python"
    wrapper.write_text(f'#!/bin/sh\nPATH="$PATH:/usr/sbin:/sbin"\nexec {enter} {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    for command in ("twistd", "p2p"):
        (place / command).symlink_to(Path(sys.executable).with_name(command))
    return str(wrapper)
