"""The operations of the console: what each takes and what it answers, for the daemons and for their clients.

Arguments are strict; answers ignore what they don't know, so that a client goes on with a newer daemon. An argument is
declared once, with its default, its check and what it is for: ``p2p`` makes its options of that, and the Python client
takes the same models. Where people write a value with its unit (``s``, ``bytes/s``), the JSON schema has the unit.
Times in ns are readings of the daemon's monotonic clock, or differences of them; addresses read ``127.0.0.1:41234``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from p2p.base.errors import InvalidRequest
from p2p.base.values import ContentType

__all__ = [
    "ActingArguments",
    "Arguments",
    "Candidate",
    "Connected",
    "ConsoleAnswer",
    "Diagnosis",
    "Direct",
    "DisconnectArguments",
    "Disconnected",
    "ExchangeArguments",
    "Exchanged",
    "FoundLink",
    "HostedStatus",
    "Leg",
    "LegName",
    "LegState",
    "Link",
    "LinkAttempt",
    "Mean",
    "NoArguments",
    "OpenSockets",
    "PeerArguments",
    "PeerStatus",
    "PeersArguments",
    "PeersListed",
    "Pinged",
    "Registered",
    "Relayed",
    "RouterConnection",
    "RouterStatus",
    "SocketBytes",
    "StoreReceipt",
    "WaitRegisteredArguments",
    "WhyArguments",
    "legs_between",
]


class Arguments(BaseModel):
    """The arguments of an operation: nothing unknown, nothing of another type, nothing missing."""

    model_config = ConfigDict(frozen=True, defer_build=True, strict=True, extra="forbid", populate_by_name=True)

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Self:
        """Check arguments that come from elsewhere.

        :raises InvalidRequest: with all that is wrong.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise InvalidRequest(_what_is_wrong(error)) from None

    def request(self) -> dict[str, Any]:
        """The fields of a request with these arguments; those that have their default are left to the daemon."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _what_is_wrong(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in one['loc']) or 'the request'}: {one['msg']}" for one in error.errors()
    )


class NoArguments(Arguments):
    """``status`` takes nothing."""


class WaitRegisteredArguments(Arguments):
    """``wait-registered``: until every hosted peer is registered, at most this many seconds."""

    timeout: float = Field(gt=0)


class ActingArguments(Arguments):
    """What a peer does has a peer that does it; ``acting`` is ``as`` on the wire, which is a keyword of Python."""

    acting: str | None = Field(
        default=None,
        validation_alias="as",
        serialization_alias="as",
        description="Which peer acts, where the daemon hosts several.",
    )


class PeersArguments(ActingArguments):
    """``peers``: the names in a cluster."""

    cluster: str


class PeerArguments(ActingArguments):
    """``ping`` and ``connect``: with which peer."""

    peer: str


class WhyArguments(PeerArguments):
    """``why``: walk the legs to the peer."""

    fresh: bool = Field(default=False, description="Close a link that stands, after its exchanges, and walk all legs.")


class DisconnectArguments(ActingArguments):
    """``disconnect``: from which peer; without one, from all of them."""

    peer: str | None = None


class ExchangeArguments(PeerArguments):
    """``exchange``: a text or the file at an absolute path, to a content service of the peer."""

    service: str
    type: ContentType = Field(default="text", description="What the content is.")
    name: str = Field(default="", description="What to call it there.")
    text: str | None = None
    path: str | None = Field(default=None, description="An absolute path.")
    show: Literal["text", "base64", "digest"] = Field(
        default="digest", description="Whether to give the reply, as events, or to tell its digest alone."
    )

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if (self.text is None) == (self.path is None):
            raise ValueError('give either "text" or "path"')
        return self


class ConsoleAnswer(BaseModel):
    """What an operation answers, or a part of it."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore", populate_by_name=True)


class Registered(ConsoleAnswer):
    """``wait-registered``: how many peers the daemon hosts, and how many of them are registered now."""

    peers: int
    registered: int


class PeersListed(ConsoleAnswer):
    """``peers``: the names that are registered in the cluster, in order."""

    cluster: str
    names: list[str]


class Pinged(ConsoleAnswer):
    """``ping``: the round trip over the direct link, and how long the link took if it wasn't there (else 0)."""

    peer: str
    rtt_ns: int
    reused: bool
    setup_ns: int | None = None
    local: str = ""
    remote: str = ""


class Connected(ConsoleAnswer):
    """``connect``: the direct link, how long it took, and how long the routers took to find the peer."""

    peer: str
    reused: bool
    initiator: str
    setup_ns: int | None = None
    table_lookup_ns: int | None = None
    router_lookup_ns: int | None = None
    local: str = ""
    remote: str = ""
    security: str = ""


class LegName(StrEnum):
    """A leg; ``table`` is that of one's own router, ``neighbour-table`` that of the router of the other cluster."""

    DAEMON = "daemon"
    ROUTER = "router"
    LISTEN = "listen"
    TABLE = "table"
    NEIGHBOUR = "neighbour"
    NEIGHBOUR_TABLE = "neighbour-table"
    INSTRUCT = "instruct"
    DIAL = "dial"
    TLS = "tls"
    TICKET = "ticket"
    PING = "ping"
    EXCHANGE = "exchange"


class LegState(StrEnum):
    """How a leg ended: it is good, it failed, the link needed none of it now, or an earlier one failed."""

    OK = "ok"
    FAILED = "failed"
    NOT_NEEDED = "not-needed"
    NOT_REACHED = "not-reached"


def legs_between(*, near: bool, standing: bool = False) -> list[LegName]:
    """Return the legs from one peer to another.

    :param near: whether both are of one cluster.
    :param standing: whether the link is there already, and is pinged.
    """
    other = {LegName.NEIGHBOUR, LegName.NEIGHBOUR_TABLE} if near else {LegName.TABLE}
    return [leg for leg in LegName if leg not in other and (standing or leg is not LegName.PING)]


class Leg(ConsoleAnswer):
    """A leg of the way to a peer, as ``why`` found it; each is told by an event ``leg`` too, as soon as it has ended.

    ``leg`` and ``state`` are a :class:`LegName` and a :class:`LegState`, or words of a newer daemon; ``took_ns`` is
    null where nothing was measured. Where a leg failed, ``outcome`` is that of an exchange that fails there, ``detail``
    the cause and ``remedy`` what to do.
    """

    leg: str
    state: str
    outcome: str | None = None
    took_ns: int | None = None
    detail: str = ""
    remedy: str = ""


class FoundLink(ConsoleAnswer):
    """The direct link that ``why`` made or found.

    ``relayed_by`` is the relay that carries it, empty where it is direct.
    ``observed`` is the address at which the target's router sees the target, null where that isn't known;
    ``same_address`` whether the link's remote end has this address; ``note`` says both in words.
    """

    initiator: str
    local: str
    remote: str
    security: str
    age_s: float
    relayed_by: str = ""
    observed: str | None = None
    same_address: bool | None = None
    note: str = ""


class Candidate(ConsoleAnswer):
    """An address at which one end of a request might have been reached, of ``why``.

    ``by`` is the peer that was to dial it; ``what`` became of it is ``link``, a kind of failure (of the target's dials
    only where those may be told), or ``unknown``, also where it wasn't dialled since there was a link already.
    """

    by: str
    address: str
    port: int
    what: str


class Diagnosis(ConsoleAnswer):
    """``why``: how each leg to the peer is, and the link.

    ``outcome`` is ``ok`` or that of the leg that ``failed`` names, null if that is one's own daemon; ``standing`` says
    that the link was there already, so that most legs weren't needed; ``took_ns`` is the time of the whole walk.
    ``candidates`` are the addresses that both ends were to dial, of a link that wasn't there already; ``position`` says
    in words where this machine stands, as far as these dials show it: open, or behind which firewall or NAT.
    ``warnings`` are sentences on what will go wrong on this side, with what to do.
    """

    peer: str
    acting: str
    standing: bool
    outcome: str | None
    failed: str | None = None
    took_ns: int | None = None
    legs: list[Leg]
    link: FoundLink | None = None
    candidates: list[Candidate] = []
    position: str = ""
    warnings: list[str] = []


class Disconnected(ConsoleAnswer):
    """``disconnect``: how many links were closed."""

    closed: int


class StoreReceipt(ConsoleAnswer):
    """What ``store`` replies: the name in the inbox, bytes, BLAKE3 in hex, and the seconds that it took to arrive."""

    name: str
    size: int
    digest: str
    received_s: float


class Exchanged(ConsoleAnswer):
    """``exchange``: what was sent (bytes, BLAKE3 in hex), what came back, and when.

    ``text`` is the body of the reply, put together by the client, where the request said to show it; ``said`` is what
    the service said of it at its end.
    """

    peer: str
    service: str
    type: str
    name: str
    outcome: str
    bytes: int
    digest: str
    reply_bytes: int = 0
    reply_digest: str = ""
    receipt: StoreReceipt | None = None
    said: Mapping[str, str] = {}
    planned_ns: int
    first_byte_ns: int | None = None
    end_ns: int
    text: str = ""

    @property
    def seconds(self) -> float:
        """How long the exchange took, from the plan to the last byte of the reply."""
        return (self.end_ns - self.planned_ns) / 1e9


class RouterConnection(ConsoleAnswer):
    """The control channel of a peer daemon."""

    endpoint: str
    connected: bool


class Direct(ConsoleAnswer):
    """The two addresses of a direct link."""

    local: str
    remote: str


class Link(ConsoleAnswer):
    """A link and what has gone over it; ``relayed_by`` is the relay that carries it, empty where it is direct."""

    peer: str
    initiator: str
    direct: Direct
    security: str
    streams: int
    sent_bytes: int
    received_bytes: int
    age_s: float
    relayed_by: str = ""


class Relayed(ConsoleAnswer):
    """What a relay does: who waits, the pairs that are joined, and in all the pairs, the bytes and the refusals."""

    waiting: int
    joined: list[tuple[str, str]]
    met: int
    bytes: int
    refused: int


class LinkAttempt(ConsoleAnswer):
    """A link that is being asked for: ``peer`` was told to dial the addresses in ``dials``, at ``port``."""

    peer: str
    port: int
    dials: list[str] = []


class HostedStatus(ConsoleAnswer):
    """A peer that the daemon hosts: ``observed`` is where its router saw it, ``problem`` why it isn't registered;
    ``relay`` is null where it is none.
    """

    name: str
    registered: bool
    links: list[Link]
    observed: str | None = None
    problem: str = ""
    attempts: list[LinkAttempt] = []
    relay: Relayed | None = None
    certificate_days: float | None = None


class OpenSockets(ConsoleAnswer):
    """What a peer daemon holds open."""

    listeners: int
    links: int
    attempts: int
    control: int
    console: int


class PeerStatus(ConsoleAnswer):
    """``status`` of a peer daemon; ``warnings`` are sentences on what will go wrong, with what to do."""

    version: str
    pid: int
    cluster: str
    router: RouterConnection
    security: str
    peers: list[HostedStatus]
    open: OpenSockets
    warnings: list[str] = []


class SocketBytes(ConsoleAnswer):
    """Everything that went through a router's sockets."""

    received: int
    sent: int


class Mean(ConsoleAnswer):
    """Many times in short, ns."""

    count: int
    mean: float
    max: float


class RouterStatus(ConsoleAnswer):
    """``status`` of a router daemon; ``neighbour_problems`` says why a neighbour isn't linked, by cluster."""

    version: str
    pid: int
    cluster: str
    listening: str
    peers: int
    neighbours: dict[str, bool]
    neighbour_problems: dict[str, str] = {}
    connections: int
    socket_bytes: SocketBytes
    lookups: int
    table_lookup_ns: Mean
    warnings: list[str] = []
    certificate_days: float | None = None
