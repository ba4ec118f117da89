"""What a content service is, and how the services of this machine are found.

A service is a Twisted plugin: any object under ``twisted/plugins`` that provides :class:`IContentService` is offered
to the other peers by its name. The built-in ones are ``uppercase``, ``store``, ``echo``, ``transfer``, ``fetch``,
``list`` and ``chat``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.plugin import IPlugin, getPlugins
from zope.interface import Attribute

from p2p.base.errors import ConfigError, ExchangeFailed, Outcome
from p2p.base.values import Exists, Links
from p2p.exchange.exchange import ReplyWriter, Request, Sink
from p2p.exchange.rules import Bounds, Offer

__all__ = ["TRANSFER", "Context", "Host", "IContentService", "Incoming", "Room", "Services", "Terms", "Threads"]

T = TypeVar("T")

TRANSFER: Final = "transfer"
"""The service that asks its host itself, because its sender can wait for a person's consent."""


class Room(Protocol):
    """Is asked in threads before anything more is written."""

    def __call__(self, size: int, entries: int = 0) -> None:
        """See that so many more bytes of one file or link may come, and that so many entries may come to be.

        :raises ExchangeFailed: with ``refused`` and the reason, if they may not.
        """


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms something is taken.

    :ivar folder: where it goes.
    :ivar exists: what to do when a name is taken.
    :ivar links: whether links are kept as links or refused.
    :ivar room: how much may come.
    :ivar bounds: which entries of a transfer may come; None for any.
    :ivar needs: is asked in a thread before anything of it is written whether all that is still to come may: so many
        bytes in so many entries; raises what :attr:`room` does.
    """

    folder: Path
    exists: Exists
    links: Links
    room: Room
    bounds: Bounds | None = None
    needs: Callable[[int, int], None] = lambda size, entries: None


class Threads(Protocol):
    """Runs a blocking function in a thread and gives its result, as ``deferToThread`` does."""

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Start ``function(*arguments)``."""


class Incoming(Protocol):
    """What is told of a session in which another peer moves something to or from here."""

    def progress(self, entries: int, bytes: int) -> None:  # noqa: A002 - the words of the wire
        """So many entries and verified bytes by now, those of earlier sessions among them."""

    def left_out(self, path: str, outcome: Outcome, reason: str) -> None:
        """An entry doesn't get through."""

    def ended(self, outcome: Outcome, reason: str, entries: int, bytes: int) -> None:  # noqa: A002 - as above
        """The session is over."""


class Host(Protocol):
    """The peer that is asked for something: what it allows, on what terms, and what it shares.

    :ivar shares: what it offers to others: the name that they see, and the folder or file on disk.
    :ivar state: the folder for what must outlive the daemon.
    """

    @property
    def shares(self) -> Mapping[str, Path]: ...

    @property
    def state(self) -> Path: ...

    def allow(self, offer: Offer) -> None:
        """Allow something now.

        :raises ExchangeFailed: with ``refused`` and the reason; also if a person would have to be asked.
        """

    async def admit(self, offer: Offer, pending: Callable[[str], None]) -> Terms:
        """Allow a transfer, by a person if need be; whoever waits may be cancelled.

        :param pending: is called with the reason of the wait, at once and then every 5 s.
        :raises ExchangeFailed: with ``refused`` and the reason.
        """

    def store_terms(self, offer: Offer) -> Terms:
        """Allow content of the service ``store`` now, and say on what terms.

        :raises ExchangeFailed: with ``refused`` and the reason.
        """

    def incoming(self, offer: Offer, stop: Callable[[str], None]) -> Incoming:
        """A session begins in which the other side moves something to or from here.

        :param stop: ends the session for good; its argument is the reason that the other side is told.
        """

    async def check_wanted(self, offer: Offer) -> None:
        """See that a transfer, of which a session begins, wasn't cancelled here.

        :raises CancelledThere: if it was.
        """

    async def given_up(self, offer: Offer) -> None:
        """The other side of a transfer won't go on with it: remove the parts that are here.

        :raises ExchangeFailed: with ``refused`` and the reason, if they can't be removed.
        """


@dataclass(frozen=True, slots=True)
class Context:
    """What a service may use of the peer that it serves.

    :ivar peer: the name of the receiving peer.
    :ivar inbox: the folder for content that it keeps.
    :ivar threads: runs what blocks.
    :ivar token: makes a random text for a temporary name.
    :ivar now: monotonic seconds.
    :ivar clock: calls something later.
    :ivar host: says what the peer allows.
    :ivar beside: what else this peer has that some service works with, by its class; :meth:`of` gives it.
    """

    peer: str
    inbox: Path
    threads: Threads
    token: Callable[[], str]
    now: Callable[[], float]
    clock: IReactorTime
    host: Host
    beside: Mapping[type, object]

    def of(self, kind: type[T]) -> T:
        """What the peer has of a class, such as the conversations of its user.

        :raises KeyError: if it has none; who puts the daemon together provides what its services work with.
        """
        found = self.beside[kind]
        assert isinstance(found, kind)
        return found


class IContentService(IPlugin):
    """Something that takes the content of requests and answers them."""

    name: str = Attribute("the name by which requests ask for it, lower case")

    def receive(request: Request, reply: ReplyWriter, context: Context) -> Sink:  # noqa: N805 - an Interface has no self
        """Begin to take a request.

        :param reply: write the reply's body here, at any time; its tail is sent when the sink has completed. To end the
            exchange before the request has come whole, call its ``fail``.
        :returns: where the request's body goes.
        :raises ExchangeFailed: with ``refused`` and the reason, to take nothing.
        """


class Services:
    """The services that a peer offers, by name.

    :raises ConfigError: if two plugins have the same name.
    """

    def __init__(self, plugins: Iterable[IContentService]) -> None:
        self._by_name: dict[str, IContentService] = {}
        for plugin in plugins:
            if plugin.name in self._by_name:
                raise ConfigError(f"two plugins offer the content service {plugin.name!r}; remove one of them")
            self._by_name[plugin.name] = plugin

    @classmethod
    def installed(cls) -> Services:
        """Find the plugins that are installed."""
        return cls(getPlugins(IContentService))

    def joined_by(self, *services: IContentService) -> Services:
        """The same, and services that aren't plugins because they belong to one daemon.

        :raises ConfigError: if two of them have one name.
        """
        return Services([*self._by_name.values(), *services])

    @property
    def names(self) -> list[str]:
        """What is offered, sorted."""
        return sorted(self._by_name)

    def receive(self, request: Request, reply: ReplyWriter, context: Context) -> Sink:
        """Hand a request to the service that it asks for.

        :raises ExchangeFailed: with ``refused``, if there is no such service, it doesn't take this, or its host doesn't
            allow it.
        """
        service = self._by_name.get(request.service)
        if service is None:
            raise ExchangeFailed(
                Outcome.REFUSED,
                f"{context.peer} has no service {request.service[:40]!r}, only {', '.join(self.names)}",
            )
        if request.service != TRANSFER:
            context.host.allow(Offer(request.sender, request.service, request.type, request.name, request.length))
        return service.receive(request, reply, context)
