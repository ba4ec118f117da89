"""The operations of the console: what each takes and what it answers, for the daemons and for their clients.

Arguments are strict; answers ignore what they don't know, so that a client goes on with a newer daemon. ``acting`` is
``as`` on the wire: the name of the hosted peer that acts, which may be left out if the daemon hosts only one. Times in
ns are readings of the daemon's monotonic clock, or differences of them; addresses read ``127.0.0.1:41234``.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from p2p.console.server import Arguments

__all__ = [
    "ActingArguments",
    "Connected",
    "Diagnosis",
    "Direct",
    "DisconnectArguments",
    "Disconnected",
    "ExchangeArguments",
    "Exchanged",
    "FoundLink",
    "HostedPeer",
    "Leg",
    "Link",
    "Mean",
    "NoArguments",
    "OpenSockets",
    "PeerArguments",
    "PeerStatus",
    "PeersArguments",
    "PeersListed",
    "Ponged",
    "Receipt",
    "Registered",
    "RouterConnection",
    "RouterStatus",
    "SocketBytes",
    "WaitRegisteredArguments",
    "WhyArguments",
]

ContentType = Literal["text", "audio", "video", "data"]


class NoArguments(Arguments):
    """``status`` takes nothing."""


class WaitRegisteredArguments(Arguments):
    """``wait-registered``: until every hosted peer is registered, at most this many seconds."""

    timeout: float = Field(gt=0)


class ActingArguments(Arguments):
    """What a peer does has a peer that does it."""

    acting: str | None = Field(default=None, alias="as")


class PeersArguments(ActingArguments):
    """``peers``: the names in a cluster."""

    cluster: str


class PeerArguments(ActingArguments):
    """``ping`` and ``connect``: with which peer."""

    peer: str


class WhyArguments(PeerArguments):
    """``why``: walk the legs to the peer; ``fresh`` closes a link that stands, politely, and walks all of them."""

    fresh: bool = False


class DisconnectArguments(ActingArguments):
    """``disconnect``: from which peer; without one, from all of them."""

    peer: str | None = None


class ExchangeArguments(PeerArguments):
    """``exchange``: a text or the file at an absolute path, to a content service of the peer.

    ``show`` says what to do with the reply: give it as ``text`` events, or tell its ``digest`` alone.
    """

    service: str
    type: ContentType = "text"
    name: str = ""
    text: str | None = None
    path: str | None = None
    show: Literal["text", "digest"] = "digest"

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if (self.text is None) == (self.path is None):
            raise ValueError('give either "text" or "path"')
        return self


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Registered(_Answer):
    """``wait-registered``: how many peers the daemon hosts, and how many of them are registered now."""

    peers: int
    registered: int


class PeersListed(_Answer):
    """``peers``: the names that are registered in the cluster, in order."""

    cluster: str
    names: list[str]


class Ponged(_Answer):
    """``ping``: the round trip over the direct link, and how long the link took if it wasn't there (else 0)."""

    peer: str
    rtt_ns: int
    reused: bool
    setup_ns: int | None = None
    local: str = ""
    remote: str = ""


class Connected(_Answer):
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


class Leg(_Answer):
    """A leg of the way to a peer, as ``why`` found it; each is told by an event ``leg`` too, as soon as it has ended.

    ``leg`` and ``state`` are those of :mod:`p2p.console.legs`; ``took_ns`` is null where nothing was measured. Where a
    leg failed, ``outcome`` is that of an exchange that fails there, ``detail`` the cause and ``remedy`` what to do.
    """

    leg: str
    state: str
    outcome: str | None = None
    took_ns: int | None = None
    detail: str = ""
    remedy: str = ""


class FoundLink(_Answer):
    """The direct link that ``why`` made or found.

    ``observed`` is the address at which the target's router sees the target, null where that isn't known;
    ``same_address`` whether the link's remote end has this address; ``note`` says both in words.
    """

    initiator: str
    local: str
    remote: str
    security: str
    age_s: float
    observed: str | None = None
    same_address: bool | None = None
    note: str = ""


class Diagnosis(_Answer):
    """``why``: how each leg to the peer is, and the link.

    ``outcome`` is ``ok`` or that of the leg that ``failed`` names, null if that is one's own daemon; ``standing`` says
    that the link was there already, so that most legs weren't needed; ``took_ns`` is the time of the whole walk.
    """

    peer: str
    acting: str
    standing: bool
    outcome: str | None
    failed: str | None = None
    took_ns: int | None = None
    legs: list[Leg]
    link: FoundLink | None = None


class Disconnected(_Answer):
    """``disconnect``: how many links were closed."""

    closed: int


class Receipt(_Answer):
    """What ``store`` replies: the name in the inbox, bytes, BLAKE3 in hex, and the seconds that it took to arrive."""

    name: str
    size: int
    digest: str
    received_s: float


class Exchanged(_Answer):
    """``exchange``: what was sent (bytes, BLAKE3 in hex), what came back, and when.

    ``text`` is the body of the reply, put together by the client, where the request said to show it.
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
    receipt: Receipt | None = None
    planned_ns: int
    first_byte_ns: int | None = None
    end_ns: int
    text: str = ""

    @property
    def seconds(self) -> float:
        """How long the exchange took, from the plan to the last byte of the reply."""
        return (self.end_ns - self.planned_ns) / 1e9


class RouterConnection(_Answer):
    """The control channel of a peer daemon."""

    endpoint: str
    connected: bool


class Direct(_Answer):
    """The two addresses of a direct link."""

    local: str
    remote: str


class Link(_Answer):
    """A direct link and what has gone over it."""

    peer: str
    initiator: str
    direct: Direct
    security: str
    streams: int
    sent_bytes: int
    received_bytes: int
    age_s: float


class HostedPeer(_Answer):
    """A peer that the daemon hosts."""

    name: str
    registered: bool
    links: list[Link]


class OpenSockets(_Answer):
    """What a peer daemon holds open."""

    listeners: int
    links: int
    attempts: int
    control: int
    console: int


class PeerStatus(_Answer):
    """``status`` of a peer daemon."""

    version: str
    pid: int
    cluster: str
    router: RouterConnection
    security: str
    peers: list[HostedPeer]
    open: OpenSockets


class SocketBytes(_Answer):
    """Everything that went through a router's sockets."""

    received: int
    sent: int


class Mean(_Answer):
    """Many times in short, ns."""

    count: int
    mean: float
    max: float


class RouterStatus(_Answer):
    """``status`` of a router daemon."""

    version: str
    pid: int
    cluster: str
    listening: str
    peers: int
    neighbours: dict[str, bool]
    connections: int
    socket_bytes: SocketBytes
    lookups: int
    table_lookup_ns: Mean
