"""Certificates that end soon: it is told each day, and to whoever asks how a daemon is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2p.identity.pem_files import load_certificate

__all__ = ["ExpiryWatch"]

EXPIRES_SOON_DAYS: Final = 14
"""Days before the end of a certificate from which on it is warned of, at the start of a daemon and daily."""

_DAY_S: Final = 86400.0


class ExpiryWatch:
    """Warns of the certificates that a daemon has loaded, whatever has become of the files meanwhile.

    :param certificates: the files by the names in them, and that of the authority.
    :param wall: reads the Unix time, seconds: certificates end by the calendar.
    :raises IdentityError: if one can't be read.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        certificates: Mapping[str, Path],
        authority: Path,
        wall: Callable[[], float],
    ) -> None:
        self._wall = wall
        self._ends = {name: (path, load_certificate(path).not_valid_after_utc) for name, path in certificates.items()}
        self._authority = authority, load_certificate(authority).not_valid_after_utc
        self._telling = LoopingCall(self._tell)
        self._telling.clock = clock

    def start(self) -> None:
        """Tell now, and daily."""
        self._telling.start(_DAY_S).addErrback(lambda failure: self._log.failure("expiry isn't told any more", failure))

    def stop(self) -> None:
        """Tell no more."""
        if self._telling.running:
            self._telling.stop()

    def warnings(self, name: str | None = None) -> list[str]:
        """What is to be said of the certificates that end soon.

        :param name: of one of them; None for all.
        """
        found = []
        for one, (path, end) in self._ends.items():
            if name in (None, one) and (when := self._soon(end)):
                found.append(
                    f"the certificate of {one} ({path}) {when}: make a new one (move the old one and its key away, "
                    f"then p2p lab issue {one}), and start this daemon again"
                )
        path, end = self._authority
        if when := self._soon(end):
            found.append(f"the lab's authority ({path}) {when}, and all certificates with it: make a new lab")
        return found

    def _soon(self, end: datetime) -> str:
        left = (end - datetime.fromtimestamp(self._wall(), UTC)) / timedelta(days=1)
        if left >= EXPIRES_SOON_DAYS:
            return ""
        return f"expires in {left:.1f} days, on {end:%Y-%m-%d}" if left > 0 else f"has expired on {end:%Y-%m-%d}"

    def _tell(self) -> None:
        for warning in self.warnings():
            self._log.warn("{text}", text=warning)
