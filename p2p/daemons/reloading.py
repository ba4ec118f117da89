"""SIGHUP: the files of a daemon are read again, and what can change while it runs does."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.logger import Logger

from p2p.base.errors import P2PError

__all__ = ["ReloadOnHangup"]

log = Logger()

C = TypeVar("C")

Install = Callable[[int, Any], Any]
"""Makes a function the handler of a signal, and returns the one before, as ``signal.signal`` does."""


class ReloadOnHangup(Service):
    """Reads the configuration of a daemon again at each SIGHUP.

    :param load: reads and checks everything, as at the start.
    :param apply: takes what was read into use, and returns what of it has changed, and what needs a restart.
    """

    def __init__(
        self,
        reactor: Any,
        load: Callable[[], C],
        apply: Callable[[C], tuple[Sequence[str], Sequence[str]]],
        install: Install = signal.signal,
    ) -> None:
        self._reactor = reactor
        self._load = load
        self._apply: Callable[[Any], tuple[Sequence[str], Sequence[str]]] = apply
        self._install = install
        self._before: Any = None

    def startService(self) -> None:
        """Listen to SIGHUP from here on."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's Service is untyped
        self._before = self._install(signal.SIGHUP, self._hung_up)

    def stopService(self) -> None:
        """Leave SIGHUP to whoever had it before."""
        super().stopService()  # type: ignore[no-untyped-call]  # likewise
        self._install(signal.SIGHUP, self._before if self._before is not None else signal.SIG_DFL)

    def _hung_up(self, number: int, frame: object) -> None:
        """A handler may come in between any two steps of the daemon: leave the work to the reactor."""
        self._reactor.callFromThread(self.reload)

    def reload(self) -> None:
        """Read everything again; if anything is wrong with it, nothing changes."""
        try:
            changed, restart = self._apply(self._load())
        except P2PError as error:
            log.warn("SIGHUP: nothing has changed, because of this: {reason}", reason=str(error))
            return
        log.info("SIGHUP: {changed}", changed=f"now in use: {', '.join(changed)}" if changed else "nothing has changed")
        if restart:
            log.warn("SIGHUP: this needs a restart of the daemon: {restart}", restart=", ".join(restart))
