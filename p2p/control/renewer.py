"""Renewing the certificates of a daemon in time, while its connections go on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2p.base.errors import P2PError
from p2p.identity.renewal import due
from p2p.identity.tls import Credentials

__all__ = ["LOOK_S", "RETRY_S", "Renewer"]

LOOK_S: Final = 30.0
"""Seconds between two looks at whether one is due."""

RETRY_S: Final = 300.0
"""Seconds until it is tried again at the earliest, where a certificate hasn't ended yet: so many may be due at once."""

log = Logger()

Ask = Callable[[bytes], Coroutine[Any, Any, bytes]]
"""Gets a new certificate for an old one, both DER; raises :class:`~p2p.base.errors.P2PError`."""


class _Watched(NamedTuple):
    credentials: Credentials
    ask: Ask
    renewed: Callable[[], object]


class Renewer:
    """Looks after some certificates.

    :param wall: reads the Unix time, seconds.
    """

    def __init__(self, clock: IReactorTime, wall: Callable[[], float]) -> None:
        self._clock = clock
        self._wall = wall
        self._watched: list[_Watched] = []
        self._asking: dict[str, Deferred[None]] = {}
        self._not_before: dict[str, float] = {}
        self._told: dict[str, str] = {}
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def add(self, credentials: Credentials, ask: Ask, renewed: Callable[[], object] = lambda: None) -> None:
        """Look after a certificate.

        :param renewed: is called when it has been renewed.
        """
        self._watched.append(_Watched(credentials, ask, renewed))

    def start(self) -> None:
        """Begin to look."""
        self._looking.start(LOOK_S).addErrback(lambda failure: log.failure("no more renewals", failure))

    def again(self) -> None:
        """Try at once what was in vain: whoever renews has just come."""
        self._not_before.clear()
        if self._looking.running:
            self._look()

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()
        for asking in list(self._asking.values()):
            asking.cancel()

    def _look(self) -> None:
        now = self._wall()
        for one in self._watched:
            certificate, name = one.credentials.certificate, one.credentials.name
            begin, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
            if not one.credentials.renewable or now < due(begin, end) or name in self._asking:
                continue
            if now >= end or self._clock.seconds() >= self._not_before.get(name, 0.0):
                self._not_before[name] = self._clock.seconds() + RETRY_S
                self._asking[name] = asking = Deferred.fromCoroutine(self._renew(one))
                asking.addErrback(_failed)
                if asking.called:
                    self._asking.pop(name, None)

    async def _renew(self, one: _Watched) -> None:
        name = one.credentials.name
        try:
            one.credentials.renew(await one.ask(one.credentials.certificate.public_bytes(Encoding.DER)))
        except P2PError as error:
            if self._told.get(name) != str(error):
                log.warn("{name}: the certificate can't be renewed now: {reason}", name=name, reason=str(error))
            self._told[name] = str(error)
        else:
            until = one.credentials.certificate.not_valid_after_utc
            log.info("{name}: the certificate is renewed, until {until:%Y-%m-%d}", name=name, until=until)
            one.renewed()
        finally:
            self._asking.pop(name, None)


def _failed(failure: Failure) -> None:
    """A fault of ours is logged; that the daemon stops isn't one."""
    if not failure.check(CancelledError):
        log.failure("a certificate can't be renewed", failure)
