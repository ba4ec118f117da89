"""Reads one message from a stream, and sees to it that something moves there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2p.base.errors import ExchangeFailed, Outcome, ProtocolViolation
from p2p.exchange.message import Body, Head, MessageDecoder
from p2p.link.boxes import Box
from p2p.link.flow import Stream

__all__ = ["MessageReceiver", "Watch"]


class Watch:
    """Tells when nothing has moved for too long, to within a quarter of the time."""

    def __init__(self, clock: IReactorTime, silence_s: float, progress: Callable[[], int], expired: Callable[[], None]):
        self._clock = clock
        self._silence_s = silence_s
        self._progress = progress
        self._expired = expired
        self._seen = progress()
        self._moved = clock.seconds()
        self._call: IDelayedCall | None = clock.callLater(silence_s / 4, self._look)

    def stop(self) -> None:
        """Watch no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = None
        now, seen = self._clock.seconds(), self._progress()
        if seen != self._seen:
            self._seen, self._moved = seen, now
        elif now - self._moved >= self._silence_s:
            self._expired()
            return
        self._call = self._clock.callLater(self._silence_s / 4, self._look)


class MessageReceiver(ABC):
    """Decodes one message from a stream; what breaks it ends this stream only.

    It watches the stream until both directions have ended, because a side that never ends its own would keep it open.
    """

    def __init__(self, stream: Stream, limit: int, clock: IReactorTime, silence_s: float) -> None:
        self.stream = stream
        self._decoder = MessageDecoder(limit)
        self._clock = clock
        self._silence_s = silence_s
        self._watch = Watch(clock, silence_s, lambda: stream.sent + stream.received, self._silent)

    def data_received(self, data: memoryview) -> None:
        try:
            for event in self._decoder.feed(data):
                if isinstance(event, Body):
                    self.on_body(event.data)
                elif isinstance(event, Head):
                    self.on_head(event.box)
                else:
                    self.on_tail(event.box)
                    self.stream.resumeProducing()  # whoever paused it is done; its end is still to come
        except ProtocolViolation as error:
            self.give_up(ExchangeFailed(Outcome.CORRUPT, f"what the other side sends makes no sense: {error}"))

    def ended(self) -> None:
        if not self._decoder.complete:
            self.give_up(ExchangeFailed(Outcome.TRUNCATED, "the message ended before its tail"))

    def settled(self) -> None:
        self._watch.stop()

    def lost(self, failure: ExchangeFailed) -> None:
        self._watch.stop()
        self.broken(failure)

    def give_up(self, failure: ExchangeFailed) -> None:
        """Reset the stream."""
        self._watch.stop()
        self.stream.reset()
        self.broken(failure)

    def _silent(self) -> None:
        self.give_up(ExchangeFailed(Outcome.TIMEOUT, f"nothing moved for {self._silence_s:g} s"))

    @abstractmethod
    def on_head(self, box: Box) -> None:
        """The message begins."""

    @abstractmethod
    def on_body(self, data: memoryview) -> None:
        """Some bytes of the body came."""

    @abstractmethod
    def on_tail(self, box: Box) -> None:
        """The message is complete."""

    @abstractmethod
    def broken(self, failure: ExchangeFailed) -> None:
        """The message won't be completed."""
