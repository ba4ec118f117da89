"""The operations of the console that move files and folders, the events that tell of them, and chats.

As in :mod:`p2p.console.operations`, arguments are strict and answers ignore what they don't know. The events are also
what ``p2p --json`` prints, a line each; ``docs/events.rst`` is their schema for scripts. Each operation that moves
something emits console events ``transfer``, whose field ``transfer`` is one of these events.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import Field, TypeAdapter, model_validator

from p2p.base.values import ContentType, Exists, Links
from p2p.console.operations import ActingArguments, Arguments, ConsoleAnswer

__all__ = [
    "DEADLINE_S",
    "EVENTS",
    "CancelArguments",
    "Cancelled",
    "ChatArguments",
    "ChatLine",
    "ChatSayArguments",
    "DecideArguments",
    "Direction",
    "Done",
    "Failed",
    "GetArguments",
    "LeftOut",
    "Listed",
    "ListedEntry",
    "LsArguments",
    "Moved",
    "MovedOne",
    "MovingArguments",
    "Offered",
    "Offers",
    "OffersArguments",
    "Pending",
    "PendingOffer",
    "Progress",
    "Resumed",
    "SendArguments",
    "Stalled",
    "TransferEvent",
    "TransferShown",
    "TransfersArguments",
    "TransfersShown",
    "Verified",
    "Waiting",
    "read_event",
]

DEADLINE_S: Final = 3600.0
"""Seconds for which a transfer is taken up again and again after its link has broken, unless it was told otherwise."""

Direction = Literal["send", "get", "receive", "serve"]
"""``send`` and ``get`` were asked for here; ``receive`` and ``serve`` are the other ends of those, asked for there."""


class MovingArguments(ActingArguments):
    """What ``send`` and ``get`` have in common.

    With ``stream``, the content is read from, or written to, the file descriptor that is passed along with the request
    (SCM_RIGHTS, see unix(7)). A transfer that is detached answers at once, with its id.
    """

    stream: bool = False
    limit: int | None = Field(
        default=None,
        ge=1024,
        description="How fast at most, for example 10MB/s.",
        json_schema_extra={"unit": "bytes/s"},
    )
    deadline_s: float = Field(
        default=DEADLINE_S,
        ge=0,
        le=30 * 86400,
        description="How long to try again after a link has broken, for example 90s, 10min or 2d.",
        json_schema_extra={"unit": "s"},
    )
    detach: bool = Field(default=False, description="End at once, and let the daemon go on by itself.")


class SendArguments(MovingArguments):
    """``send``: what is at absolute paths, or a stream, to one or several peers; ``*.m`` is all of a cluster."""

    peers: list[str] = Field(min_length=1, max_length=1000)
    paths: list[str] = Field(default=[], max_length=100_000)
    name: str | None = Field(
        default=None, description="What to call it there: what comes from standard input, or the one PATH."
    )
    type: ContentType = Field(default="data", description="What the content is, for the rules of the other side.")
    links: Links = Field(default="keep", description="Whether links inside folders are sent as links or left out.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.stream == bool(self.paths):
            raise ValueError('give either "paths" or "stream"')
        if self.stream and (self.name is None or self.detach):
            raise ValueError('a stream needs a "name", and can\'t be detached')
        return self


class GetArguments(MovingArguments):
    """``get``: what a peer shares, into the folder at an absolute path, or one file of it to a stream.

    A name that ends with ``/`` is a folder's.
    """

    peer: str
    names: list[str] = Field(min_length=1, max_length=10_000)
    folder: str | None = None
    exists: Exists = Field(default="rename", description="What to do where a name is taken.")
    links: Links = Field(default="keep", description="Whether links are made or left out.")

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.stream == (self.folder is not None):
            raise ValueError('give either "folder" or "stream"')
        if self.stream and (len(self.names) != 1 or self.detach):
            raise ValueError("only one file goes to a stream, and it can't be detached")
        return self


class LsArguments(ActingArguments):
    """``ls``: what a peer shares, or what is in one of its shared folders."""

    peer: str
    path: str = Field(default="", max_length=4096)


class TransfersArguments(Arguments):
    """``transfers``: those that the journal knows; with ``follow``, first an event ``transfers`` with these, and then
    an event ``transfer`` for whatever happens, until the client leaves."""

    follow: bool = Field(default=False, description="Then print whatever happens, until Ctrl-C.")
    count: int = Field(default=50, ge=1, le=1000, description="How many to list at most.")


class CancelArguments(Arguments):
    """``cancel-transfer``: give one up, at either end; what has arrived of its unfinished file is removed."""

    transfer: str


class OffersArguments(Arguments):
    """``offers``: what waits for a person's consent."""


class DecideArguments(Arguments):
    """``decide``: take what was offered, or not."""

    offer: str
    accept: bool


class ChatArguments(ActingArguments):
    """``chat``: hold a conversation with a peer until both sides have ended it; emits ``chat`` events."""

    peer: str


class ChatSayArguments(ActingArguments):
    """``chat-say``: a line of the conversation that is under way; without ``line``, the end of one's own side of it."""

    peer: str
    line: str | None = None


class _Event(ConsoleAnswer):
    """What all events have.

    :ivar transfer: the id of the transfer, 16 hex digits, the same at both ends.
    :ivar peer: the peer at the other end.
    """

    transfer: str
    peer: str
    direction: Direction


class Offered(_Event):
    """The other side was asked to take the content, or for it: it knows what is to come."""

    event: Literal["offered"] = "offered"
    names: list[str]
    more_names: int = 0
    entries: int | None = None
    bytes: int | None = None


class Pending(_Event):
    """A person at the other side has to agree first; or, with ``reading``, the other side reads again what it has."""

    event: Literal["pending"] = "pending"
    reason: str
    reading: bool = False


class Resumed(_Event):
    """An earlier session is continued: so many entries and bytes don't go again; ``restarted`` begin anew all the same,
    because they changed."""

    event: Literal["resumed"] = "resumed"
    entries: int
    bytes: int
    path: str | None = None
    offset: int = 0
    restarted: list[str] = []


class Progress(_Event):
    """How far it is; several times a second at most. ``path`` is the entry under way, ``rate`` bytes a second.

    ``relayed_by`` is the relay by which it goes now; empty if the link is direct.
    """

    event: Literal["progress"] = "progress"
    entries: int
    entries_total: int | None = None
    bytes: int
    bytes_total: int | None = None
    path: str | None = None
    rate: float = 0.0
    relayed_by: str = ""


class Verified(_Event):
    """An entry is complete at the receiver, verified, and under its final name; or ``outcome`` and ``reason`` say why
    not. ``root`` is the root of its BLAKE3 tree in hex, empty for folders and links. ``note`` says in what it isn't
    quite what is at the sender's."""

    event: Literal["verified"] = "verified"
    path: str
    name: str
    size: int = 0
    root: str = ""
    outcome: str = "ok"
    reason: str = ""
    note: str = ""


class Stalled(_Event):
    """Nothing has moved for some seconds; ``rtt_ns`` is what the link's own ping took, null if it wasn't answered."""

    event: Literal["stalled"] = "stalled"
    seconds: float
    rtt_ns: int | None = None
    text: str


class Waiting(_Event):
    """A session ended before the transfer did; the next begins in ``retry_s`` seconds, and ``left_s`` are left."""

    event: Literal["waiting"] = "waiting"
    outcome: str
    reason: str
    retry_s: float
    left_s: float


class Done(_Event):
    """The transfer is complete. ``refused`` counts the entries that didn't get through; ``sent_bytes`` is the content
    that went over the network in all sessions, ``seconds`` the time since the transfer was asked for."""

    event: Literal["done"] = "done"
    entries: int
    bytes: int
    refused: int = 0
    sent_bytes: int = 0
    sessions: int = 1
    seconds: float


class Failed(_Event):
    """The transfer is over and isn't complete; the same command takes it up again where ``resumable`` says so."""

    event: Literal["failed"] = "failed"
    outcome: str | None
    error: Literal["usage", "outcome", "file", "cancelled", "internal"] = "outcome"
    reason: str
    resumable: bool = True


TransferEvent = Offered | Pending | Resumed | Progress | Verified | Stalled | Waiting | Done | Failed

EVENTS: Final = frozenset(one.model_fields["event"].default for one in get_args(TransferEvent))
"""The kinds of events."""

_EVENT: Final[TypeAdapter[Any]] = TypeAdapter(Annotated[TransferEvent, Field(discriminator="event")])


def read_event(fields: object) -> TransferEvent:
    """Read an event from its JSON object.

    :raises pydantic.ValidationError: if it is none.
    """
    event: TransferEvent = _EVENT.validate_python(fields)
    return event


class MovedOne(ConsoleAnswer):
    """How the transfer with one peer ended; ``outcome`` is ``ok``, or why it didn't, or null for what is no outcome of
    an exchange; ``detached`` ones go on."""

    transfer: str
    peer: str
    outcome: str | None
    reason: str = ""
    error: str = ""
    entries: int = 0
    bytes: int = 0
    refused: int = 0
    seconds: float = 0.0
    detached: bool = False


class Moved(ConsoleAnswer):
    """``send`` and ``get``: one for each peer, in the order of their names."""

    transfers: list[MovedOne]

    @property
    def complete(self) -> bool:
        """Whether everything got through to everybody."""
        return all(one.outcome == "ok" and not one.refused for one in self.transfers)


class ListedEntry(ConsoleAnswer):
    """What a peer shares: ``kind`` is ``file``, ``folder`` or ``link``; ``mtime`` in Unix seconds."""

    name: str
    kind: Literal["file", "folder", "link"]
    size: int = 0
    mtime: float = 0.0


class Listed(ConsoleAnswer):
    """``ls``."""

    peer: str
    path: str
    entries: list[ListedEntry]


class LeftOut(ConsoleAnswer):
    """An entry that didn't get through, and why."""

    path: str
    outcome: str
    reason: str


class TransferShown(ConsoleAnswer):
    """A transfer as the journal knows it; times in Unix seconds.

    ``refused`` counts the entries that didn't get through, and ``left_out`` has the first of them.
    """

    transfer: str
    acting: str
    peer: str
    direction: Direction
    names: list[str]
    more_names: int = 0
    state: Literal["running", "waiting", "paused", "done", "failed", "cancelled"]
    entries: int
    bytes: int
    bytes_total: int | None = None
    created: float
    updated: float
    deadline: float
    outcome: str = ""
    reason: str = ""
    refused: int = 0
    left_out: list[LeftOut] = []


class TransfersShown(ConsoleAnswer):
    """``transfers``: the newest first."""

    transfers: list[TransferShown]


class Cancelled(ConsoleAnswer):
    """``cancel-transfer``: the transfers of that id, two if the daemon hosts both ends."""

    transfers: list[TransferShown]


class PendingOffer(ConsoleAnswer):
    """What somebody wants to send: ``offer`` is its id, ``age_s`` for how long it has waited; ``types`` are the content
    types that are in it, and besides ``names`` there are ``more_names``."""

    offer: str
    acting: str
    peer: str
    service: str
    type: str
    types: list[str] = []
    name: str
    names: list[str] = []
    more_names: int = 0
    entries: int | None = None
    bytes: int | None = None
    age_s: float


class Offers(ConsoleAnswer):
    """``offers``: the oldest first."""

    offers: list[PendingOffer]


class ChatLine(ConsoleAnswer):
    """A console event ``chat``: ``state`` is ``waiting`` (the other side isn't there yet), ``joined``, ``line`` or
    ``left``."""

    state: Literal["waiting", "joined", "line", "left"]
    line: str = ""
