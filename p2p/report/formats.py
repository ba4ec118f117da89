"""Numbers and units as the report writes them. Pure.

Figures have three significant digits: what is measured here isn't known any better. Sizes of content are powers of
1024, as plans name them; rates and memory are powers of 1000, as networks name them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, Protocol

__all__ = [
    "NOTHING",
    "Measured",
    "bytes_",
    "count",
    "counted",
    "cut",
    "cut_words",
    "day",
    "interval",
    "listed",
    "number",
    "ordinal",
    "percent",
    "probability",
    "rate",
    "ratio",
    "seconds",
    "shown",
    "size",
    "spread",
    "times",
    "tiny",
]

NOTHING: Final = "\u2013"
"""What stands where there is no figure."""

_TIME_UNITS: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_DECIMAL: Final = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
_BINARY: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_DAY: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)")


class Measured(Protocol):
    """A median with its interval: ``p2p.measure.estimates.Estimate``."""

    @property
    def median(self) -> float | None:
        """None if there are no values."""

    @property
    def low(self) -> float | None:
        """None, as ``high``, if there is no interval."""

    @property
    def high(self) -> float | None:
        """The upper end."""


class Counted(Protocol):
    """A share with its 95 % interval, None where there is none."""

    @property
    def count(self) -> int:
        """How many there are."""

    @property
    def low(self) -> float | None:
        """The interval's lower end."""

    @property
    def high(self) -> float | None:
        """The interval's upper end."""


def number(value: float) -> str:
    """Write a figure with three significant digits, and never in powers of ten; exact whole numbers as they are."""
    if not math.isfinite(value):
        return NOTHING
    whole = round(value)
    if abs(value) >= 99.95 or math.isclose(value, whole, rel_tol=1e-12):
        return count(whole)
    digits = 1 if abs(value) >= 9.995 else 2
    while abs(value) < 0.9995 * 10 ** (2 - digits) and digits < 6:
        digits += 1
    return f"{value:.{digits}f}"


def count(value: int) -> str:
    """Write a whole number with its thousands apart: ``24,060``."""
    return f"{value:,}"


def counted(value: int, what: str, many: str = "") -> str:
    """Write how many there are of something: ``1 block``, ``24 blocks``."""
    return f"{count(value)} {what if value == 1 else many or what + 's'}"


def listed(names: Sequence[str], last: str = "and") -> str:
    """List names in a sentence: ``text, audio and video``."""
    return f" {last} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def seconds(value: float | None) -> str:
    """Write a time in the unit that suits it: ``22.2 ns``, ``1.23 ms``."""
    return _scaled((value,), _TIME_UNITS)[0]


def bytes_(value: float | None) -> str:
    """Write bytes by powers of 1000: ``148 MB``."""
    return _scaled((value,), _DECIMAL)[0]


def rate(value: float | None) -> str:
    """Write bytes per second: ``1.81 GB/s``."""
    return NOTHING if value is None else f"{bytes_(value)}/s"


def size(value: int) -> str:
    """Write the size of a content as a plan does: ``64 KiB``; exact, or in bytes."""
    for factor, unit in _BINARY:
        if value >= factor and value % factor == 0:
            return f"{value // factor:,} {unit}"
    return f"{value:,} B"


def spread(measured: Measured | None, unit: str) -> str:
    """Write a median with its interval, all in one unit: ``1.23 ms (1.20 to 1.31)``.

    :param unit: ``s``, ``ns`` or ``µs`` of a time, ``B/s`` of a rate; in what the values come. Empty for a bare
        number.
    """
    if measured is None or measured.median is None:
        return NOTHING
    if not unit:
        within = "" if measured.low is None else f" ({interval(measured.low, measured.high)})"
        return f"{ratio(measured.median)}{within}"
    values: tuple[float | None, ...] = (measured.median, measured.low, measured.high)
    if unit == "B/s":
        units = tuple((factor, f"{name}/s") for factor, name in _DECIMAL)
    else:
        factor_of = {name: factor for factor, name in _TIME_UNITS}[unit]
        values = tuple(None if value is None else value * factor_of for value in values)
        units = _TIME_UNITS
    median, low, high = _scaled(values, units)
    return median if measured.low is None else f"{median} ({_bare(low)} to {_bare(high)})"


def _bare(text: str) -> str:
    return text.rpartition(" ")[0]


def _scaled(values: Sequence[float | None], units: Sequence[tuple[float, str]]) -> list[str]:
    """Write values in the unit that suits the first of them."""
    first = abs(values[0] or 0.0)
    factor, unit = next(((factor, unit) for factor, unit in units if first >= 0.9995 * factor), units[-1])
    if first == 0:
        factor, unit = next(one for one in units if one[0] == 1.0)
    return [NOTHING if value is None else f"{number(value / factor)} {unit}" for value in values]


def interval(low: float | None, high: float | None) -> str:
    """Write an interval of ratios: ``0.990 to 1.020``."""
    return NOTHING if low is None or high is None else f"{ratio(low)} to {ratio(high)}"


def ratio(value: float) -> str:
    """Write a ratio: three decimals near 1, which is finer than any margin, else three digits."""
    return f"{value:.3f}" if 0.1 <= abs(value) < 1.9995 else number(value)


def percent(share: float | None) -> str:
    """Write a share: ``0.012 %``."""
    return NOTHING if share is None else f"{number(share * 100)} %"


def share_interval(share: Counted) -> str:
    """Write the 95 % interval of a share; that of none has one side."""
    if share.low is None or share.high is None:
        return NOTHING
    if not share.count:
        return f"≤ {percent(share.high)}"
    return f"{percent(share.low)} to {percent(share.high)}"


def probability(value: float | None) -> str:
    """Write the p of a test: ``0.031``, ``< 0.001``."""
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def ordinal(value: int) -> str:
    """Write a small ordinal number: ``fourth``."""
    names = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
    return names[value - 1] if 0 < value <= len(names) else f"{value}th"


def tiny(share: float) -> str:
    """Write a share that may be next to nothing: ``< 0.01 %``."""
    return "< 0.01 %" if 0 <= share < 0.0001 else percent(share)


def times(ratio: float) -> str:
    """Write a factor: ``12.1 times``."""
    return f"{number(ratio)} times"


def day(moment: str) -> str:
    """Write a time of day, ISO 8601 in UTC, as ``2026-11-23, 04:47 UTC``; empty if it is none."""
    found = _DAY.match(moment)
    return f"{found[1]}-{found[2]}-{found[3]}, {found[4]}:{found[5]} UTC" if found else ""


def cut(text: str, limit: int = 160) -> str:
    """Cut a text off, so that its length is at most the limit."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def cut_words(text: str, limit: int) -> str:
    """Cut every word off that is longer than the limit, and would run out of its column."""
    return re.sub(rf"(\S{{{limit - 1}}})\S{{2,}}", r"\1…", text)


def shown(text: str, *, lines: bool = False) -> str:
    """Escape what could hide itself or steer a reader: control characters, changes of direction, lone surrogates.

    :param lines: leave line feeds as they are.
    """
    return "".join(
        one if one.isprintable() or one == "\u00a0" or (lines and one == "\n") else _escaped(one) for one in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
