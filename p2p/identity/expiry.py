"""Certificates that end soon: it is told each day, and to whoever asks how a daemon is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2p.identity.pem_files import load_certificate
from p2p.identity.tls import Credentials

__all__ = ["EXPIRES_SOON_DAYS", "ExpiryWatch"]

EXPIRES_SOON_DAYS: Final = 7
"""Days before the end of a certificate from which on it is warned of, at the start of a daemon and daily. By then it
has been tried for some days to renew it."""

_DAY_S: Final = 86400.0

_RENEWED = (
    "it is renewed as soon as a signer is linked to the router; where the authority's key is: "
    "twistd -n --pidfile= p2p-signer --lab DIR"
)
_NOT_RENEWED = (
    "it can't be renewed without 'state: FOLDER' in the YAML file; add that, or make a new one (p2p lab issue) and "
    "start this daemon again"
)


class ExpiryWatch:
    """Warns of the certificates that a daemon uses.

    :param credentials: whose they are, by the names in them.
    :param authority: the file with that of the authority.
    :param wall: reads the Unix time, seconds: certificates end by the calendar.
    :raises IdentityError: if that can't be read.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        credentials: Iterable[Credentials],
        authority: Path,
        wall: Callable[[], float],
    ) -> None:
        self._wall = wall
        self._credentials = {one.name: one for one in credentials}
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
        for one, credentials in self._credentials.items():
            if name in (None, one) and (when := self._soon(credentials.certificate.not_valid_after_utc)):
                found.append(f"the certificate of {one} {when}: {_RENEWED if credentials.renewable else _NOT_RENEWED}")
        path, end = self._authority
        if when := self._soon(end):
            found.append(f"the lab's authority ({path}) {when}, and all certificates with it: make a new lab")
        return found

    def days_left(self, name: str) -> float:
        """Days until the certificate of a name ends, below 0 if it has."""
        end = self._credentials[name].certificate.not_valid_after_utc
        return (end - datetime.fromtimestamp(self._wall(), UTC)) / timedelta(days=1)

    def _soon(self, end: datetime) -> str:
        left = (end - datetime.fromtimestamp(self._wall(), UTC)) / timedelta(days=1)
        if left >= EXPIRES_SOON_DAYS:
            return ""
        return f"expires in {left:.1f} days, on {end:%Y-%m-%d}" if left > 0 else f"has expired on {end:%Y-%m-%d}"

    def _tell(self) -> None:
        for warning in self.warnings():
            self._log.warn("{text}", text=warning)
