"""What other machines can provoke in the log: each of them gets so many lines, and the others are counted.

Whoever writes a line that another machine can cause as often as it likes, writes it through a :class:`LogGate`. So a
log grows by what happens, not by how often somebody makes it happen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel, formatEvent
from twisted.python.failure import Failure

from p2p.base.texts import printable

__all__ = ["STRANGERS", "LogGate"]

LINES: Final = 20
"""Lines of one kind that one other machine gets in a period; what comes beyond is counted."""

PERIOD_S: Final = 60.0
"""Seconds after which what was counted is told in one line, and the next lines pass again."""

KINDS: Final = 4096
"""Kinds of lines by their machines that are told apart; those that come when so many are, are counted together."""

STRANGERS: Final = "strangers"
"""Whoever hasn't shown a certificate: they count together, because there is no end of addresses."""

_OTHERS: Final = "others"

_log = Logger()


@dataclass(slots=True)
class _Period:
    """One kind of line of one machine.

    :ivar end: when it is over.
    :ivar passed: how many lines were let through.
    :ivar last: the last one that wasn't, and how many there were.
    """

    level: LogLevel
    end: float
    passed: int = 0
    counted: int = 0
    last: dict[str, Any] = field(default_factory=dict)


class LogGate:
    """Lets the first lines of each kind through, and counts the rest: "and 71,999 more from n3.n".

    A kind is a format, and whose doing it is: who floods the log hides nobody else's lines, and no other lines of
    its own. One gate serves a whole daemon.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._periods: dict[tuple[str, str], _Period] = {}  # in the order in which they end
        self._timer: IDelayedCall | None = None

    def info(self, log: Logger, whose: str, text: str, **fields: Any) -> None:
        """Tell that something happened.

        :param whose: the name in the certificate of the machine that caused it, or :data:`STRANGERS`.
        :param text: the format, which tells kinds apart, so it must be the code's own.
        """
        self._tell(log.info, LogLevel.info, whose, text, fields)

    def warn(self, log: Logger, whose: str, text: str, **fields: Any) -> None:
        """Tell that something is wrong."""
        self._tell(log.warn, LogLevel.warn, whose, text, fields)

    def failure(self, log: Logger, whose: str, text: str, failure: Failure, **fields: Any) -> None:
        """Tell of a fault of ours that another machine met."""

        def say(text: str, **fields: Any) -> None:
            log.failure(text, failure, **fields)

        self._tell(say, LogLevel.critical, whose, text, fields)

    def close(self) -> None:
        """Tell what was counted so far, and leave no timer behind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for whose, text in list(self._periods):
            self._end(whose, text)

    def _tell(self, say: Callable[..., None], level: LogLevel, whose: str, text: str, fields: dict[str, Any]) -> None:
        now = self._clock.seconds()
        self._look(now)
        key = (whose, text)
        if key not in self._periods and len(self._periods) >= KINDS:
            key = (_OTHERS, "")
        period = self._periods.get(key)
        if period is None:
            period = self._periods[key] = _Period(level, now + PERIOD_S)
        if period.passed < LINES:
            period.passed += 1
            say(text, **fields)
            return
        period.counted += 1
        period.last = {"log_format": text, **fields}
        if self._timer is None:
            self._timer = self._clock.callLater(period.end - now, self._woken)

    def _woken(self) -> None:
        self._timer = None
        self._look(self._clock.seconds())
        due = next((one.end for one in self._periods.values() if one.counted), None)
        if due is not None:
            self._timer = self._clock.callLater(max(due - self._clock.seconds(), 0.0), self._woken)

    def _look(self, now: float) -> None:
        """End the periods that are over."""
        while self._periods:
            (whose, text), period = next(iter(self._periods.items()))
            if period.end > now:
                return
            self._end(whose, text)

    def _end(self, whose: str, text: str) -> None:
        period = self._periods.pop((whose, text))
        if period.counted:
            _log.emit(
                period.level,
                "and {count:,} more from {whose} within a minute, the last: {last}",
                count=period.counted,
                whose=whose,
                last=printable(formatEvent(period.last)),
            )
