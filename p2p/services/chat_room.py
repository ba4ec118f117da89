"""Conversations, and the service ``chat``: two people exchange lines for as long as both want to.

Each side's lines are the body of an exchange of its own, so both sides do the same and it doesn't matter who began. The
body is AMP boxes: ``line`` with a line's text, or ``alive`` every few seconds in which nobody types. The reply tells by
boxes whether the lines are being read: ``state`` is ``waiting`` (again and again) or ``joined``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from p2p.base.errors import ExchangeFailed, InvalidRequest, Outcome, ProtocolViolation
from p2p.base.log_gate import LogGate
from p2p.exchange.exchange import MessageWriter, Request
from p2p.exchange.request import BaseSink
from p2p.exchange.service import Context, IContentService
from p2p.link.boxes import Box, BoxReader, encode_box, text_of
from p2p.link.flow import account_of

__all__ = ["CHAT", "LINE_BYTES", "ChatRoom", "Conversation", "Visitor", "chat"]

LINE_BYTES: Final = 32768
"""Bytes of a line; a longer one is refused where it is typed."""

ALIVE_S: Final = 5.0
"""Seconds after which each side shows that it is there."""

WAIT_S: Final = 600.0
"""Seconds for which lines wait for somebody to read them."""

HELD: Final = 64
"""Lines that are held for somebody who isn't there yet; the sender is paused at that."""

VISITORS: Final = 64
"""Conversations that wait for one peer at once."""

_BOX_BYTES: Final = LINE_BYTES + 64
_LINE_COST: Final = 256  # bytes of memory that a line takes besides its own; four a character at most aren't counted

Tell = Callable[[str, str], Awaitable[None] | None]
"""Is told of ``waiting``, ``joined``, ``line`` with its text, or ``left``; what it returns fires when there is room."""

_log = Logger()


class ChatRoom:
    """The conversations of one hosted peer.

    :param gate: what others can provoke in the log passes here; one of its own if left out.
    :ivar peer: its name.
    """

    def __init__(self, clock: IReactorTime, peer: str, gate: LogGate | None = None) -> None:
        self.clock = clock
        self.peer = peer
        self._gate = gate or LogGate(clock)
        self._conversations: dict[str, Conversation] = {}
        self._visitors: dict[str, Visitor] = {}

    def join(self, partner: str, tell: Tell) -> Conversation:
        """Begin this side of a conversation; who waits for it already is heard at once.

        :raises InvalidRequest: if there is one with this partner.
        """
        if partner in self._conversations:
            raise InvalidRequest(f"{self.peer} is in a chat with {partner} already; end that one first")
        conversation = self._conversations[partner] = Conversation(self.clock, partner, tell)
        visitor = self._visitors.pop(partner, None)
        if visitor is not None:
            conversation.hear(visitor)
        return conversation

    def leave(self, conversation: Conversation) -> None:
        """End this side; what the partner still says isn't taken."""
        del self._conversations[conversation.partner]
        conversation.hang_up(f"{self.peer} has left the chat")

    def conversation(self, partner: str) -> Conversation:
        """The conversation with a partner.

        :raises InvalidRequest: if there is none.
        """
        if partner not in self._conversations:
            raise InvalidRequest(f"{self.peer} is in no chat with {partner}; begin one with: p2p chat {partner}")
        return self._conversations[partner]

    @property
    def waiting(self) -> list[str]:
        """Who waits to be heard, the longest first."""
        return list(self._visitors)

    def arrived(self, visitor: Visitor) -> None:
        """Have the partner's lines read, or let them wait.

        :raises ExchangeFailed: with ``refused``, if the partner speaks twice, or too many wait.
        """
        conversation = self._conversations.get(visitor.sender)
        if visitor.sender in self._visitors or (conversation is not None and conversation.hears):
            raise ExchangeFailed(Outcome.REFUSED, f"{visitor.sender} is in a chat with {self.peer} already")
        if conversation is not None:
            conversation.hear(visitor)
            return
        if len(self._visitors) >= VISITORS:
            raise ExchangeFailed(Outcome.REFUSED, f"{VISITORS} peers wait for {self.peer} already; try again later")
        self._visitors[visitor.sender] = visitor
        visitor.wait(lambda: self._visitors.pop(visitor.sender, None))
        text = "{sender} wants to chat with {peer}; answer with: p2p chat {sender}"
        self._gate.info(_log, visitor.sender, text, sender=visitor.sender, peer=self.peer)


@implementer(IPushProducer)
class Conversation:
    """This side of a conversation: what is said here, and who is told what the partner says.

    It is the source of an exchange; :meth:`replies` makes the sink of its reply.

    :ivar left: fires when the partner has ended its side.
    :ivar broken_off: whether its lines ended without saying that they do.
    """

    def __init__(self, clock: IReactorTime, partner: str, tell: Tell) -> None:
        self.partner = partner
        self.left: Deferred[None] = Deferred()
        self.broken_off = False
        self._clock = clock
        self._tell = tell
        self._state = ""
        self._visitor: Visitor | None = None
        self._heard = False
        self._consumer: MessageWriter | None = None
        self._ended: Deferred[None] = Deferred()
        self._room: Deferred[None] | None = None
        self._early: deque[bytes] = deque()

    @property
    def hears(self) -> bool:
        """Whether the partner's lines come, or came."""
        return self._heard

    @property
    def joined(self) -> bool:
        """Whether somebody reads what is said here."""
        return self._state == "joined"

    # -- what is said here ------------------------------------------------------------------------------------

    async def say(self, line: str) -> None:
        """Send a line, when there is room for it.

        :raises InvalidRequest: if it is too long, is no Unicode, or this side was ended.
        """
        try:
            raw = line.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest("the line isn't Unicode; type it again") from error
        if len(raw) > LINE_BYTES:
            raise InvalidRequest(f"a line has at most {LINE_BYTES} bytes; send it as a file: p2p send")
        while self._room is not None:
            await self._room
        if self._ended.called:
            raise InvalidRequest("this side of the chat was ended")
        if self._consumer is None:
            self._early.append(encode_box({"line": raw}))
            if len(self._early) >= HELD:
                self._room = Deferred()
        else:
            self._consumer.write(encode_box({"line": raw}))

    def end(self) -> None:
        """Say no more."""
        if not self._ended.called:
            self._ended.callback(None)

    async def open(self) -> None:
        """Nobody knows how much will be said."""

    def close(self) -> None:
        """Nothing to let go of."""

    async def send(self, consumer: MessageWriter) -> Mapping[str, str | bytes]:
        """Write the lines as they are said, until the end of this side."""
        alive = LoopingCall(lambda: consumer.write(encode_box({"alive": ""})))
        alive.clock = self._clock
        consumer.registerProducer(self, True)
        self._consumer = consumer
        try:
            consumer.begin()
            while self._early:
                consumer.write(self._early.popleft())
            self._make_room()
            beating = alive.start(ALIVE_S, now=False)
            beating.addErrback(lambda failure: _log.failure("a chat can't show that it is there", failure))
            await self._ended
        finally:
            self._consumer = None
            if alive.running:
                alive.stop()
            consumer.unregisterProducer()
        return {}

    def pauseProducing(self) -> None:
        """The link is full."""
        if self._room is None:
            self._room = Deferred()

    def resumeProducing(self) -> None:
        """There is room again."""
        self._make_room()

    def stopProducing(self) -> None:
        """The stream is gone; whoever performs the exchange cancels the sending."""

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def replies(self) -> _States:
        """A sink of the exchange's reply."""
        return _States(self._told)

    def _told(self, state: str) -> None:
        if state in ("waiting", "joined") and state != self._state:
            self._state = state
            self._tell(state, "")

    # -- what the partner says --------------------------------------------------------------------------------

    def hear(self, visitor: Visitor) -> None:
        """Read the partner's lines."""
        self._visitor, self._heard = visitor, True
        visitor.join(lambda line: self._tell("line", line), self._partner_left)

    def _partner_left(self) -> None:
        if self._visitor is not None:
            self.broken_off = self._visitor.broken_off
        self._visitor = None
        self._tell("left", "")
        if not self.left.called:
            self.left.callback(None)

    def hang_up(self, reason: str) -> None:
        """Nobody is here any more."""
        self.end()
        self._make_room()
        visitor, self._visitor = self._visitor, None
        if visitor is not None:
            visitor.refuse(reason)


def _boxes(reader: BoxReader, data: bytes | memoryview) -> list[Box]:
    """The boxes that these bytes complete.

    :raises ExchangeFailed: with ``corrupt``, if they are none.
    """
    try:
        return reader.feed(data)
    except ProtocolViolation as error:
        raise ExchangeFailed(Outcome.CORRUPT, str(error)) from error


class _States(BaseSink):
    """Takes the reply, which says whether somebody reads."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self._boxes = BoxReader(_BOX_BYTES)
        self._told = told

    def write(self, data: bytes | memoryview) -> None:
        """Tell of each state."""
        for box in _boxes(self._boxes, data):
            self._told(_text(box, "state"))


@implementer(IConsumer)
class Visitor:
    """The partner's lines: held until somebody reads them, then passed on at the pace of the reader.

    :ivar sender: the partner.
    :ivar broken_off: whether they ended in the middle.
    """

    def __init__(self, clock: IReactorTime, sender: str, reply: MessageWriter, peer: str) -> None:
        self.sender = sender
        self.broken_off = False
        self._clock = clock
        self._reply = reply
        self._peer = peer
        self._boxes = BoxReader(_BOX_BYTES)
        self._lines: deque[str] = deque()
        self._size = 0
        self._held = account_of(None).bytes_held()
        self._producer: IPushProducer | None = None
        self._read: Callable[[str], Awaitable[None] | None] | None = None
        self._left: Callable[[], object] = lambda: None
        self._failure: ExchangeFailed | None = None
        self._passing = False
        self._all_said: Deferred[None] | None = None
        self._until = 0.0
        self._waiting = LoopingCall(self._wait_on)
        self._waiting.clock = clock

    def wait(self, gone: Callable[[], object]) -> None:
        """Let the lines wait; ``gone`` is called if they don't any more."""
        self._left = gone
        self._until = self._clock.seconds() + WAIT_S
        waiting = self._waiting.start(ALIVE_S, now=True)
        waiting.addErrback(lambda failure: _log.failure("a chat can't wait", failure))

    def join(self, read: Callable[[str], Awaitable[None] | None], left: Callable[[], None]) -> None:
        """Pass the lines on; ``left`` is called after the last."""
        self._stop_waiting()
        self._read, self._left = read, left
        self._reply.write(encode_box({"state": "joined"}))
        self._pass_on()

    def refuse(self, reason: str) -> None:
        """Take no more."""
        self._left = lambda: None
        self._fail(ExchangeFailed(Outcome.REFUSED, reason))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Get the stream to pause."""
        self._producer = producer
        self._held = account_of(producer).bytes_held()

    def unregisterProducer(self) -> None:
        """The partner has said everything."""
        self._producer = None

    def write(self, data: bytes | memoryview) -> None:
        """Take lines in."""
        if self._failure is not None:
            raise self._failure
        for box in _boxes(self._boxes, data):
            if "line" in box:
                self._lines.append(_text(box, "line"))
                self._count(len(box["line"]) + _LINE_COST)
        self._pass_on()
        if len(self._lines) >= HELD and self._producer is not None:
            self._producer.pauseProducing()

    async def complete(self, tail: Box) -> Mapping[str, str | bytes]:
        """Wait until all lines were read; it may be that nobody is there yet."""
        self._pass_on()
        if self._failure is None and (self._lines or self._read is None or self._passing):
            self._all_said = Deferred()
            await self._all_said
        if self._failure is not None:
            raise self._failure
        self._has_left()
        return {}

    def abandon(self) -> None:
        """The partner is gone in the middle."""
        self.broken_off = True
        self._lines.clear()
        self._count(-self._size)
        self._has_left()

    def _has_left(self) -> None:
        self._stop_waiting()
        left, self._left = self._left, lambda: None
        left()

    def _pass_on(self) -> None:
        """Pass lines on while the reader takes them."""
        if self._read is None or self._passing:
            return
        while self._lines:
            line = self._lines.popleft()
            self._count(-len(line.encode()) - _LINE_COST)
            room = self._read(line)
            if isinstance(room, Deferred) and not room.called:
                self._passing = True
                room.addCallback(self._go_on)
                return
        if self._producer is not None:
            self._producer.resumeProducing()
        if self._all_said is not None:
            said, self._all_said = self._all_said, None
            said.callback(None)

    def _count(self, more: int) -> None:
        """Count the lines that nobody has read."""
        self._size += more
        self._held.set(self._size)

    def _go_on(self, result: None) -> None:
        self._passing = False
        self._pass_on()

    def _wait_on(self) -> None:
        if self._clock.seconds() < self._until:
            self._reply.write(encode_box({"state": "waiting"}))
            return
        left, self._left = self._left, lambda: None
        left()
        minutes = round(WAIT_S / 60)
        reason = f"nobody at {self._peer} has answered for {minutes} minutes; there it would be: p2p chat {self.sender}"
        self._fail(ExchangeFailed(Outcome.TIMEOUT, reason))

    def _fail(self, failure: ExchangeFailed) -> None:
        """End it at the partner's next sign of life, which may have to be let through."""
        self._failure = failure
        self._stop_waiting()
        if self._producer is not None:
            self._producer.resumeProducing()
        if self._all_said is not None:
            said, self._all_said = self._all_said, None
            said.callback(None)

    def _stop_waiting(self) -> None:
        if self._waiting.running:
            self._waiting.stop()


def _text(box: Box, key: str) -> str:
    try:
        return text_of(box, key)
    except ProtocolViolation as error:
        raise ExchangeFailed(Outcome.CORRUPT, str(error)) from error


CHAT: Final = "chat"


@implementer(IContentService)
class _Chat:
    name = CHAT

    def receive(self, request: Request, reply: MessageWriter, context: Context) -> Visitor:
        visitor = Visitor(context.clock, request.sender, reply, context.peer)
        context.of(ChatRoom).arrived(visitor)
        return visitor


chat = _Chat()
