"""The control channel: AMP over TLS with deadlines, keep-alive, and limits on what the other end may cost.

AMP itself waits for an answer for ever, takes boxes of any size, and keeps what the other end doesn't read. Here
every question has a deadline, silence ends the connection, and a box, a text and the unsent bytes have a limit.
Boxes are parsed by Twisted's ``AMP``; questions and answers are matched here. One timer serves a whole channel.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, ClassVar

from OpenSSL import SSL
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure
from zope.interface import implementer

from p2p.base.errors import IdentityError, Outcome, P2PError, ProtocolViolation
from p2p.base.log_gate import STRANGERS, LogGate
from p2p.base.silence import Silence
from p2p.base.texts import TEXT_CHARACTERS, address_text, printable
from p2p.base.waiters import Waiters
from p2p.control.backlog import Backlog
from p2p.control.commands import Farewell, Ping
from p2p.control.questions import Question, Questions
from p2p.identity.tls import CONTROL_ALPN, connection_failure, remote_name, require_believed

__all__ = ["BACKLOG_BYTES", "BOX_KEYS", "Channel", "ControlLost", "ControlTimeout", "reason_of"]

FAREWELL_S = 2.0
"""Seconds that an end which isn't let in has to read why, before it is cut off."""

BACKLOG_BYTES = 1 << 20
"""Bytes that wait for an end that doesn't read, beyond the transport's own 64 KiB, before it is cut off."""

BOX_KEYS = 16
"""Keys in one box; the largest command of the schema has 10. At 65,535 bytes a value, a box is about 1 MiB at most."""

_TICK_S = 0.1
"""Seconds between two looks at the deadlines at least, because one look goes through all questions."""

log = Logger()


class ControlLost(P2PError):
    """The control channel ended, or was never open, so a question on it gets no answer."""

    outcome: ClassVar[Outcome] = Outcome.CLUSTER_UNREACHABLE


class ControlTimeout(P2PError):
    """No answer came within the deadline; one that comes later is dropped."""

    outcome: ClassVar[Outcome] = Outcome.TIMEOUT


def reason_of(failure: Failure) -> str:
    """Say in one line why a connection ended or couldn't be made."""
    return printable(connection_failure(failure))


class _State(Enum):
    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSING = "closing"
    ENDED = "ended"


@implementer(IHandshakeListener)
class Channel(amp.AMP):
    """One end of a control connection: the protocol above the TLS layer.

    Until the TLS handshake has shown who the other end is, nothing is answered and nothing can be asked.

    :param clock: the reactor, or a fake of its clock.
    :param silence_s: seconds without a byte from the other end after which it is cut off; it is pinged after a third.
    :param call_s: seconds that a question waits for its answer, and that a polite close may take.
    :param handshake_s: seconds from the TCP connection to the end of the TLS handshake.
    :param locator: the responders for the other end; :meth:`authenticated` may set another.
    :param backlog_bytes: how much may wait for an end that doesn't read.
    :param gate: what the other end can provoke in the log passes here; one of its own if left out.
    :ivar remote_name: the name in the verified certificate of the other end; empty before the handshake is done.
    :ivar farewell: why the other end ends the connection, as it has said itself; empty if it hasn't.
    """

    remote_name = ""
    transport: Any

    def __init__(
        self,
        clock: IReactorTime,
        *,
        silence_s: float,
        call_s: float,
        handshake_s: float,
        locator: amp.CommandLocator | None = None,
        backlog_bytes: int = BACKLOG_BYTES,
        gate: LogGate | None = None,
    ) -> None:
        # Without any responder of its own: AMP itself would answer StartTLS.
        amp.AMP.__init__(self, locator=locator or amp.CommandLocator())
        self._clock = clock
        self._silence_s = silence_s
        self._call_s = call_s
        self._handshake_s = handshake_s
        self._backlog = Backlog(backlog_bytes)
        self._gate = gate or LogGate(clock)
        self._held: IDelayedCall | None = None
        self._state = _State.HANDSHAKE
        self._questions = Questions()
        self._keys: set[bytes] = set()  # of the box that is being read
        self._ended: Waiters[None] = Waiters()
        self._silence = Silence(silence_s, clock.seconds())
        self._expected: tuple[float, str] | None = None
        self._end_reason = self.farewell = ""
        self._timer: IDelayedCall | None = None
        self._wake = math.inf

    # What the users of a channel override and call

    def authenticated(self) -> None:
        """Be told that the other end is known; the place to choose :attr:`locator`.

        :raises IdentityError: to refuse it, which is logged and cuts the connection off.
        """

    def pinged(self) -> amp.AmpBox:
        """Return the answer to a Ping."""
        return amp.AmpBox()

    def closed(self, reason: Failure) -> None:
        """Be told that the connection ended; the questions that wait fail after this."""

    @property
    def is_open(self) -> bool:
        """Whether questions can be asked now."""
        return self._state is _State.OPEN

    @property
    def end_reason(self) -> str:
        """Why the connection ended, empty while it hasn't."""
        return self._end_reason

    @property
    def who(self) -> str:
        """The other end, for logs: its name, if it is known, and its address."""
        where = "nowhere" if self.transport is None else address_text(self.transport.getPeer())
        return f"{self.remote_name} at {where}" if self.remote_name else where

    def tell(self, text: str, **fields: Any) -> None:
        """Warn of something that the other end did, which ``{who}`` in the text names."""
        self._gate.warn(log, self.remote_name or STRANGERS, text, who=self.who, **fields)

    def when_ended(self) -> Deferred[None]:
        """Fire when the connection has ended, after :meth:`closed`; each who waits may give up alone."""
        return self._ended.wait()

    async def call(
        self, command: type[amp.Command], *, deadline: float | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """Ask the other end and wait for its answer.

        :param deadline: seconds to wait for it, kept to a tenth of a second; ``call_s`` if left out.
        :raises ControlError: one of those that the command declares.
        :raises ControlTimeout: if no answer comes in time.
        :raises ControlLost: if the channel isn't open, ends before the answer, or the answer can't be understood.
        """
        return await self.ask(command, deadline=deadline, **arguments)

    def ask(
        self, command: type[amp.Command], *, deadline: float | None = None, **arguments: Any
    ) -> Deferred[dict[str, Any]]:
        """Send a question at once and return the answer to come.

        This is :meth:`call` for several questions that leave together, before any of them is answered.
        """
        if self._state is not _State.OPEN:
            return fail(ControlLost(f"the control channel to {self.remote_name or 'the other end'} isn't open"))
        tag = self._send_question(command, command.makeArguments(arguments, self))
        wait = self._call_s if deadline is None else deadline
        expiry = self._clock.seconds() + wait
        answer: Deferred[dict[str, Any]] = Deferred()
        self._questions.add(tag, Question(answer, command, wait, expiry))
        if expiry < self._wake:
            self._wake_at(expiry)
        return answer

    def callRemote(self, commandType: type[amp.Command], *a: Any, **kw: Any) -> Deferred[dict[str, Any]]:
        """Ask as :meth:`ask` does, because Twisted's own way has no deadline."""
        return self.ask(commandType, **kw)

    def expect(self, what: str, seconds: float) -> None:
        """Cut the connection off unless :meth:`settled` is called in time; ``what`` names what is awaited."""
        self._expected = (self._clock.seconds() + seconds, f"{what} isn't done after {seconds:g} s")
        self._wake_at(self._expected[0])

    def settled(self) -> None:
        """Say that what was expected has come."""
        self._expected = None

    def slept(self, seconds: float) -> None:
        """This machine slept for so long: ping the other end at once, or cut it off if it has given up for certain."""
        if seconds >= self._silence_s:
            self.abort(f"this machine slept for {seconds:.0f} s")
        elif self._state is _State.OPEN:
            now = self._clock.seconds()
            self._silence.slept(seconds, now)
            self._wake_at(now)

    def doubted(self, answer_s: float) -> None:
        """This machine would go another way to the other end by now: cut it off unless that answers a ping soon."""
        if self._state is _State.OPEN:
            now = self._clock.seconds()
            self._silence.doubted(now, answer_s)
            self._wake_at(now)

    def close(self, deadline: float | None = None) -> None:
        """End the connection politely, and cut it off if that takes more than ``deadline`` seconds (``call_s``)."""
        if self._state is _State.HANDSHAKE:
            self._end("closed before the handshake was done")
            self.transport.abortConnection()
        elif self._state is _State.OPEN:
            self._state = _State.CLOSING
            self.expect("the polite close", self._call_s if deadline is None else deadline)
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def part(self, reason: str, deadline: float = FAREWELL_S) -> None:
        """Say why, then end the connection politely, within so many seconds."""
        if self._state is _State.OPEN:
            text = reason[:TEXT_CHARACTERS].encode("utf-8", "replace")
            self.sendBox(amp.AmpBox({amp.COMMAND: Farewell.commandName, b"reason": text}))
            self._end_reason = reason
        self.close(deadline)

    def hold(self, seconds: float) -> None:
        """Read nothing more for so long; what has been read is still dealt with."""
        if self._held is None and self._state is _State.OPEN:
            self.transport.pauseProducing()
            self._held = self._clock.callLater(seconds, self._go_on)

    def abort(self, reason: str) -> None:
        """Cut the connection off at once, and log why."""
        if self._state is not _State.ENDED:
            self.tell("control: cutting off {who}: {reason}", reason=reason)
            self._end(reason)
            self.transport.abortConnection()

    # What the transport calls

    def makeConnection(self, transport: Any) -> None:
        """Start without the two lines that Twisted logs for each AMP connection."""
        amp.BinaryBoxProtocol.makeConnection(self, transport)

    def connectionMade(self) -> None:
        """The TCP connection stands, and the TLS handshake has to follow soon."""
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:  # not every transport is TCP
            set_no_delay(True)  # a question must not wait for the acknowledgement of the one before it
        self._silence.heard = self._clock.seconds()
        self.expect("the TLS handshake", self._handshake_s)

    def handshakeCompleted(self) -> None:
        """See who the other end is, now that its certificate is verified."""
        if self._state is not _State.HANDSHAKE:
            return
        self.settled()
        try:
            if self.transport.negotiatedProtocol != CONTROL_ALPN:
                raise IdentityError(f"the other end doesn't speak {CONTROL_ALPN.decode()}")
            self.remote_name = remote_name(self.transport)
            self._state = _State.OPEN
            self.transport.registerProducer(self._backlog, True)
            require_believed(self.transport)
            self.authenticated()
        except IdentityError as error:
            if self._state is _State.OPEN:
                self.tell("control: refusing {who}: {reason}", reason=error)
                self.part(str(error))
            else:
                self.abort(str(error))

    def dataReceived(self, data: bytes) -> None:
        """Parse what came, and note that the other end is alive."""
        if self._state is not _State.ENDED:
            self._silence.heard = self._clock.seconds()
            amp.AMP.dataReceived(self, data)

    def sendBox(self, box: amp.AmpBox) -> None:
        """Write a box, unless too much waits already."""
        data = box.serialize()
        if self._backlog.add(len(data)):
            self.transport.write(data)
        else:
            self.abort(f"it doesn't read what is sent to it, {self._backlog.waiting} bytes by now")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say that the connection is gone, then fail everything that waits for an answer."""
        who, why = self.who, self._end_reason or self.farewell or reason_of(reason)
        if self._state is _State.HANDSHAKE and isinstance(reason.value, SSL.Error):
            self.tell("control: no TLS with {who}: {reason}", reason=why)
        self._end(why)
        try:
            self.closed(reason)
        finally:
            for question in self._questions.all():
                question.answer.errback(ControlLost(f"the control channel to {who} ended: {why}"))
            self.transport = None
            self._ended.settle(None)

    # What the parser of AMP calls

    def proto_key(self, string: bytes) -> str:
        """Take a key of a box: there may be so many, and each of them once."""
        if not string:
            self._keys.clear()
        elif string in self._keys:  # the rest of what arrived at once, 32 KiB, is the most that is still read
            self.abort(f"it broke the protocol: the key {printable(string)} stands twice in a box")
        elif len(self._keys) == BOX_KEYS:
            self.abort(f"it broke the protocol: a box of more than {BOX_KEYS} keys")
        else:
            self._keys.add(string)
        state: str = amp.AMP.proto_key(self, string)
        return state

    def lengthLimitExceeded(self, length: int) -> None:
        """See a key longer than AMP allows: whatever this is, it is no box."""
        self.abort(f"it broke the protocol: a key of {length} bytes")

    def ampBoxReceived(self, box: amp.AmpBox) -> None:
        """Take a whole box: a question, an answer or an error."""
        if self._state is _State.ENDED:
            return
        try:
            if self._state is _State.HANDSHAKE:
                raise ProtocolViolation("a box before the TLS handshake")
            if amp.ANSWER in box:
                self._answer_received(box)
            elif amp.ERROR in box:
                self._error_received(box)
            elif amp.COMMAND in box:
                self._question_received(box)
            else:
                raise ProtocolViolation("a box that is neither a question nor an answer")
        except ProtocolViolation as error:
            self.abort(f"it broke the protocol: {error}")

    # Questions to the other end

    def _send_question(self, command: type[amp.Command], box: amp.AmpBox) -> bytes:
        tag = self._questions.new_tag()
        box[amp.COMMAND] = command.commandName
        box[amp.ASK] = tag
        self.sendBox(box)
        return tag

    def _answer_received(self, box: amp.AmpBox) -> None:
        question = self._questions.take(box[amp.ANSWER])
        if question is None:
            return
        try:
            answer = question.command.parseResponse(box, self)
        except ProtocolViolation as error:
            self._misunderstood(question, f"an answer to {question.command.__name__} that doesn't fit: {error}")
        else:
            question.answer.callback(answer)

    def _error_received(self, box: amp.AmpBox) -> None:
        question = self._questions.take(box[amp.ERROR])
        if question is None:
            return
        code, text = box.get(amp.ERROR_CODE, b""), printable(box.get(amp.ERROR_DESCRIPTION, b""))
        declared: dict[bytes, type[Exception]] = {code: kind for kind, code in question.command.errors.items()}
        if code in declared:
            question.answer.errback(declared[code](text))
        else:
            shown = f"{printable(code)}: {text}"
            self._misunderstood(question, f"an undeclared error to {question.command.__name__}: {shown}")

    def _misunderstood(self, question: Question, what: str) -> None:
        """No answer to this question will come: cut the connection off, which fails it."""
        question.answer.errback(ControlLost(f"{self.who} sent {what}"))
        raise ProtocolViolation(what)

    # Questions from the other end

    def _question_received(self, box: amp.AmpBox) -> None:
        if self._state is not _State.OPEN:
            return
        name, tag = box[amp.COMMAND], box.get(amp.ASK)
        if name == Ping.commandName:
            self._reply(self.pinged(), tag)
            return
        if name == Farewell.commandName:
            self.farewell = f"{self.remote_name} said: {printable(box.get(b'reason', b''))}"
            return
        responder: Any = self.locator.locateResponder(name)
        if responder is None:
            self.tell("control: {who} isn't allowed to ask {command}", command=printable(name))
            self._reply_error(amp.UNHANDLED_ERROR_CODE, "this isn't answered here", tag)
            self.close()
            return
        try:
            answer = responder(box)
        except ProtocolViolation as error:
            raise ProtocolViolation(f"arguments that don't fit {printable(name)}: {error}") from error
        answer.addCallbacks(self._reply, self._failed, callbackArgs=(tag,), errbackArgs=(tag, name))
        answer.addErrback(self._failed, tag, name)

    def _reply(self, box: amp.AmpBox, tag: bytes | None) -> None:
        if tag is not None and self._state is _State.OPEN:
            box[amp.ANSWER] = tag
            self.sendBox(box)

    def _reply_error(self, code: bytes, text: str, tag: bytes | None) -> None:
        if tag is not None and self._state is _State.OPEN:
            box = amp.AmpBox()
            box[amp.ERROR] = tag
            box[amp.ERROR_CODE] = code
            box[amp.ERROR_DESCRIPTION] = text[:TEXT_CHARACTERS].encode("utf-8", "replace")
            self.sendBox(box)

    def _failed(self, failure: Failure, tag: bytes | None, name: bytes) -> None:
        """Answer with a declared error; log a fault of ours, and end the connection that met it."""
        error = failure.value
        if isinstance(error, amp.RemoteAmpError):
            self._reply_error(error.errorCode, error.description, tag)
            return
        text = "control: {command} from {who} failed"
        whose = self.remote_name or STRANGERS
        self._gate.failure(log, whose, text, failure, command=printable(name), who=self.who)
        self._reply_error(amp.UNKNOWN_ERROR_CODE, "internal error", tag)
        self.close()

    # Time

    def _end(self, reason: str) -> None:
        """Stop the clock of this channel; its questions fail when the transport has ended."""
        self._state = _State.ENDED
        self._end_reason = reason
        self._wake = -math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._held is not None:
            self._held.cancel()
            self._held = None

    def _go_on(self) -> None:
        self._held = None
        self.transport.resumeProducing()

    def _wake_at(self, when: float) -> None:
        """Look at the deadlines no later than ``when``."""
        if when >= self._wake:
            return
        self._wake = when
        delay = max(when - self._clock.seconds(), 0.0)
        if self._timer is None:
            self._timer = self._clock.callLater(delay, self._tick)
        else:
            self._timer.reset(delay)

    def _tick(self) -> None:
        self._timer, self._wake = None, math.inf
        now = self._clock.seconds()
        if self._expected is not None and now >= self._expected[0]:
            self.abort(self._expected[1])
            return
        if now >= self._silence.over_at:
            self.abort(f"it {self._silence.reason}")
            return
        for question in self._questions.expired(now):
            what = question.command.__name__
            question.answer.errback(ControlTimeout(f"{self.who} didn't answer {what} within {question.deadline:g} s"))
        if self._state is _State.OPEN and now >= self._silence.ping_at:
            self._silence.pinged(now)
            self._send_question(Ping, amp.AmpBox())  # nobody waits for the answer: that it comes is enough
        self._wake_at(max(self._next_due(), now + _TICK_S))

    def _next_due(self) -> float:
        due = min(self._silence.over_at, self._questions.next_expiry())
        if self._expected is not None:
            due = min(due, self._expected[0])
        return min(due, self._silence.ping_at) if self._state is _State.OPEN else due
