"""Real daemons as child processes: started through ``twistd``, ready when they say so, gone when asked to go."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psutil
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.protocol import DatagramProtocol, ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2p.base.errors import P2PError
from p2p.base.waiters import Waiters

__all__ = ["Daemon", "DaemonFailed", "Daemons"]

TAIL_LINES: Final = 5

_TIED: Final = """\
import ctypes, os, signal, sys
tie = getattr(ctypes.CDLL(None), "prctl", None)
if tie is not None:
    tie(1, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""Starts a program that gets SIGTERM when this process is gone, however it ended (``PR_SET_PDEATHSIG`` of Linux)."""


class DaemonFailed(P2PError):
    """A daemon didn't start; the text ends with what it said last."""


class Daemon(ProcessProtocol):
    """One daemon.

    :ivar name: what it is called in messages and in the name of its log.
    :ivar log: the file that holds what it prints.
    """

    def __init__(self, name: str, log: Path, reactor: Any) -> None:
        self.name = name
        self.log = log
        self.pid = 0
        self.exit: int | None = None
        self._reactor = reactor
        self._ready: Deferred[None] = Deferred()
        self._exited: Waiters[int] = Waiters()
        self.finished: Deferred[None] = Deferred()

    @property
    def exited(self) -> bool:
        """Whether the process is gone."""
        return self.exit is not None

    def tail(self) -> str:
        """The last lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-TAIL_LINES:])

    def open_sockets(self, kind: str = "all") -> int:
        """Count the process's sockets of every kind, or of one that psutil knows, such as ``tcp``."""
        return len(psutil.Process(self.pid).net_connections(kind=kind))

    def memory_bytes(self) -> int:
        """The memory that the process holds (resident set)."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def when_ready(self) -> Deferred[None]:
        """Fire when the daemon has said that it is ready, or fail if it exits before."""
        return self._ready

    def when_exited(self) -> Deferred[int]:
        """Fire with the exit code, the negative of the signal's number if one ended it."""
        return self._exited.wait()

    def kill(self) -> None:
        """End it at once (SIGKILL); :meth:`when_exited` tells when it is gone."""
        self._signal(signal.SIGKILL)

    async def stop(self, deadline: float = 10.0) -> int:
        """Ask it to stop (SIGTERM), kill it when the deadline has passed, and return its exit code."""
        self._signal(signal.SIGTERM)
        try:
            return await self.when_exited().addTimeout(deadline, self._reactor)
        except DeadlinePassed:
            self.kill()
            return await self.when_exited()

    def ready(self) -> None:
        """It said so."""
        if not self._ready.called:
            self._ready.callback(None)

    def processExited(self, reason: Failure) -> None:
        status: Any = reason.value
        self.exit = -status.signal if status.signal else status.exitCode
        if not self._ready.called:
            self._ready.errback(
                DaemonFailed(f"{self.name} ended with exit code {self.exit} before it was ready:\n{self.tail()}")
            )
        self._exited.settle(self.exit)

    def processEnded(self, reason: Failure) -> None:
        self.finished.callback(None)

    def _signal(self, number: int) -> None:
        if self.pid and not self.exited:
            os.kill(self.pid, number)


class Daemons:
    """The daemons of one run; :meth:`stop_all` leaves none behind.

    :param folder: for their logs and the sockets on which they say that they are ready.
    :param environment: what their environment has besides that of this process.
    """

    _log = Logger()

    def __init__(self, reactor: Any, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._reactor = reactor
        self._folder = folder
        self._environment = environment or {}
        self._daemons: list[Daemon] = []
        self._starts = 0

    async def start(
        self, name: str, plugin: str, config: Path, *, deadline: float = 30.0, python: str = sys.executable
    ) -> Daemon:
        """Start a daemon and wait until it is ready.

        :param plugin: ``p2p-router`` or ``p2p-peer``.
        :param python: the interpreter that runs it, with the ``twistd`` beside it: that of another environment may
            have another version of p2p.
        :raises DaemonFailed: if it exits instead, or isn't ready in time; it is gone then.
        """
        self._starts += 1
        notify = self._folder / f"{self._starts}.notify"
        daemon = Daemon(name, self._folder / f"{name}.log", self._reactor)
        listening = self._reactor.listenUNIXDatagram(str(notify), _Listener(daemon), mode=0o600)
        try:
            self._spawn(daemon, python, plugin, config, notify)
            self._daemons.append(daemon)
            try:
                await daemon.when_ready().addTimeout(deadline, self._reactor)
            except DeadlinePassed:
                await daemon.stop(0)
                raise DaemonFailed(f"{name} wasn't ready within {deadline:g} s:\n{daemon.tail()}") from None
        finally:
            await listening.stopListening()
            notify.unlink(missing_ok=True)
        return daemon

    def _spawn(self, daemon: Daemon, python: str, plugin: str, config: Path, notify: Path) -> None:
        """Start the process; no pipe joins it to this one, and its log holds what it prints, tracebacks too."""
        twistd = Path(python).with_name("twistd")
        arguments = [str(twistd), "--nodaemon", "--pidfile=", "--logfile=-", plugin, "--config", str(config)]
        with Path(os.devnull).open("rb") as nothing, daemon.log.open("ab") as log:
            process = self._reactor.spawnProcess(
                daemon,
                python,
                [python, "-IS", "-c", _TIED, str(os.getpid()), *arguments],
                env={**os.environ, **self._environment, "NOTIFY_SOCKET": str(notify)},
                childFDs={0: nothing.fileno(), 1: log.fileno(), 2: log.fileno()},
            )
        daemon.pid = process.pid

    async def stop_all(self) -> None:
        """Stop every daemon that still runs, and wait until all are gone."""
        await gatherResults([Deferred.fromCoroutine(daemon.stop()) for daemon in self._daemons if not daemon.exited])


class _Listener(DatagramProtocol):
    """Hears a daemon's ``READY=1`` (``sd_notify(3)``)."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if b"READY=1" in datagram.split(b"\n"):
            self._daemon.ready()
