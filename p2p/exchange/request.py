"""What an exchange is made of at either end: the request, where its body comes from, and where it goes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from blake3 import blake3
from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from p2p.base.errors import ProtocolViolation
from p2p.exchange.message_streams import MessageWriter
from p2p.link.boxes import Box, text_of

__all__ = ["BaseSink", "BaseSource", "DigestSink", "Request", "Sink", "Source"]

_KNOWN: Final = frozenset({"service", "type", "name", "length", "encoding"})


@dataclass(frozen=True, slots=True)
class Request:
    """What the head of a request says; everything in it is the other side's word.

    :ivar service: the content service that shall take it.
    :ivar type: the content type: ``text``, ``audio``, ``video``, ``data``.
    :ivar name: the content's name, empty if it has none.
    :ivar length: bytes of the body, None if unknown beforehand.
    :ivar encoding: of text, ``utf-8`` unless it says otherwise.
    :ivar sender: the peer at the other end of the link, proved by its certificate.
    :ivar relayed_by: the relay that carries that link; empty if it is direct.
    :ivar more: the fields of the head that only its service knows.
    """

    service: str
    type: str = "data"
    name: str = ""
    length: int | None = None
    encoding: str = "utf-8"
    sender: str = ""
    relayed_by: str = ""
    more: Mapping[str, str | bytes] = field(default_factory=dict, hash=False)

    def fields(self) -> dict[str, str | bytes]:
        """The head's box."""
        known = {"service": self.service, "type": self.type, "name": self.name, "encoding": self.encoding}
        fields: dict[str, str | bytes] = {**self.more, **known}
        if self.length is not None:
            fields["length"] = str(self.length)
        return fields

    @classmethod
    def parse(cls, box: Box, sender: str) -> Request:
        """Read a head.

        :raises ProtocolViolation: if a value isn't UTF-8 or the length isn't a number of bytes.
        """
        digits = box.get("length")
        if digits is not None and not (digits.isdigit() and len(digits) <= 18):
            raise ProtocolViolation("the length in a request's head isn't a number of bytes")
        return cls(
            service=text_of(box, "service"),
            type=text_of(box, "type", "data"),
            name=text_of(box, "name"),
            length=None if digits is None else int(digits),
            encoding=text_of(box, "encoding", "utf-8"),
            sender=sender,
            more={key: value for key, value in box.items() if key not in _KNOWN},
        )


class Source(Protocol):
    """Where the body of a request comes from."""

    async def open(self) -> int | None:
        """Get ready and return the length in bytes, None if it isn't known beforehand."""

    async def send(self, consumer: MessageWriter) -> Mapping[str, str | bytes]:
        """Produce the body into the consumer and return the fields of the tail."""

    def close(self) -> None:
        """Let go of everything, at whatever point."""


class Sink(Protocol):
    """Where a body goes. Also an ``IConsumer``: registered with the stream it may pause."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Get the stream to pause and resume."""

    def unregisterProducer(self) -> None:
        """The body has ended."""

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes; raises ``ExchangeFailed`` to end the exchange."""

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Everything came: finish, and return the fields of the reply's tail; raises ``ExchangeFailed``."""

    def abandon(self) -> None:
        """The exchange failed: undo what was begun."""


class BaseSource(ABC):
    """A source that has nothing to get ready and nothing to let go of; see :class:`Source`."""

    async def open(self) -> int | None:
        """Nobody needs to know the length."""
        return None

    @abstractmethod
    async def send(self, consumer: MessageWriter) -> Mapping[str, str | bytes]:
        """Produce the body."""

    def close(self) -> None:  # noqa: B027 - most have nothing open
        """Nothing is open."""


@implementer(IConsumer)
class BaseSink(ABC):
    """A sink that never pauses the stream, has no fields for the tail and keeps nothing; see :class:`Sink`."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: B027 - most never pause it
        """Nothing pauses it."""

    def unregisterProducer(self) -> None:  # noqa: B027 - as above
        """Nothing paused it."""

    @abstractmethod
    def write(self, data: bytes | memoryview) -> None:
        """Take bytes."""

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Nothing is left to do."""
        return {}

    def abandon(self) -> None:  # noqa: B027 - most have nothing to undo
        """Nothing is kept."""


class DigestSink(BaseSink):
    """Takes the body of a reply and keeps its digest alone.

    It comes in pieces of a TLS record, far less than what would be worth the way to a thread and back.
    """

    def __init__(self) -> None:
        self._hasher = blake3()

    @property
    def digest(self) -> str:
        """The BLAKE3 digest of what came, in hex."""
        return self._hasher.hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes in."""
        self._hasher.update(data)
