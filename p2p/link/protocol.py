"""The Protocol of a direct link: TLS and ticket first, then a Yamux session whose streams carry exchanges.

The dialler is the TLS client and the Yamux client. Each side says hello with one AMP box (boxes.py, hello.py); the
dialler's holds its proof of the ticket, the listener's the counterproof. Nothing of the session is accepted before both
are checked. The way of a byte from then on is told in the docstring of the package.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IHandshakeListener, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.config import PeerLimits
from p2p.base.errors import ExchangeFailed, IdentityError, Outcome, P2PError, ProtocolViolation
from p2p.base.log_gate import STRANGERS, LogGate
from p2p.base.scopes import Full, System
from p2p.base.silence import Silence
from p2p.base.texts import address_text
from p2p.identity.tls import LINK_ALPN, connection_failure, remote_key, require_name
from p2p.link.boxes import Box, BoxParser
from p2p.link.conduct import Conduct
from p2p.link.events import DataReceived, Event, Ponged, StreamEnded, StreamOpened, StreamRefused, StreamReset, WentAway
from p2p.link.flow import NotTaken, Stream, StreamTurns
from p2p.link.held import Held
from p2p.link.hello import HELLO_BYTES, LinkTerms, Steps, check_hello, encode_hello
from p2p.link.mux import INITIAL_WINDOW, Session, TooManyStreams
from p2p.link.pieces import parted
from p2p.wire.wide_socket import TcpInfo, WideSocket, tcp_info, widened

__all__ = ["CLOSED", "DirectLink", "LinkOwner"]

CLOSED: Final = "closed"
"""Why a link ended that both ends closed after its last exchange."""

_BUDGET: Final = 256 * 1024
_TURN: Final = 4 * _BUDGET  # then what arrives has its turn, though the system would take more


class LinkOwner(Protocol):
    """Whoever holds a link and closes it."""

    def link_established(self, link: DirectLink) -> None:
        """TLS, names and ticket are proved: streams may be opened."""

    def link_stream(self, link: DirectLink, stream: Stream) -> None:
        """The other side opened a stream."""

    def link_closed(self, link: DirectLink, reason: str) -> None:
        """The connection is gone, whether it ever became a link or not."""


@implementer(IHandshakeListener, IPushProducer)
class DirectLink(TwistedProtocol):
    """One end of a direct link.

    :param gate: what the other end can provoke in the log passes here; one of its own if left out.
    :param relayed_by: the relay that carries the connection; empty if it is direct.
    :ivar relayed_by: as above.
    :ivar turns: for the exchanges that this end begins, so that both ends together never pass the limit of streams.
    :ivar went_away: the other end takes no new streams.
    :ivar steps: when it took its steps to a link.
    :ivar elders_lost: the other end has lost whatever link of this pair stood before.
    :ivar established: both sides have proved who they are and that they hold the ticket.
    :ivar reusable: new exchanges may start on it.
    """

    _log = Logger()

    def __init__(
        self,
        terms: LinkTerms,
        owner: LinkOwner,
        clock: IReactorTime,
        limits: PeerLimits,
        *,
        now_ns: Callable[[], int] = time.monotonic_ns,
        gate: LogGate | None = None,
        scopes: System | None = None,
        relayed_by: str = "",
    ) -> None:
        self.terms = terms
        self.relayed_by = relayed_by
        self.steps = Steps()
        self._owner = owner
        self._clock = clock
        self._limits = limits
        self._now_ns = now_ns
        self.established = False
        self.since = self._used = clock.seconds()
        self.sent_bytes = 0
        self.received_bytes = 0
        self.failure: str | None = None
        self._hello = BoxParser(HELLO_BYTES)
        self._session = Session(
            client=terms.dialler,
            streams=limits.streams,
            window=limits.window_bytes,
            window_max=limits.window_max_bytes,
            link_window=limits.link_window_bytes,
            may_grow=lambda stream_id, growth: self._streams[stream_id].may_grow(growth),
        )
        self._held = Held(terms, scopes or limits.scopes(), clock, self.abort, self._give_way)
        self._streams: dict[int, Stream] = {}
        self._below: Any = None  # the transport that has the socket
        self._paused = False
        self._pumping = False
        self._wake: IDelayedCall | None = None
        self._timer: IDelayedCall | None = None
        self._last_call: IDelayedCall | None = None
        self._silence = Silence(limits.silence_s, self.since)
        self._pinged = False
        self._pongs: dict[int, Callable[[float | None], None]] = {}
        self._closing = False
        self._gone = False
        self._gate = gate or LogGate(clock)
        self._conduct = Conduct(clock, self._read, self._reject)
        self.went_away = self.elders_lost = False
        self.turns = StreamTurns(limits.streams)

    # -- for its owner ----------------------------------------------------------------------------------------

    @property
    def local(self) -> str:
        """The name of the peer at this end."""
        return self.terms.local

    @property
    def remote(self) -> str:
        """The name of the peer at the other end."""
        return self.terms.remote

    @property
    def initiator(self) -> str:
        """The name of the peer that asked for this link."""
        return self.terms.ticket.initiator

    @property
    def reusable(self) -> bool:
        """Whether new exchanges may start on this link."""
        return self.established and not (self._closing or self._gone or self.went_away)

    @property
    def stream_count(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    @property
    def remote_key(self) -> bytes | None:
        """What stands for the key at the other end; None if none has been shown, as on a plain link."""
        transport: Any = self.transport
        if self.terms.plain or transport is None or transport.getPeerCertificate() is None:
            return None
        return remote_key(transport)

    @property
    def addresses(self) -> tuple[str, str]:
        """The TCP addresses of both ends, ``host:port``, this end first."""
        assert self.transport is not None
        return address_text(self.transport.getHost()), address_text(self.transport.getPeer())

    def tcp_info(self) -> TcpInfo | None:
        """Ask the system about the connection; None where it doesn't tell."""
        return None if self._gone or self._below is None else tcp_info(self._below)

    def open_stream(self) -> Stream:
        """Open a stream for one exchange.

        :raises TooManyStreams: at the limit of streams, or when the link is closing.
        """
        if not self.reusable:
            raise TooManyStreams(f"the link to {self.remote} is closing")
        stream = self._begun(self._session.open())
        self._used = self._clock.seconds()
        return stream

    def ping(self, answer: Callable[[float | None], None]) -> None:
        """Measure the round trip: ``answer`` gets the seconds, or None if the link ends first."""
        if not self.established or self._gone:
            answer(None)
            return
        self._pongs[self._session.ping(self._clock.seconds())] = answer
        self._schedule_pump()

    def slept(self, seconds: float) -> None:
        """This machine slept for so long: ping the other end at once, which may have given this link up meanwhile."""
        if self.established and not self._gone:
            self._silence.slept(seconds, self._clock.seconds())
            self._restart_timer()

    def doubted(self, answer_s: float) -> None:
        """This machine would go another way to the other end by now: cut the link unless that answers a ping soon."""
        if self.established and not self._gone:
            self._silence.doubted(self._clock.seconds(), answer_s)
            self._restart_timer()

    def close(self) -> None:
        """Take no new streams, and close once those under way have ended."""
        if self._closing or self._gone:
            return
        self._closing = True
        if not self.established:
            self.abort("closed before it stood")
            return
        self._session.go_away()
        self._pump()
        self._close_if_idle()

    def abort(self, reason: str) -> None:
        """Cut the connection now."""
        if self._gone:
            return
        self.failure = self.failure or reason
        self._closing = True
        transport: Any = self.transport
        if transport is not None:  # else it is aborted as soon as it is connected
            transport.abortConnection()

    # -- called by Twisted ------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self.steps.connected_ns = self._now_ns()
        self.steps.remote = address_text(transport.getPeer())
        if self.failure is not None:
            transport.abortConnection()
            return
        if not self.relayed_by:
            transport.setTcpNoDelay(True)
        if self.terms.plain:
            self.transport = self._below = widened(transport, self.dataReceived)
        else:
            self._below = widened(transport.transport, transport.dataReceived)
            if self._below is not transport.transport:
                transport.stand_on(self._below)
        self._timer = self._clock.callLater(self._limits.handshake_s, self._too_late)
        if self.terms.plain:
            self._greet()

    def handshakeCompleted(self) -> None:
        transport: Any = self.transport
        try:
            require_name(transport, self.remote)
            if transport.negotiatedProtocol != LINK_ALPN:
                raise IdentityError(f"the other end doesn't speak {LINK_ALPN.decode()}")
        except IdentityError as error:
            self._reject(error)
            return
        self.steps.secured_ns = self._now_ns()
        self._greet()

    def dataReceived(self, data: bytes | memoryview) -> None:
        if self.failure is not None:
            return
        now = self._silence.heard = self._clock.seconds()
        self.received_bytes += len(data)
        self._pumping = True  # what the events make us write goes out together, below
        try:
            if self.established:
                self._dispatch(parted(self._session.receive(data, now), len(data)))
            else:
                box, rest = self._hello.feed(memoryview(data))
                if box is not None:
                    self._greeted(box)
                    if len(rest):
                        self._dispatch(self._session.receive(bytes(rest), now))
        except P2PError as error:
            self._reject(error)
        finally:
            self._pumping = False
        self._pump()
        self._close_if_idle()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone = True
        self._conduct.end()
        for call in (self._timer, self._wake, self._last_call):
            if call is not None and call.active():
                call.cancel()
        self._timer = self._wake = None
        why = self.steps.reason = self.failure or connection_failure(reason)
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.link_lost(ExchangeFailed(Outcome.RESET, f"the link to {self.remote} broke: {why}"))
        self._held.end()
        pongs, self._pongs = self._pongs, {}
        for answer in pongs.values():
            answer(None)
        self._owner.link_closed(self, why)

    def pauseProducing(self) -> None:
        self._paused = True
        self._held.unsent(_BUDGET)

    def resumeProducing(self) -> None:
        self._paused = False
        self._held.unsent(0)
        self._pump()
        self._close_if_idle()

    stopProducing = pauseProducing

    # -- called by streams ------------------------------------------------------------------------------------

    def stream_write(self, stream_id: int, data: bytes | memoryview) -> int:
        """Queue bytes of a stream and return how many wait."""
        self._session.write(stream_id, data)
        self._schedule_pump()
        return self._session.queued(stream_id)

    def stream_finish(self, stream_id: int) -> None:
        """End our direction of a stream."""
        self._session.finish(stream_id)
        self._schedule_pump()

    def stream_reset(self, stream_id: int) -> None:
        """Give a stream up."""
        self._session.reset(stream_id)
        self._forget(stream_id)
        self._schedule_pump()

    def stream_consumed(self, stream_id: int, count: int) -> None:
        """Give credit back."""
        self._session.consumed(stream_id, count, self._clock.seconds())
        if not self._pumping and self._session.has_output:
            self._schedule_pump()

    def stream_settled(self, stream_id: int) -> None:
        """Let go of a stream that has ended both ways, once its last frame is out."""
        self._sweep(stream_id)
        if self._closing or self.went_away:
            self._schedule_pump()

    # -- hello ------------------------------------------------------------------------------------------------

    def _greet(self) -> None:
        if self.terms.dialler:
            self._send([encode_hello(self.terms, self._limits.streams)])

    def _greeted(self, box: Box) -> None:
        streams, self.elders_lost = check_hello(self.terms, box)
        self._held.begin()
        if not self.terms.dialler:
            self._send([encode_hello(self.terms, self._limits.streams)])
        self.turns = StreamTurns(min(streams, self._limits.streams))
        self.established = True
        self.steps.proved_ns = self._now_ns()
        self.since = self._used = self._silence.heard
        self._restart_timer()
        transport: Any = self.transport
        transport.registerProducer(self, True)
        self._owner.link_established(self)

    def _reject(self, error: P2PError) -> None:
        self._tell("{local}: link with {remote} aborted: {reason}", reason=str(error))
        self.abort(str(error))

    def _tell(self, text: str, **fields: Any) -> None:
        whose = self.remote if self.steps.secured_ns or self.established else STRANGERS
        self._gate.warn(self._log, whose, text, local=self.local, remote=self.remote, **fields)

    def _too_late(self) -> None:
        self._timer = None
        self._reject(ProtocolViolation(f"no hello within {self._limits.handshake_s:g} s"))

    # -- session ----------------------------------------------------------------------------------------------

    def _dispatch(self, events: list[Event]) -> None:
        for event in events:
            if self.failure is not None:
                return
            if isinstance(event, DataReceived):
                if not self._pinged and len(event.data) > 4096:
                    self._pinged = True  # bulk comes: the window grows by the measured round trip
                    self._session.ping(self._silence.heard)
                    info = self.tcp_info()
                    if info is not None and info.least_rtt_us is not None:
                        self._session.way = info.least_rtt_us / 1e6
                if (stream := self._streams.get(event.stream_id)) is not None:
                    stream.link_data(event.data)
            elif isinstance(event, StreamOpened):
                if event.stream_id in self._streams:  # the session is done with it, its reader here isn't
                    raise ProtocolViolation(f"stream {event.stream_id} opened twice")
                self._used = self._silence.heard
                self._conduct.opened()
                try:
                    self._owner.link_stream(self, self._begun(event.stream_id))
                except TooManyStreams as full:
                    self._tell_refusal(str(full))
            elif isinstance(event, StreamEnded):
                if (ended := self._streams.get(event.stream_id)) is not None:
                    ended.link_end()
            elif isinstance(event, StreamReset):
                if (event.stream_id % 2 == 0) == self.terms.dialler:  # it had opened this stream itself
                    self._conduct.broke(event.stream_id)
                self._lose(event.stream_id, ExchangeFailed(Outcome.RESET, f"{self.remote} reset the exchange"))
            elif isinstance(event, StreamRefused):
                self._tell_refusal(f"{self._limits.streams} are open or the link is closing")
            elif isinstance(event, Ponged):
                if (answer := self._pongs.pop(event.token, None)) is not None:
                    answer(event.round_trip)
            elif isinstance(event, WentAway):
                self.went_away = True
                for stream_id in self._session.untaken():
                    self._session.reset(stream_id)
                    self._lose(stream_id, NotTaken(Outcome.RESET, f"{self.remote} closed the link"))

    def _lose(self, stream_id: int, failure: ExchangeFailed) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._forget(stream_id)
            stream.link_lost(failure)

    def _tell_refusal(self, why: str) -> None:
        """Say that a stream was refused, which counts as one that comes to nothing."""
        self._tell("{local}: refused a stream of {remote}: {why}", why=why)
        self._conduct.refused()

    def refused(self, stream_id: int) -> None:
        """Be told that an exchange of the other end was refused."""
        self._conduct.refused(stream_id if stream_id in self._streams else None)

    def _read(self, on: bool) -> None:
        (self._below.resumeProducing if on else self._below.pauseProducing)()

    def _begun(self, stream_id: int) -> Stream:
        window = max(self._limits.window_bytes - INITIAL_WINDOW, 0)
        try:
            stream = self._streams[stream_id] = Stream(self, stream_id, self._held.stream(stream_id), window)
        except Full as full:
            self._session.reset(stream_id)
            raise TooManyStreams(str(full)) from full
        return stream

    def _give_way(self, stream_id: int, reason: str) -> None:
        self._tell("{local}: a stream of {remote} was reset: {reason}", reason=reason)
        self._session.reset(stream_id)
        self._lose(stream_id, ExchangeFailed(Outcome.RESET, reason))
        self._schedule_pump()

    def _schedule_pump(self) -> None:
        if self._wake is None and not self._pumping and not self._paused and not self._gone:
            self._wake = self._clock.callLater(0, self._woken)

    def _woken(self) -> None:
        self._wake = None
        try:
            self._pump()
            self._close_if_idle()
        except Exception:  # noqa: BLE001 - a fault of ours: as after one in dataReceived, the link mustn't go silent
            text = "{local}: link with {remote} failed"
            self._gate.failure(self._log, self.remote, text, Failure(), local=self.local, remote=self.remote)
            self.abort("an internal error; the log has the details")

    def _pump(self) -> None:
        """Write frames until the session has none or the transport is full."""
        if self._pumping or not self.established:
            return
        self._pumping = True
        try:
            until = self.sent_bytes + _TURN
            while not (self._paused or self._gone or self.failure) and self._session.has_output:
                if self.sent_bytes >= until:
                    self._wake = self._wake or self._clock.callLater(0, self._woken)
                    return
                buffers, served = self._session.take(_BUDGET)
                if buffers:
                    self._send(buffers)
                for stream_id in served:
                    stream = self._streams.get(stream_id)
                    if stream is not None:
                        stream.link_drained(self._session.queued(stream_id))
                        self._sweep(stream_id)
        finally:
            self._pumping = False

    def _send(self, buffers: list[bytes | memoryview]) -> None:
        self.sent_bytes += sum(map(len, buffers))
        transport: Any = self.transport
        if self.terms.plain and not isinstance(transport, WideSocket):
            transport.write(b"".join(buffers))  # Twisted's own takes nothing but bytes
        else:
            transport.writeSequence(buffers)

    def _sweep(self, stream_id: int) -> None:
        if not self._session.is_open(stream_id):
            stream = self._streams.get(stream_id)
            if stream is not None and not stream.alive:
                self._forget(stream_id)
                stream.link_settled()

    def _forget(self, stream_id: int) -> None:
        self._streams.pop(stream_id, None)
        self._conduct.forget(stream_id)
        self._used = self._clock.seconds()

    # -- time -------------------------------------------------------------------------------------------------

    def _restart_timer(self) -> None:
        """Look when the first deadline may have passed: later for all that comes until then, never sooner."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        now = self._clock.seconds()
        due = min(self._silence.ping_at, self._silence.over_at)
        if not self._closing:
            due = min(due, (now if self._streams else self._used) + self._limits.idle_s)
        self._timer = self._clock.callLater(max(due - now, 0.0), self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        if now >= self._silence.over_at:
            self._reject(P2PError(f"{self.remote} {self._silence.reason}"))
            return
        if not self._streams and now >= self._used + self._limits.idle_s:
            self.close()
        if now >= self._silence.ping_at:
            self._silence.pinged(now)
            self._session.ping(now)
            self._schedule_pump()
        if not self._gone:
            self._restart_timer()

    def _close_if_idle(self) -> None:
        leaving = self._closing or self.went_away
        if not leaving or self._gone or self.failure is not None or self._streams or not self.established:
            return
        transport: Any = self.transport
        if self._last_call is None:
            # A peer that doesn't read, or doesn't close its side, keeps no socket of ours open.
            self._last_call = self._clock.callLater(self._limits.handshake_s, self._cut)
        if not self._session.has_output:
            self.failure = CLOSED
            self._closing = True
            transport.unregisterProducer()
            transport.loseConnection()

    def _cut(self) -> None:
        self._last_call = None
        self.abort(f"{self.remote} didn't close the link in time")
