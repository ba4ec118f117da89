"""The service ``list``: another peer sees what this one shares; and how to ask for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from zope.interface import implementer

from p2p.base.errors import ExchangeFailed, Outcome, ProtocolViolation
from p2p.exchange.message_streams import MessageWriter, ReplyWriter
from p2p.exchange.paths import from_bytes, to_bytes
from p2p.exchange.request import BaseSink, BaseSource, Request
from p2p.exchange.service import Context, IContentService
from p2p.link.boxes import Box, BoxReader, encode_box, text_of
from p2p.link.flow import account_of
from p2p.transfer.answers import ListedNames
from p2p.transfer.asking import AskingSink
from p2p.transfer.production import Production
from p2p.transfer.records import Buffer, Kind, clamped
from p2p.transfer.reports import number_of
from p2p.transfer.shares import MAX_LISTED, SharedEntry, listed

__all__ = ["LIST", "ListSession", "ListSink", "listing"]

LIST: Final = "list"

_BOX_BYTES: Final = 16384
_ENTRY_COST: Final = 400  # bytes of memory that an entry takes with a name of some length
_AT_ONCE: Final = 1000  # entries that are encoded at once


class ListSink(AskingSink):
    """Says what is shared at a path."""

    def __init__(self, reply: ReplyWriter, context: Context) -> None:
        super().__init__(reply, context, most=1, limit=_BOX_BYTES, fields=frozenset({"path"}))
        self._left: deque[SharedEntry] = deque()

    async def answer(self) -> Mapping[str, str | bytes]:
        """Send an entry a box."""
        if not self.boxes:
            raise ExchangeFailed(Outcome.CORRUPT, "the request doesn't say what to list")
        path = from_bytes(self.boxes[0].get("path", b""))
        self._left.extend(await self.worker(listed, self.context.host.shares, path))
        self.keeps(_ENTRY_COST * len(self._left))
        await Production(self._encoded, self.worker, self.context.clock).run(self.reply)
        return {}

    def _encoded(self, size: int) -> list[Buffer]:
        boxes = [_encoded(self._left.popleft()) for _ in range(min(_AT_ONCE, len(self._left)))]
        return [b"".join(boxes)] if boxes else []


class ListSession(BaseSource):
    """The initiator's end: the source of the exchange, and by :meth:`sink` what takes the reply.

    :param path: what to list; empty for all that is shared.
    :ivar entries: what is there, when it has ended well.
    """

    def __init__(self, path: str) -> None:
        self.entries: list[SharedEntry] = []
        self._path = path

    @property
    def request(self) -> Request:
        """The request of the exchange."""
        return Request(LIST)

    async def send(self, consumer: MessageWriter) -> Mapping[str, str | bytes]:
        """Say what to list."""
        consumer.write(encode_box({"path": to_bytes(self._path)}))
        return {}

    def sink(self) -> _Entries:
        """Make what takes the reply."""
        self.entries = []
        return _Entries(self.entries)


class _Entries(BaseSink):
    """Reads entries."""

    def __init__(self, entries: list[SharedEntry]) -> None:
        self._entries = entries
        self._reader = BoxReader(_BOX_BYTES)
        self._names = ListedNames()
        self._held = account_of(None).bytes_held()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Nothing is paused: it is not much."""
        self._held = account_of(producer).bytes_held()

    def unregisterProducer(self) -> None:
        """All is here."""
        self._held.set(0)

    def write(self, data: bytes | memoryview) -> None:
        """Read what is here.

        :raises ExchangeFailed: with ``corrupt``, if it is no list, or longer than any.
        """
        try:
            self._entries += map(self._decoded, self._reader.feed(data))
        except ProtocolViolation as error:
            raise ExchangeFailed(Outcome.CORRUPT, str(error)) from error
        if len(self._entries) > MAX_LISTED:
            raise ExchangeFailed(Outcome.CORRUPT, f"a list of more than {MAX_LISTED} entries")
        self._held.set(_ENTRY_COST * len(self._entries))

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """That was all.

        :raises ExchangeFailed: with ``corrupt``, if it breaks off.
        """
        if not self._reader.between:
            raise ExchangeFailed(Outcome.CORRUPT, "a list that ends within an entry")
        return {}

    def abandon(self) -> None:
        """Nothing is kept."""
        self._held.set(0)

    def _decoded(self, box: Box) -> SharedEntry:
        kind = text_of(box, "kind")
        if "name" not in box or kind not in set(Kind):
            raise ProtocolViolation("an entry of a list has no name, or is of no known kind")
        size = number_of(box, "size") or 0 if kind == Kind.FILE else 0
        time = number_of(box, "mtime") or -(number_of(box, "before") or 0)
        return SharedEntry(self._names.checked(box["name"]), Kind(kind), size, time)


def _encoded(entry: SharedEntry) -> bytes:
    time = clamped(entry.mtime)
    fields = {"kind": entry.kind.value, "size": str(entry.size), "mtime": str(max(time, 0))}
    if time < 0:
        fields["before"] = str(-time)  # earlier versions take no sign
    return encode_box({"name": to_bytes(entry.name), **fields})


@implementer(IContentService)
class _List:
    name = LIST

    def receive(self, request: Request, reply: ReplyWriter, context: Context) -> ListSink:
        return ListSink(reply, context)


listing = _List()
