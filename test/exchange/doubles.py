"""Sources and sinks of content that do what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Clock
from zope.interface import implementer

from p2p.base.errors import CancelledThere, Outcome
from p2p.exchange.exchange import MessageWriter, ReplyWriter
from p2p.exchange.rules import Offer
from p2p.exchange.service import Context, Room, Terms
from p2p.link.boxes import Box
from p2p.services.chat_room import ChatRoom

__all__ = ["Gatherer", "HeldSource", "HeldThreads", "OpenHost", "Session", "Written", "make_context", "make_reply"]


class Session:
    """Keeps what is told of a session.

    :ivar stop: ends it.
    :ivar told: each progress as (entries, bytes).
    :ivar lacking: each entry that was left out as (path, outcome, reason).
    :ivar ends: each end as (outcome, reason, entries, bytes).
    """

    def __init__(self, offer: Offer, stop: Callable[[str], None]) -> None:
        self.offer = offer
        self.stop = stop
        self.told: list[tuple[int, int]] = []
        self.ends: list[tuple[Outcome, str, int, int]] = []
        self.lacking: list[tuple[str, Outcome, str]] = []

    def left_out(self, path: str, outcome: Outcome, reason: str) -> None:
        self.lacking.append((path, outcome, reason))

    def progress(self, entries: int, bytes: int) -> None:  # noqa: A002 - the Protocol has it
        self.told.append((entries, bytes))

    def ended(self, outcome: Outcome, reason: str, entries: int, bytes: int) -> None:  # noqa: A002 - as above
        self.ends.append((outcome, reason, entries, bytes))


class OpenHost:
    """A host that allows everything, unless a test sets what to do instead.

    :ivar offers: what it was asked for.
    :ivar sessions: those that began.
    :ivar cancelled: those that were given up for good.
    :ivar refusal: what it raises at everything, if anything.
    :ivar consent: what ``admit`` waits for; it is ``pending`` first.
    :ivar room: is called before bytes are written.
    """

    def __init__(self, folder: Path, **terms: Any) -> None:
        self.folder = folder
        self.terms = terms
        self.offers: list[Offer] = []
        self.sessions: list[Session] = []
        self.cancelled: list[Offer] = []
        self.refusal: Exception | None = None
        self.unwanted: CancelledThere | None = None
        self.consent: Deferred[None] | None = None
        self.pending: Callable[[str], None] = lambda reason: None
        self.room: Room = lambda size, entries=0: None
        self._shares: dict[str, Path] = {}

    @property
    def shares(self) -> dict[str, Path]:
        return self._shares

    @property
    def state(self) -> Path:
        return self.folder.with_name(self.folder.name + ".state")

    def allow(self, offer: Offer) -> None:
        self.offers.append(offer)
        if self.refusal is not None:
            raise self.refusal

    async def admit(self, offer: Offer, pending: Callable[[str], None]) -> Terms:
        self.allow(offer)
        if self.consent is not None:
            self.pending = pending
            pending("a person is asked")
            await self.consent
        return self.store_terms(offer)

    def store_terms(self, offer: Offer) -> Terms:
        return Terms(**{"folder": self.folder, "exists": "rename", "links": "keep", "room": self.room, **self.terms})

    def incoming(self, offer: Offer, stop: Callable[[str], None]) -> Session:
        self.sessions.append(Session(offer, stop))
        return self.sessions[-1]

    async def check_wanted(self, offer: Offer) -> None:
        if self.unwanted is not None:
            raise self.unwanted

    async def given_up(self, offer: Offer) -> None:
        self.cancelled.append(offer)
        if self.refusal is not None:
            raise self.refusal


@implementer(IConsumer)
class Gatherer:
    """A sink that keeps what comes.

    :ivar react: is called at each piece.
    :ivar finishing: what ``complete`` waits for, or raises; None to be done at once.
    """

    def __init__(self, fields: Mapping[str, str | bytes] | None = None) -> None:
        self.data = bytearray()
        self.tail: Box | None = None
        self.abandoned = 0
        self.producer: Any = None
        self.react: Callable[[bytes], object] = lambda data: None
        self.finishing: Deferred[None] | Exception | None = None
        self._fields = fields or {}

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes | memoryview) -> None:
        self.data += data
        self.react(bytes(data))

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        if isinstance(self.finishing, Exception):
            raise self.finishing
        if self.finishing is not None:
            await self.finishing
        self.tail = tail
        return self._fields

    def abandon(self) -> None:
        self.abandoned += 1


class HeldSource:
    """A source that writes some bytes and then waits until the test ends it, by ``held``."""

    def __init__(self, data: bytes = b"first") -> None:
        self.held: Deferred[Mapping[str, str | bytes]] = Deferred()
        self.consumer: MessageWriter | None = None
        self._data = data

    async def open(self) -> None:
        """It's open."""

    async def send(self, consumer: MessageWriter) -> Mapping[str, str | bytes]:
        self.consumer = consumer
        consumer.write(self._data)
        return await self.held

    def close(self) -> None:
        """Nothing to let go of."""


class HeldThreads:
    """Threads whose work the test does when it wants, or at once while it doesn't hold them.

    :ivar waiting: what was asked of them and isn't done.
    """

    def __init__(self, *, held: bool = True) -> None:
        self.held = held
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        if not self.held:
            return maybeDeferred(function, *arguments)
        done: Deferred[Any] = Deferred()
        self.waiting.append((lambda: function(*arguments), done))
        return done

    def work(self, count: int = 1000) -> None:
        """Do what waits, in order, and what that brings about; at most so many steps."""
        while self.waiting and count:
            count -= 1
            function, done = self.waiting.pop(0)
            maybeDeferred(function).chainDeferred(done)

    def release(self) -> None:
        """Hold them no more."""
        self.held = False
        self.work()


class Written:
    """Stands in for the stream under a writer: keeps what is written."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.finished = 0
        self.producers: list[tuple[Any, bool] | None] = []

    def write(self, data: bytes | memoryview) -> None:
        self.pieces.append(bytes(data))

    def finish(self) -> None:
        self.finished += 1

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producers.append((producer, streaming))

    def unregisterProducer(self) -> None:
        self.producers.append(None)


def make_context(inbox: Path, **different: Any) -> Context:
    """What a service may use of m4.m, which allows everything; threads do their work at once."""
    fields: dict[str, Any] = {
        "peer": "m4.m",
        "inbox": inbox,
        "threads": maybeDeferred,
        "token": lambda: "token",
        "now": lambda: 0.0,
        "clock": Clock(),
        "host": OpenHost(inbox),
        "beside": {ChatRoom: ChatRoom(Clock(), "m4.m")},
    }
    return Context(**fields | different)


def make_reply(written: Written, failures: list[BaseException] | None = None) -> ReplyWriter:
    """A reply of which the messages are kept, and how the exchange was ended through it."""
    kept = [] if failures is None else failures
    return ReplyWriter(written, {}, kept.append)  # type: ignore[arg-type]  # it stands in for a Stream
