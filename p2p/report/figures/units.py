"""The labels of axes, in units that suit them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["bytes_", "durations", "plain", "rates", "seconds", "shares"]

_TIMES: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BYTES: Final = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def seconds(ticks: Sequence[float]) -> list[str]:
    """Write times in one unit: ``0``, ``5 ms``, ``10 ms``."""
    return _written(ticks, _TIMES)


def durations(ticks: Sequence[float]) -> list[str]:
    """Write long times in one unit: ``30 s``, ``10 min``, ``2 h``."""
    most = max((abs(tick) for tick in ticks), default=0.0)
    factor, unit = next(one for one in ((3600.0, "h"), (60.0, "min"), (0.0, "s")) if most >= 2 * one[0])
    return ["0" if not tick else f"{_number(tick / (factor or 1.0))} {unit}" for tick in ticks]


def rates(ticks: Sequence[float]) -> list[str]:
    """Write bytes per second in one unit."""
    return [f"{text}/s" if text != "0" else text for text in _written(ticks, _BYTES)]


def bytes_(ticks: Sequence[float]) -> list[str]:
    """Write bytes in one unit."""
    return _written(ticks, _BYTES)


def shares(ticks: Sequence[float]) -> list[str]:
    """Write shares in percent."""
    return ["0" if not tick else f"{_number(tick * 100)} %" for tick in ticks]


def plain(ticks: Sequence[float]) -> list[str]:
    """Write numbers, their thousands apart."""
    return [_number(tick) for tick in ticks]


def _written(ticks: Sequence[float], units: Sequence[tuple[float, str]]) -> list[str]:
    most = max((abs(tick) for tick in ticks), default=0.0)
    factor, unit = next(((factor, unit) for factor, unit in units if most >= 0.9995 * factor), units[-1])
    return ["0" if not tick else f"{_number(tick / factor)} {unit}" for tick in ticks]


def _number(value: float) -> str:
    rounded = float(f"{value:.6g}")
    return f"{rounded:,.0f}" if rounded == round(rounded) else f"{rounded:,.6g}"
