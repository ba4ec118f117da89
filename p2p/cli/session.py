"""What the commands share: which daemon they talk to, for which of its peers, and the reactor that they run in."""

from __future__ import annotations

import re
import signal
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from p2p.base.config import load_peers, load_router
from p2p.base.errors import ConfigError, P2PError
from p2p.client import Client
from p2p.wire.monotonic import run_on_monotonic_clock

__all__ = ["ConfiguredDaemon", "ConsoleSession", "Runner", "run_in_reactor"]

_T = TypeVar("_T")

_ROUTER_FILE = re.compile(rb"^cluster[ \t]*:", re.MULTILINE)
"""Only the YAML of a router says ``cluster``; a peer's cluster is in its name."""


class Runner(Protocol):
    """Runs a coroutine that wants a reactor to its end, as :func:`run_in_reactor` does."""

    def __call__(self, work: Callable[[Any], Coroutine[Any, Any, _T]], /) -> _T:
        """Return the coroutine's result or raise its error."""


@dataclass(frozen=True)
class ConfiguredDaemon:
    """The daemon that a configuration file describes.

    :ivar cluster: the cluster that it serves or whose peers it hosts.
    :ivar start: the command that starts it.
    """

    console: Path
    cluster: str
    start: str
    is_router: bool


class ConsoleSession:
    """One run of the command, as the options before the command's name say.

    :ivar acting: the hosted peer that acts, None for the only one.
    :ivar run_in_reactor: runs a coroutine with the reactor.
    """

    def __init__(self, config: Path | None, acting: str | None, run_in_reactor: Runner) -> None:
        self.acting = acting
        self.run_in_reactor = run_in_reactor
        self._config = config

    def daemon(self) -> ConfiguredDaemon:
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
            return ConfiguredDaemon(router.console, router.cluster, start, True)
        peers = load_peers(path, files=False)
        start = f"twistd -n --pidfile= p2p-peer --config {quote(str(path))}"
        return ConfiguredDaemon(peers.console, peers.cluster, start, False)

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


def run_in_reactor(work: Callable[[Any], Coroutine[Any, Any, _T]], /, *, reactor: Any = None) -> _T:
    """Run the reactor until a coroutine ends, and return its result.

    Ctrl-C (and SIGTERM) cancels the coroutine and waits while it cleans up; a second Ctrl-C ends the process at once.

    :param work: is called with the reactor.
    :param reactor: this process's own if left out, which runs on the monotonic clock from here on.
    :raises KeyboardInterrupt: if it was interrupted.
    """
    if reactor is None:
        from twisted.internet import reactor

        run_on_monotonic_clock(reactor)
    ended: list[_T | Failure] = []
    running: list[Deferred[None]] = []
    interrupted = False
    before = signal.getsignal(signal.SIGINT)

    def start() -> None:
        running.append(Deferred.fromCoroutine(work(reactor)).addBoth(finish))

    def finish(result: _T | Failure) -> None:
        ended.append(result)
        if not interrupted:
            reactor.stop()

    def shutdown() -> Deferred[None] | None:
        nonlocal interrupted
        if ended or not running:
            return None
        interrupted = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        running[0].cancel()
        return running[0]

    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", shutdown)
    try:
        reactor.run()
    finally:
        signal.signal(signal.SIGINT, before)
    failure = ended[0] if ended and isinstance(ended[0], Failure) else None
    if failure is not None and not (interrupted and isinstance(failure.value, CancelledError | P2PError)):
        failure.raiseException()
    if interrupted or not ended:
        raise KeyboardInterrupt
    return ended[0]  # type: ignore[return-value]  # a Failure has been raised above
