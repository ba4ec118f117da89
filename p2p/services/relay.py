"""The service ``relay``: two peers that can't link directly meet here, and what each sends goes to the other.

Each of the two asks over a direct link of its own, and says where it meets whom: ``meeting`` are 32 bytes that only
the two can know, ``other`` is the other's name. The names are those of certificates, and each must name the other. When
both are there, each gets a box with ``met`` as the first thing of its reply; what follows it is what the other sends,
ciphertext. A direction ends when its sender's request does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from p2p.base.errors import ExchangeFailed, InvalidName, Outcome, ProtocolViolation
from p2p.base.log_gate import LogGate
from p2p.base.names import parse_peer
from p2p.base.rates import Pace
from p2p.exchange.exchange import ReplyWriter, Request
from p2p.exchange.message_streams import Watch
from p2p.exchange.request import BaseSink
from p2p.exchange.rules import Offer, Rule
from p2p.exchange.service import Context, IContentService
from p2p.link.boxes import Box, encode_box, text_of
from p2p.link.pieces import owned

__all__ = ["MEETING_BYTES", "RELAY", "MeetingPoint", "RelayTerms", "relay"]

RELAY: Final = "relay"
"""The name of the service."""

MEETING_BYTES: Final = 32
"""Bytes of ``meeting``."""

MEET_S: Final = 6.0
"""Seconds for which who comes first waits for the other."""

HALF_S: Final = 30.0
"""Seconds without a byte after which two are parted of whom one has ended its direction."""

WAITING_EACH: Final = 8
"""Meetings at which one peer waits for others at once."""


@dataclass(frozen=True, slots=True)
class RelayTerms:
    """Who may use a relay, and how much.

    :ivar peers: patterns of names.
    :ivar pairs: meetings at once, those that wait for their second peer included.
    :ivar each: of them, those of one pair.
    :ivar rate: bytes a second in total; None for no limit.
    :ivar pair_rate: bytes a second of one meeting, both ways together; None for no limit.
    """

    peers: tuple[str, ...]
    pairs: int = 64
    each: int = 4
    rate: int | None = None
    pair_rate: int | None = None


class MeetingPoint:
    """The meetings at one hosted peer.

    :param terms: None if it is no relay.
    :ivar relayed: bytes that went from one peer to another.
    :ivar met: how many pairs have met.
    :ivar refused: how many requests were refused.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, peer: str, terms: RelayTerms | None, gate: LogGate | None = None) -> None:
        self.clock = clock
        self.peer = peer
        self.relayed = self.met = self.refused = 0
        self._terms = terms
        self._gate = gate or LogGate(clock)
        self._waiting: dict[bytes, _End] = {}
        self._joined: set[_Meeting] = set()
        rate = None if terms is None else terms.rate
        self._pace = None if rate is None else Pace(rate, clock.seconds())

    @property
    def is_relay(self) -> bool:
        """Whether it is one for anybody."""
        return self._terms is not None

    @property
    def waiting(self) -> int:
        """How many wait for their other peer."""
        return len(self._waiting)

    @property
    def joined(self) -> list[tuple[str, str]]:
        """The pairs whose streams are joined."""
        return [meeting.names for meeting in self._joined]

    def come(self, request: Request, reply: ReplyWriter) -> _End:
        """Take a peer in, and join it with the other if that is there.

        :raises ExchangeFailed: with ``refused``, if it may not meet whom it names, or not here, or not now.
        """
        try:
            return self._come(request, reply)
        except ExchangeFailed:
            self.refused += 1
            raise

    def close(self) -> None:
        """This peer stops: part everybody."""
        failure = ExchangeFailed(Outcome.RESET, f"{self.peer}, which relays, is stopping")
        for end in [*self._waiting.values(), *(meeting.ends[0] for meeting in self._joined)]:
            end.fail(failure)

    def _come(self, request: Request, reply: ReplyWriter) -> _End:
        terms, sender = self._terms, request.sender
        if terms is None:
            raise self._refusal("is no relay; its YAML file has no 'relay:'")
        if request.relayed_by:
            raise self._refusal(f"relays direct links only, and {request.relayed_by} relays this one")
        if not Rule(senders=terms.peers).meets(Offer(sender, RELAY), request.type):
            raise self._refusal(f"doesn't relay for {sender}; 'relay:' in its YAML file says for whom")
        meeting = request.more.get("meeting", b"")
        try:
            other = str(parse_peer(text_of(dict(_as_bytes(request.more)), "other")))
        except (InvalidName, ProtocolViolation) as error:
            raise self._refusal(f"can't tell whom {sender} means: {error}") from error
        if not isinstance(meeting, bytes) or len(meeting) != MEETING_BYTES or other == sender:
            raise self._refusal(f"can't tell where {sender} meets whom")
        first = self._waiting.get(meeting)
        if first is not None:
            if (first.name, first.other) != (other, sender):
                raise self._refusal(f"knows of no meeting of {sender} and {other} there")
            del self._waiting[meeting]
            end = _End(self, meeting, sender, other, reply)
            first.stop_waiting()
            joined = _Meeting(self, first, end, terms.pair_rate)
            self._joined.add(joined)
            return end
        self._check_room(terms, sender, other)
        end = self._waiting[meeting] = _End(self, meeting, sender, other, reply)
        end.wait()
        return end

    def _check_room(self, terms: RelayTerms, sender: str, other: str) -> None:
        pair = sorted((sender, other))
        if len(self._waiting) + len(self._joined) >= terms.pairs:
            raise self._refusal(f"relays for {terms.pairs} pairs already, its limit; try again later")
        of_pair = sum(sorted((end.name, end.other)) == pair for end in self._waiting.values())
        of_pair += sum(sorted(meeting.names) == pair for meeting in self._joined)
        if of_pair >= terms.each:
            raise self._refusal(f"relays {terms.each} links of {sender} and {other} already, its limit for a pair")
        if sum(end.name == sender for end in self._waiting.values()) >= WAITING_EACH:
            raise self._refusal(f"has {sender} wait for {WAITING_EACH} others already; try again later")

    def _refusal(self, why: str) -> ExchangeFailed:
        return ExchangeFailed(Outcome.REFUSED, f"{self.peer} {why}")

    # -- for ends and meetings --------------------------------------------------------------------------------

    def left(self, end: _End) -> None:
        """One doesn't wait any more."""
        if self._waiting.get(end.meeting) is end:
            del self._waiting[end.meeting]

    def begun(self, meeting: _Meeting) -> None:
        """Two have met."""
        self.met += 1
        one, other = meeting.names
        self._gate.info(self._log, one, "{peer}: relays for {one} and {other}", peer=self.peer, one=one, other=other)

    def parted(self, meeting: _Meeting) -> None:
        """Two have parted."""
        if meeting in self._joined:
            self._joined.discard(meeting)
            one, other = meeting.names
            text = "{peer}: relayed {bytes} bytes for {one} and {other}"
            self._gate.info(self._log, one, text, peer=self.peer, bytes=meeting.moved, one=one, other=other)

    def passed(self, size: int) -> float:
        """So many bytes go on; returns the seconds for which that was enough."""
        self.relayed += size
        return 0.0 if self._pace is None else self._pace.delay(size, self.clock.seconds())


class _Meeting:
    """Two that have met."""

    def __init__(self, point: MeetingPoint, first: _End, second: _End, rate: int | None) -> None:
        self.point = point
        self.ends = (first, second)
        self.names = (first.name, second.name)
        self.moved = 0
        self._pace = None if rate is None else Pace(rate, point.clock.seconds())
        self._half: Watch | None = None
        first.join(self, second)
        second.join(self, first)

    def begin(self) -> None:
        """Let the bytes flow, once both streams are there."""
        if all(end.producer is not None for end in self.ends):
            self.point.begun(self)
            for end in self.ends:
                end.begin()

    def passed(self, size: int) -> float:
        """So many bytes go on; returns the seconds for which that was enough."""
        self.moved += size
        mine = 0.0 if self._pace is None else self._pace.delay(size, self.point.clock.seconds())
        return max(mine, self.point.passed(size))

    def half_over(self) -> None:
        """A direction has ended; the other may go on, and has to."""
        if self._half is None and not all(end.over for end in self.ends):
            self._half = Watch(self.point.clock, HALF_S, lambda: self.moved, self._stuck)

    def end(self) -> None:
        """Both are gone."""
        if self._half is not None:
            self._half.stop()
        self.point.parted(self)

    def _stuck(self) -> None:
        self.ends[0].fail(ExchangeFailed(Outcome.TIMEOUT, f"nothing moved for {HALF_S:g} s after one end had ended"))


@implementer(IPushProducer)
class _End(BaseSink):
    """One of two: takes what its peer sends, and passes it on to the other."""

    def __init__(self, point: MeetingPoint, meeting: bytes, name: str, other: str, reply: ReplyWriter) -> None:
        self.meeting = meeting
        self.name = name
        self.other = other
        self.reply = reply
        self.producer: Any = None
        self.over = False  # its direction has ended, or everything has
        self._point = point
        self._joined: _Meeting | None = None
        self._partner: _End | None = None
        self._deadline: IDelayedCall | None = None
        self._rest: IDelayedCall | None = None
        self._full = False
        self._awaits = False  # the end of the other direction
        self._gone = False
        self._why = ExchangeFailed(Outcome.RESET, f"{name} is gone")
        self._ended: Deferred[None] = Deferred()  # the other direction

    def wait(self) -> None:
        """The other isn't there yet."""
        self._deadline = self._point.clock.callLater(MEET_S, self._in_vain)

    def stop_waiting(self) -> None:
        """It is, or won't be."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def join(self, meeting: _Meeting, partner: _End) -> None:
        """The other is there."""
        self._joined, self._partner = meeting, partner

    def begin(self) -> None:
        """Tell this end that both are there, and pass on what it sends."""
        assert self._partner is not None
        self.reply.keep_open()
        self.reply.write(encode_box({"met": self.other}))
        self._partner.reply.registerProducer(self, True)
        self._go_on()

    def fail(self, failure: ExchangeFailed) -> None:
        """Break it off, and with it the other end."""
        self._why = failure
        self.reply.fail(failure)
        self.abandon()

    # -- the request's body -----------------------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Get the stream to pause, as it is until both are there."""
        self.producer = producer
        producer.pauseProducing()
        if self._joined is not None:
            self._joined.begin()

    def write(self, data: bytes | memoryview) -> None:
        """Pass bytes on; rest if that is more than may go."""
        assert self._partner is not None and self._joined is not None
        self._partner.reply.write(owned(data))
        seconds = self._joined.passed(len(data))
        if seconds:
            self._hold()
            if self._rest is None:
                self._rest = self._point.clock.callLater(seconds, self._rested)

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """End this direction, and wait for the end of the other."""
        partner, joined = self._partner, self._joined
        if partner is None or joined is None:
            raise ExchangeFailed(Outcome.REFUSED, f"{self.name} left before {self.other} came")
        self.over = True
        partner.reply.unregisterProducer()
        partner.reply.end({"outcome": Outcome.OK.value})
        partner.partner_ended()
        joined.half_over()
        self._awaits = True
        await self._ended
        self._let_go()
        return {}

    def partner_ended(self) -> None:
        """The other sends nothing more."""
        if not self._ended.called:
            self._ended.callback(None)

    def abandon(self) -> None:
        """This end is gone, and so nothing is left to the other."""
        if self._gone:
            return
        self.over = True
        self._let_go()
        partner = self._partner
        if partner is not None and not partner._gone:
            partner.reply.unregisterProducer()
            partner.reply.fail(self._why)
            partner.abandon()
        if self._awaits and not self._ended.called:
            self._ended.errback(self._why)

    def _let_go(self) -> None:
        self._gone = True
        self.stop_waiting()
        self._point.left(self)
        if self._rest is not None and self._rest.active():
            self._rest.cancel()
        if self._joined is not None and (self._partner is None or self._partner._gone):
            self._joined.end()

    def _in_vain(self) -> None:
        self._deadline = None
        self.fail(ExchangeFailed(Outcome.TIMEOUT, f"{self.other} didn't come to {self._point.peer} in {MEET_S:g} s"))

    # -- the other's stream, which is full or isn't ------------------------------------------------------------

    def pauseProducing(self) -> None:
        """The other end doesn't take more."""
        self._full = True
        self._hold()

    def resumeProducing(self) -> None:
        """It does again."""
        self._full = False
        self._go_on()

    def stopProducing(self) -> None:
        """The other's stream is gone, as its end learns, too."""

    def _rested(self) -> None:
        self._rest = None
        self._go_on()

    def _hold(self) -> None:
        if not self.over:
            self.producer.pauseProducing()

    def _go_on(self) -> None:
        if not (self.over or self._full or self._rest is not None):
            self.producer.resumeProducing()


def _as_bytes(fields: Mapping[str, str | bytes]) -> Mapping[str, bytes]:
    return {key: value.encode() if isinstance(value, str) else value for key, value in fields.items()}


@implementer(IContentService)
class _Relay:
    name = RELAY

    def receive(self, request: Request, reply: ReplyWriter, context: Context) -> _End:
        return context.of(MeetingPoint).come(request, reply)


relay = _Relay()
