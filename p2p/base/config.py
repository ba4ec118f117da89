"""The configuration of both daemons: what their YAML files may say, and loading them.

A relative path in a file is relative to that file's folder. All problems of a file are told at once, each as
``file:line: key: what is wrong, what was expected``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from p2p.base.config_fields import (
    INITIAL_WINDOW,
    MAX_SOCKET_PATH,
    Bytes,
    ClusterName,
    Console,
    ContentTypes,
    Count,
    FreshListener,
    Grants,
    HostedName,
    Hosting,
    Inbox,
    KeyFile,
    Listener,
    Loading,
    Network,
    Patterns,
    Places,
    PortRange,
    ProgramAddress,
    ReadableFile,
    Relays,
    RouterEndpoint,
    Seconds,
    ServiceNames,
    Shared,
    Size,
    StateFolder,
    Streams,
    WindowBytes,
    check_console,
)
from p2p.base.names import parse_peer
from p2p.base.scopes import ScopeBounds, System
from p2p.base.values import Exists, Links
from p2p.base.yaml_files import LocatedErrors, load, nearest

__all__ = [
    "MAX_SOCKET_PATH",
    "AcceptRule",
    "AddressChoice",
    "Neighbour",
    "PeerConfig",
    "PeerEntry",
    "PeerLimits",
    "RouterConfig",
    "RouterLimits",
    "StrictModel",
    "TLSFiles",
    "changed_fields",
    "check_console",
    "load_peers",
    "load_router",
]


class StrictModel(BaseModel):
    """What every configuration is: unchangeable, without unknown keys, and without guessing at types."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid", strict=True)


class RouterLimits(StrictModel):
    """The limits of a router daemon; ``_s`` is in seconds."""

    handshake_s: Seconds = Field(default=10.0, description="seconds for a TLS handshake")
    silence_s: Seconds = Field(default=60.0, description="seconds of silence after which a connection is cut")
    call_s: Seconds = Field(default=10.0, description="seconds for the answer to a command")
    pending_connections: Count = Field(default=512, description="connections not yet authenticated")
    pending_per_address: Count = Field(default=32, description="of them, those from one source address")
    peers: Count = Field(default=20_000, description="entries in the routing table")
    requests_per_s: Seconds = Field(default=50.0, description="requests a second of one peer")
    request_burst: Count = Field(default=200, description="requests that one peer may send at once")
    attempts_in_flight: Count = Field(default=64, description="connection attempts of one peer under way at once")
    lookups_in_flight: Count = Field(default=4096, description="look-ups of one neighbour under way at once")
    lookups_per_s: Seconds = Field(default=2_000.0, description="questions a second of one neighbour")
    lookup_burst: Count = Field(default=4_000, description="questions that one neighbour may send at once")

    @model_validator(mode="after")
    def _in_proportion(self) -> Self:
        _ordered(self, "pending_per_address", "pending_connections")
        return self


class PeerLimits(StrictModel):
    """The limits of a peer daemon; ``_s`` is in seconds, ``_bytes`` in bytes."""

    handshake_s: Seconds = Field(default=10.0, description="seconds for a TLS handshake and the hello")
    silence_s: Seconds = Field(default=60.0, description="seconds of silence after which a connection is cut")
    call_s: Seconds = Field(default=10.0, description="seconds for the answer to a command")
    ticket_s: Seconds = Field(default=30.0, description="seconds that a ticket lives")
    reach_s: Seconds = Field(default=4.0, description="seconds for which both ends of a request dial each other")
    idle_s: Seconds = Field(default=300.0, description="seconds after which an unused link is closed")
    exchange_silence_s: Seconds = Field(default=30.0, description="seconds without progress that end an exchange")
    streams: Streams = Field(default=256, description="streams of one link at once")
    header_bytes: Bytes = Field(default=65_536, description="bytes in the header of an exchange")
    window_bytes: WindowBytes = Field(default=INITIAL_WINDOW, description="bytes in a stream's first receive window")
    window_max_bytes: Bytes = Field(default=16_777_216, description="bytes to which a receive window may grow")
    link_window_bytes: Bytes = Field(default=33_554_432, description="bytes in all receive windows of a link together")
    memory_bytes: Bytes = Field(default=167_772_160, description="bytes of memory held on behalf of all peers")
    peer_memory_bytes: Bytes = Field(default=67_108_864, description="of them, those on behalf of one peer")
    link_memory_bytes: Bytes = Field(default=67_108_864, description="of them, those of one link")
    stream_memory_bytes: Bytes = Field(default=50_331_648, description="of them, those of one stream")
    all_streams: Count = Field(default=8192, description="streams of all peers at once")
    peer_streams: Count = Field(default=512, description="of them, those of one peer")
    descriptors: Count = Field(default=16_384, description="descriptors held open on behalf of all peers")
    peer_descriptors: Count = Field(default=4096, description="of them, those on behalf of one peer")
    link_descriptors: Count = Field(default=4096, description="of them, those of one link")
    stream_descriptors: Count = Field(default=512, description="of them, those of one stream")
    attempts_in_flight: Count = Field(default=64, description="connection attempts of one peer under way at once")
    connecting: Count = Field(default=8, description="registrations under way at once")
    console_connections: Count = Field(default=64, description="connections to the console at once")
    transfers: Count = Field(default=64, description="transfers that were asked for here and take place at once")
    transfers_unfinished: Count = Field(default=10_000, description="transfers that are under way or wait")
    unfinished_days: Count = Field(default=7, description="days for which a part stays that doesn't grow")

    @model_validator(mode="after")
    def _in_proportion(self) -> Self:
        _ordered(self, "window_bytes", "window_max_bytes")
        _ordered(self, "reach_s", "ticket_s")
        return self

    def scopes(self, open_files: int = 1 << 31) -> System:
        """Accounts for what is held on behalf of other peers, which is nothing yet.

        :param open_files: descriptors that the process may have; others get half of them at most.
        """
        daemon = self.model_copy(update={"descriptors": min(self.descriptors, open_files // 2)})
        return System(
            daemon._bounds("memory_bytes", "all_streams", "descriptors"),
            self._bounds("peer_memory_bytes", "peer_streams", "peer_descriptors"),
            self._bounds("link_memory_bytes", "streams", "link_descriptors"),
            self._bounds("stream_memory_bytes", "streams", "stream_descriptors"),
        )

    def _bounds(self, memory: str, streams: str, descriptors: str) -> ScopeBounds:
        names = (memory, streams, descriptors)
        return ScopeBounds((getattr(self, memory), getattr(self, streams), getattr(self, descriptors)), names)


class TLSFiles(StrictModel):
    """Who a router is: PEM files."""

    certificate: ReadableFile = Field(description="the PEM file with this router's certificate")
    key: KeyFile = Field(description="the PEM file with its private key, mode 0600")
    authority: ReadableFile = Field(description="the PEM file with the lab authority's certificate")


class Neighbour(StrictModel):
    """Another cluster's router."""

    endpoint: RouterEndpoint = Field(description="where that router listens, like tcp:HOST:5556")


class RouterConfig(StrictModel):
    """What a router daemon is told."""

    cluster: ClusterName = Field(description="the name of the cluster that this router serves, like n")
    listen: Listener = Field(description="a Twisted endpoint to listen on, like tcp:5555")
    tls: TLSFiles = Field(description="a mapping with certificate, key and authority")
    neighbours: dict[ClusterName, Neighbour] = Field(
        default={}, description="a mapping from the names of other clusters to their routers"
    )
    networks: dict[ClusterName, list[Network]] = Field(
        default={}, description="a mapping from clusters to the networks that their peers may name addresses in"
    )
    relays: Relays = Field(default=[], description="a list of peers that relay for those who can't link directly")
    console: Console | None = Field(default=None, description="the path of this daemon's UNIX socket")
    state: StateFolder | None = Field(default=None, description="the folder for what must outlive the daemon")
    limits: RouterLimits = Field(default_factory=RouterLimits, description="a mapping of limits")

    @field_validator("neighbours")
    @classmethod
    def _others(cls, neighbours: dict[str, Neighbour], info: ValidationInfo) -> dict[str, Neighbour]:
        own = info.data.get("cluster")
        if own in neighbours:
            raise LocatedErrors([((own,), f"{own} is this router's own cluster, expected other clusters only")])
        return neighbours

    @field_validator("networks")
    @classmethod
    def _known(cls, networks: dict[str, list[Network]], info: ValidationInfo) -> dict[str, list[Network]]:
        if "cluster" in info.data and "neighbours" in info.data:
            known = [info.data["cluster"], *info.data["neighbours"]]
            wrong = [one for one in networks if one not in known]
            if wrong:
                raise LocatedErrors([((one,), f"no cluster of this router, {nearest(one, known)}") for one in wrong])
        return networks


class AcceptRule(StrictModel):
    """What a peer does with offers of one kind; the first rule that an offer meets decides."""

    sender: Patterns = Field(default=["*"], alias="from", description="patterns of peers' names, like '*.m'")
    service: ServiceNames = Field(default=[], description="names of services, like transfer; all, if left out")
    type: ContentTypes = Field(default=[], description="of text, audio, video, data; all, if left out")
    size: Size | None = Field(default=None, description="the most bytes, like 10GB")
    then: Literal["accept", "ask", "refuse"] = Field(description="'accept', 'ask' or 'refuse'")


class RelayGrant(StrictModel):
    """For whom a peer is a relay, and how much it relays."""

    peers: Patterns = Field(alias="from", description="patterns of peers' names, like '*.m'; both ends must fit one")
    pairs: Count = Field(default=64, description="links that are relayed at once, or about to be")
    each: Count = Field(default=4, description="of them, those of one pair of peers")
    rate: Size | None = Field(default=None, ge=1, description="bytes a second in total, like 100MB")
    pair_rate: Size | None = Field(default=None, ge=1, description="bytes a second of one link, like 10MB")


class TunnelGrant(StrictModel):
    """A program of this machine, or of its network, that others may reach through a tunnel."""

    to: ProgramAddress = Field(description="the address and port of the program, like 127.0.0.1:5432")
    peers: Patterns = Field(alias="from", description="patterns of peers' names, like '*.m'")


class PeerEntry(StrictModel):
    """One hosted peer."""

    name: HostedName = Field(description="the peer's name, like n1.n")
    certificate: ReadableFile = Field(description="the PEM file with this peer's certificate")
    key: KeyFile = Field(description="the PEM file with its private key, mode 0600")
    inbox: Inbox = Field(description="the folder for the files that it receives")
    accept: list[AcceptRule] | None = Field(default=None, description="a list of rules; without one, all is accepted")
    exists: Exists = Field(default="rename", description="'rename', 'replace' or 'refuse', for a name that is taken")
    symlinks: Links = Field(default="keep", description="'keep' or 'refuse'")
    quota: Size | None = Field(default=None, description="the most bytes in the inbox, like 100GB")
    keep_free: Size = Field(default=0, description="bytes that stay free on the inbox's disk, like 1GB")
    relay: RelayGrant | None = Field(default=None, description="a mapping that says for whom this peer is a relay")
    relayed: bool = Field(default=True, description="whether links of this peer may go through a relay")
    tunnel: list[TunnelGrant] = Field(default=[], description="a list of programs that others may reach")
    share: Shared = Field(default={}, description="a mapping from names to folders or files, or a list of their paths")


class AddressChoice(StrictModel):
    """Which addresses of the machine others are told, by the names of interfaces, like docker*, or by networks."""

    offer: Places = Field(default=[], description="a list of interfaces and networks, like eth0; all, if left out")
    leave_out: Places = Field(default=[], description="a list of interfaces and networks, like docker*")


class PeerConfig(StrictModel):
    """What a peer daemon is told: its router, and the one or many peers of one cluster that it hosts."""

    router: RouterEndpoint = Field(description="where the cluster's router listens, like tcp:HOST:5555")
    authority: ReadableFile = Field(description="the PEM file with the lab authority's certificate")
    console: Console = Field(description="the path of this daemon's UNIX socket")
    peers: list[PeerEntry] = Field(min_length=1, description="a list of the hosted peers")
    state: StateFolder | None = Field(default=None, description="a folder for the journal of transfers")
    links: Literal["tls", "plain"] = Field(default="tls", description="'tls' or 'plain'")
    listen: FreshListener = Field(
        default="tcp6:0", description="the endpoint of fresh sockets, like tcp6:0 for IPv6 and IPv4"
    )
    ports: PortRange | None = Field(default=None, description="the ports of fresh sockets, like 42000-42099")
    addresses: AddressChoice = Field(
        default_factory=AddressChoice, description="a mapping with offer and leave_out: the addresses others are told"
    )
    experiment: Grants = Field(default=[], description="a list of peers that may have these run experiments")
    limits: PeerLimits = Field(default_factory=PeerLimits, description="a mapping of limits")

    @property
    def cluster(self) -> str:
        """The cluster of all the peers here."""
        return parse_peer(self.peers[0].name).cluster

    @property
    def state_folder(self) -> Path:
        """The folder for what must outlive the daemon: beside the first inbox, unless the file says otherwise."""
        inbox = self.peers[0].inbox
        return self.state or inbox.with_name(f"{inbox.name}.state")

    @field_validator("peers")
    @classmethod
    def _of_one_cluster(cls, peers: list[PeerEntry]) -> list[PeerEntry]:
        hosting = Hosting()
        for peer in peers:
            hosting.add(parse_peer(peer.name))
        return peers


def load_router(path: Path, *, files: bool = True) -> RouterConfig:
    """Load the YAML file of a router.

    :param files: whether the files that it names must be there.
    :raises ConfigError: with everything that is wrong, a line each.
    """
    return load(path, RouterConfig, _loading(path, files))


def load_peers(path: Path, *, files: bool = True) -> PeerConfig:
    """Load the YAML file of a peer daemon.

    :param files: whether the files that it names must be there.
    :raises ConfigError: with everything that is wrong, a line each.
    """
    return load(path, PeerConfig, _loading(path, files))


def _loading(path: Path, files: bool) -> Loading:
    # twistd may change its folder after this; see Loading for why this isn't Path.resolve().
    return Loading(Path(os.path.abspath(path)).parent, files)  # noqa: PTH100 - links stay links


def changed_fields(before: BaseModel, after: BaseModel) -> set[str]:
    """Return the keys in which two configurations of one kind differ."""
    return {name for name in type(before).model_fields if getattr(before, name) != getattr(after, name)}


def _ordered(limits: StrictModel, small: str, large: str) -> None:
    """Check that one limit isn't above another that contains it."""
    if getattr(limits, small) > getattr(limits, large):
        values = f"{getattr(limits, small)} is more than {large}, {getattr(limits, large)}"
        raise LocatedErrors([((small,), f"{values}; lower it or raise {large}")])
