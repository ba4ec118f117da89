"""What a content service is, and how the services of this machine are found.

A service is a Twisted plugin: any object under ``twisted/plugins`` that provides :class:`IContentService` is offered
to the other peers by its name. The built-in ones are ``uppercase``, ``store`` and ``echo``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin, getPlugins
from zope.interface import Attribute

from p2p.content.exchange import MessageWriter, Request, Sink
from p2p.errors import ConfigError, ExchangeFailed, Outcome

__all__ = ["Context", "IContentService", "Services", "Threads"]


class Threads(Protocol):
    """Runs a blocking function in a thread and gives its result, as ``deferToThread`` does."""

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Start ``function(*arguments)``."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a service may use of the peer that it serves.

    :ivar peer: the name of the receiving peer.
    :ivar inbox: the folder for content that it keeps.
    :ivar threads: runs what blocks.
    :ivar token: makes a random text for a temporary name.
    :ivar now: monotonic seconds.
    """

    peer: str
    inbox: Path
    threads: Threads
    token: Callable[[], str]
    now: Callable[[], float]


class IContentService(IPlugin):
    """Something that takes the content of requests and answers them."""

    name: str = Attribute("the name by which requests ask for it, lower case")

    def receive(request: Request, reply: MessageWriter, context: Context) -> Sink:  # noqa: N805 - an Interface has no self
        """Begin to take a request.

        :param reply: write the reply's body here, at any time; its tail is sent when the sink has completed.
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

    @property
    def names(self) -> list[str]:
        """What is offered, sorted."""
        return sorted(self._by_name)

    def receive(self, request: Request, reply: MessageWriter, context: Context) -> Sink:
        """Hand a request to the service that it asks for.

        :raises ExchangeFailed: with ``refused``, if there is no such service or it doesn't take this.
        """
        service = self._by_name.get(request.service)
        if service is None:
            raise ExchangeFailed(
                Outcome.REFUSED,
                f"{context.peer} has no service {request.service[:40]!r}, only {', '.join(self.names)}",
            )
        return service.receive(request, reply, context)
