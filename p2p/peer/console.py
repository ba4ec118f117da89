"""What a person can ask a peer daemon on its console."""

from __future__ import annotations

import base64
import codecs
import os
from collections.abc import Awaitable, Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Final, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2p import __version__
from p2p.base.errors import ExchangeFailed, InvalidRequest, LocalFileError, Outcome
from p2p.base.names import parse_cluster
from p2p.console.operations import (
    ActingArguments,
    Connected,
    Diagnosis,
    Direct,
    DisconnectArguments,
    Disconnected,
    ExchangeArguments,
    HostedStatus,
    Link,
    LinkAttempt,
    NoArguments,
    OpenSockets,
    PeerArguments,
    PeersArguments,
    PeersListed,
    PeerStatus,
    Pinged,
    Registered,
    Relayed,
    RouterConnection,
    WaitRegisteredArguments,
    WhyArguments,
)
from p2p.console.server import Emit, Handler, checked
from p2p.exchange.exchange import Request, Sink
from p2p.exchange.request import DigestSink
from p2p.link.boxes import Box
from p2p.link.flow import Stream
from p2p.link.protocol import DirectLink
from p2p.peer.node import HostedPeer
from p2p.peer.transfer_console import Consent, Mover, TransferConsole
from p2p.peer.transfers.targets import list_peers
from p2p.peer.tunnels import TunnelConsole
from p2p.peer.why import why
from p2p.services.relay import MeetingPoint
from p2p.services.store import BytesSource, FileSource

__all__ = ["PeerConsole"]

PROGRESS_S: Final = 0.2

STORE: Final = "store"
"""The service whose reply must have a receipt."""

HEAD_MARGIN: Final = 256
"""Bytes in the head of a request beside its texts: the names of its fields, their lengths, and the body's length."""


class PeerConsole:
    """The operations of a peer daemon.

    :param clock: the reactor, for time and for connections that are handed over.
    :param peers: the hosted peers by name.
    :param console_clients: how many clients the console has now.
    :param transfers: moves files and folders.
    :param consent: holds the offers about which a person decides.
    :param days_left: says for how many days the certificate of a peer is still valid.
    :param warnings: warns of the certificate of a peer, or of all of them.
    """

    _log = Logger()

    def __init__(
        self,
        clock: Any,
        peers: Mapping[str, HostedPeer],
        *,
        cluster: str,
        router: str,
        security: str,
        threads: Any,
        now_ns: Callable[[], int],
        console_clients: Callable[[], int],
        transfers: Mover,
        consent: Consent,
        warnings: Callable[[str | None], list[str]],
        days_left: Callable[[str], float | None] = lambda name: None,
    ) -> None:
        self._clock = clock
        self._peers = peers
        self._cluster = cluster
        self._router = router
        self._security = security
        self._threads = threads
        self._now_ns = now_ns
        self._console_clients = console_clients
        self._warnings = warnings
        self._days_left = days_left
        self._of_transfers = TransferConsole(clock, self._acting, transfers=transfers, consent=consent, now_ns=now_ns)

    def handlers(self) -> dict[str, Handler]:
        """The operations by name."""
        return {
            "status": checked(NoArguments, self._status),
            "wait-registered": checked(WaitRegisteredArguments, self._wait_registered),
            "peers": checked(PeersArguments, self._list_peers),
            "ping": checked(PeerArguments, self._ping),
            "connect": checked(PeerArguments, self._connect),
            "why": checked(WhyArguments, self._why),
            "disconnect": checked(DisconnectArguments, self._disconnect),
            "exchange": checked(ExchangeArguments, self._exchange),
            **self._of_transfers.handlers(),
            **TunnelConsole(self._clock, self._acting).handlers(),
        }

    async def _status(self, arguments: NoArguments, emit: Emit) -> PeerStatus:
        now = self._clock.seconds()
        hosted = self._peers.values()
        registered = sum(peer.registration.registered for peer in hosted)
        return PeerStatus(
            version=__version__,
            pid=os.getpid(),
            cluster=self._cluster,
            router=RouterConnection(endpoint=self._router, connected=registered > 0),
            security=self._security,
            peers=[
                HostedStatus(
                    name=peer.name,
                    registered=peer.registration.registered,
                    links=[_shown(link, now) for link in peer.links.values()],
                    observed=peer.registration.observed or None,
                    relay=_relayed(peer.meetings),
                    certificate_days=self._days_left(peer.name),
                    problem="" if peer.registration.registered else peer.registration.last_error,
                    attempts=[
                        LinkAttempt(peer=target, port=moments.port, dials=moments.dials)
                        for target, moments in peer.pursuit.attempts.items()
                    ],
                )
                for peer in hosted
            ],
            open=OpenSockets(
                listeners=sum(peer.pursuit.open_listeners for peer in hosted),
                links=sum(len(peer.connections) for peer in hosted),
                attempts=sum(peer.pursuit.open_listeners + peer.pursuit.open_dials for peer in hosted),
                control=registered,
                console=self._console_clients(),
            ),
            warnings=[*(one for peer in hosted for one in peer.hindrances), *self._warnings(None)],
        )

    async def _wait_registered(self, arguments: WaitRegisteredArguments, emit: Emit) -> Registered:
        deadline = self._clock.seconds() + arguments.timeout
        for peer in self._peers.values():
            waiting = Deferred.fromCoroutine(peer.registration.when_registered())
            # The deadline is that of them all: whoever is late finds it over and is counted as missing.
            left = max(deadline - self._clock.seconds(), 0.0)
            waiting.addTimeout(left, self._clock, onTimeoutCancel=lambda result, seconds: None)
            await waiting
        registered = sum(peer.registration.registered for peer in self._peers.values())
        return Registered(peers=len(self._peers), registered=registered)

    async def _list_peers(self, arguments: PeersArguments, emit: Emit) -> PeersListed:
        cluster = parse_cluster(arguments.cluster)
        return PeersListed(cluster=cluster, names=await list_peers(self._acting(arguments), cluster))

    async def _ping(self, arguments: PeerArguments, emit: Emit) -> Pinged:
        peer = self._acting(arguments)
        link, setup = await peer.link_to(arguments.peer)

        def too_late(result: object, seconds: float) -> NoReturn:
            raise ExchangeFailed(Outcome.TIMEOUT, f"{arguments.peer} didn't answer a ping within {seconds:g} s")

        answer: Deferred[float | None] = Deferred()
        answer.addTimeout(peer.limits.call_s, self._clock, onTimeoutCancel=too_late)
        began = self._now_ns()
        link.ping(answer.callback)
        if await answer is None:
            raise ExchangeFailed(Outcome.RESET, f"the link to {arguments.peer} ended before the ping came back")
        rtt = self._now_ns() - began
        local, remote = link.addresses
        return Pinged(
            peer=arguments.peer, rtt_ns=rtt, reused=setup.reused, setup_ns=setup.setup_ns, local=local, remote=remote
        )

    async def _connect(self, arguments: PeerArguments, emit: Emit) -> Connected:
        link, setup = await self._acting(arguments).link_to(arguments.peer)
        await setup.when_answered()
        local, remote = link.addresses
        return Connected(
            peer=arguments.peer,
            reused=setup.reused,
            initiator=link.initiator,
            setup_ns=setup.setup_ns,
            table_lookup_ns=setup.table_lookup_ns,
            router_lookup_ns=setup.router_lookup_ns,
            local=local,
            remote=remote,
            security=_security(link),
        )

    async def _why(self, arguments: WhyArguments, emit: Emit) -> Diagnosis:
        peer = self._acting(arguments)
        found = await why(
            peer,
            arguments.peer,
            fresh=arguments.fresh,
            endpoint=self._router,
            clock=self._clock,
            now_ns=self._now_ns,
            tell=lambda leg: emit("leg", **leg.model_dump(mode="json")),
        )
        return found.model_copy(update={"warnings": [*peer.hindrances, *self._warnings(peer.name)]})

    async def _disconnect(self, arguments: DisconnectArguments, emit: Emit) -> Disconnected:
        acting = list(self._peers.values()) if arguments.acting is None else [self._acting(arguments)]
        return Disconnected(closed=sum(peer.disconnect(arguments.peer) for peer in acting))

    async def _exchange(self, arguments: ExchangeArguments, emit: Emit) -> Mapping[str, Any]:
        planned_ns = self._now_ns()
        peer = self._acting(arguments)
        request = Request(service=arguments.service, type=arguments.type, name=arguments.name)
        _check_head(request, peer.limits.header_bytes)
        source: BytesSource | FileSource
        if arguments.path is not None:
            source = FileSource(_absolute(arguments.path), self._threads)
        else:
            source = BytesSource(_encoded("text", arguments.text or ""))
        streams: list[Stream] = []
        sinks: list[DigestSink] = []

        def sink() -> Sink:
            shown = {"text": _as_text, "base64": _as_base64}.get(arguments.show)
            sinks.append(DigestSink() if shown is None else _TextSink(emit, shown()))
            return sinks[-1]

        progress = LoopingCall(self._tell_progress, streams, source, emit)
        progress.clock = self._clock
        progress.start(PROGRESS_S, now=False).addErrback(lambda failure: self._log.failure("no progress", failure))
        try:
            result = await peer.exchange(
                arguments.peer, request, source, sink, planned_ns=planned_ns, watch=streams.append
            )
            receipt = None
            if arguments.service == STORE or "digest" in result.tail:
                receipt = _receipt(result.tail)
                if (receipt["digest"], receipt["size"]) != (source.digest, result.bytes):
                    raise ExchangeFailed(Outcome.CORRUPT, f"{arguments.peer} stored something else than was sent")
        except ExchangeFailed as failure:
            known = {"planned_ns": planned_ns, "end_ns": self._now_ns(), "bytes": _sent(streams, source)}
            raise ExchangeFailed(failure.outcome, str(failure), {**failure.fields, **known}) from failure
        finally:
            if progress.running:
                progress.stop()
        return {
            "peer": arguments.peer,
            "service": arguments.service,
            "type": arguments.type,
            "name": arguments.name,
            "outcome": Outcome.OK.value,
            "bytes": result.bytes,
            "digest": source.digest,
            "reply_bytes": result.reply_bytes,
            "reply_digest": sinks[-1].digest,
            "receipt": receipt,
            "said": {} if receipt else {key: value for key, value in result.tail.items() if key != "outcome"},
            "planned_ns": planned_ns,
            "first_byte_ns": result.first_byte_ns,
            "end_ns": result.end_ns,
        }

    def _tell_progress(
        self, streams: list[Stream], source: BytesSource | FileSource, emit: Emit
    ) -> Awaitable[None] | None:
        """Tell it, and have the next wait until the client has read this one."""
        if not streams or source.length is None:
            return None
        return emit("progress", bytes=_sent(streams, source), length=source.length)

    def _acting(self, arguments: ActingArguments) -> HostedPeer:
        """The hosted peer that the arguments name, or the only one.

        :raises InvalidRequest: if it isn't hosted, or several are and none is named.
        """
        if arguments.acting is None:
            if len(self._peers) > 1:
                first = next(iter(self._peers))
                raise InvalidRequest(
                    f"this daemon hosts {len(self._peers)} peers; say which of them acts, for example --as {first}"
                )
            return next(iter(self._peers.values()))
        peer = self._peers.get(arguments.acting)
        if peer is None:
            raise InvalidRequest(f"this daemon doesn't host {arguments.acting!r:.80}")
        return peer


def _as_text() -> Callable[[bytes, bool], str]:
    return codecs.getincrementaldecoder("utf-8")("replace").decode


def _as_base64() -> Callable[[bytes, bool], str]:
    kept = b""

    def encode(data: bytes, final: bool) -> str:
        nonlocal kept
        data = kept + data
        whole = len(data) if final else len(data) // 3 * 3
        kept = data[whole:]
        return base64.b64encode(data[:whole]).decode()

    return encode


class _TextSink(DigestSink):
    """Passes a reply on to the console as text, at the pace at which it is read there.

    :param shown: makes text of the bytes as they come, and of what is left at the end.
    """

    def __init__(self, emit: Emit, shown: Callable[[bytes, bool], str]) -> None:
        super().__init__()
        self._emit = emit
        self._producer: IPushProducer | None = None
        self._shown = shown

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Get the stream to pause."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """The body has ended."""
        self._producer = None

    def write(self, data: bytes | memoryview) -> None:
        """Pass bytes on."""
        super().write(data)
        self._pass_on(self._shown(bytes(data), False))

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Pass on what is left of the last character."""
        self._pass_on(self._shown(b"", True))
        return {}

    def _pass_on(self, text: str) -> None:
        if not text:
            return
        room: Awaitable[None] = self._emit("text", text=text)
        if isinstance(room, Deferred) and not room.called and self._producer is not None:
            self._producer.pauseProducing()
            room.addCallback(self._go_on)

    def _go_on(self, result: None) -> None:
        if self._producer is not None:
            self._producer.resumeProducing()


def _sent(streams: list[Stream], source: BytesSource | FileSource) -> int:
    """Bytes of the body that went; the stream counts a few more, those of the head and the chunks."""
    return min(streams[-1].sent, source.length or 0) if streams else 0


def _encoded(what: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        remedy = "send it as a file" if what == "text" else "choose another one"
        raise InvalidRequest(f"the {what} isn't Unicode at its character {error.start + 1}; {remedy}") from error


def _check_head(request: Request, limit: int) -> None:
    """See that the head of a request can be sent: the other side would only reset the stream."""
    fields = request.fields().items()
    size = sum(len(value if isinstance(value, bytes) else _encoded(what, value)) for what, value in fields)
    if size > limit - HEAD_MARGIN:
        raise InvalidRequest(f"service, type and name take {size} bytes, and with the rest at most {limit} are allowed")


def _absolute(path: str) -> Path:
    if "\0" in path or not Path(path).is_absolute():
        raise LocalFileError(f"{path[:200]!r} isn't an absolute path; the daemon has another working folder than you")
    return Path(path)


def _receipt(fields: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        size, seconds = int(fields["size"]), float(fields["received_s"])
        if not isfinite(seconds):
            raise ValueError("received_s is no time")
        if "/" in fields["name"] or fields["name"] in (".", ".."):
            raise ValueError("name is a path")
        return {"name": fields["name"], "size": size, "digest": fields["digest"], "received_s": seconds}
    except (KeyError, ValueError) as error:
        raise ExchangeFailed(Outcome.CORRUPT, "the other side's receipt makes no sense") from error


def _security(link: DirectLink) -> str:
    return "plain" if link.terms.plain else "tls"


def _shown(link: DirectLink, now: float) -> Link:
    local, remote = link.addresses
    return Link(
        peer=link.remote,
        initiator=link.initiator,
        direct=Direct(local=local, remote=remote),
        security=_security(link),
        streams=link.stream_count,
        sent_bytes=link.sent_bytes,
        received_bytes=link.received_bytes,
        age_s=now - link.since,
        relayed_by=link.relayed_by,
    )


def _relayed(meetings: MeetingPoint) -> Relayed | None:
    if not meetings.is_relay:
        return None
    return Relayed(
        waiting=meetings.waiting,
        joined=meetings.joined,
        met=meetings.met,
        bytes=meetings.relayed,
        refused=meetings.refused,
    )
