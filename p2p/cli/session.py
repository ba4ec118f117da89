"""What the commands share: which daemon they talk to, and for which of its peers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

import click

from p2p.base.config import load_peers, load_router
from p2p.base.errors import ConfigError
from p2p.base.names import parse_peer
from p2p.cli.running import Runner
from p2p.client import Client

__all__ = ["Daemon", "Session", "peer_name"]

_T = TypeVar("_T")

_ROUTER_FILE = re.compile(rb"^cluster[ \t]*:", re.MULTILINE)
"""Only the YAML of a router says ``cluster``; a peer's cluster is in its name."""


@dataclass(frozen=True)
class Daemon:
    """The daemon that a configuration file describes.

    :ivar cluster: the cluster that it serves or whose peers it hosts.
    :ivar start: the command that starts it.
    """

    console: Path
    cluster: str
    start: str
    is_router: bool


class Session:
    """One run of the command, as the options before the command's name say.

    :ivar acting: the hosted peer that acts, None for the only one.
    :ivar run_in_reactor: runs a coroutine with the reactor.
    """

    def __init__(self, config: Path | None, acting: str | None, run_in_reactor: Runner) -> None:
        self.acting = acting
        self.run_in_reactor = run_in_reactor
        self._config = config

    def daemon(self) -> Daemon:
        """Read the configuration file and return the daemon that it describes.

        :raises ConfigError: if the file can't be used.
        """
        if self._config is None:
            raise ConfigError(
                "say which daemon to talk to, with its YAML file: p2p --config FILE COMMAND, or export P2P_CONFIG=FILE"
            )
        path = self._config
        if _describes_router(path):
            router = load_router(path, files=False)
            if router.console is None:
                raise ConfigError(f"{path}: this router has no console; add 'console: PATH' to it and start it again")
            start = f"twistd -n --pidfile= p2p-router --config {quote(str(path))}"
            return Daemon(router.console, router.cluster, start, True)
        peers = load_peers(path, files=False)
        return Daemon(peers.console, peers.cluster, f"twistd -n --pidfile= p2p-peer --config {quote(str(path))}", False)

    def run(self, work: Callable[[Client, Any], Awaitable[_T]], *, router: bool = False) -> _T:
        """Connect to the daemon, run the work with the client and the reactor, and return its result.

        :param router: whether a router can do it too, not only a peer.
        """
        daemon = self.daemon()
        if daemon.is_router and not router:
            raise ConfigError(f"{self._config}: this is a router's; this command needs the YAML file of a peer daemon")

        async def main(reactor: Any) -> _T:
            async with await Client.connect(reactor, daemon.console, start=daemon.start) as client:
                return await work(client, reactor)

        return self.run_in_reactor(main)


def _describes_router(path: Path) -> bool:
    try:
        return _ROUTER_FILE.search(path.read_bytes()) is not None
    except OSError:
        return False  # loading it will tell what is wrong


def peer_name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Check an argument that names a peer; for click's ``callback``."""
    parse_peer(value)
    return value
