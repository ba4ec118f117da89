"""Values of options that people write with units: rates and lengths of time."""

from __future__ import annotations

import re
from typing import Final

import click

from p2p.base.sizes import parse_size

__all__ = ["duration_value", "parse_duration", "rate_value"]

_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*")

_UNITS: Final = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
"""Seconds."""

LONGEST_S: Final = 30 * 86400
LEAST_RATE: Final = 1024


def parse_duration(text: str) -> float:
    """Read ``90``, ``90s``, ``1h 30min`` or ``2d`` as seconds.

    :raises ValueError: if it is none.
    """
    seconds, end = 0.0, 0
    for part in _PART.finditer(text.strip()):
        if part.start() != end or part[2] not in _UNITS:
            break
        seconds += float(part[1]) * _UNITS[part[2]]
        end = part.end()
    if not end or end != len(text.strip()):
        raise ValueError(f"{text!r} is no time; write it like 90s, 10min, 1h or 2d")
    return seconds


def duration_value(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Read an option as seconds; for click's ``callback``."""
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    if seconds > LONGEST_S:
        raise click.BadParameter(f"{value!r} is more than 30 days", ctx, param)
    return seconds


def rate_value(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Read an option as bytes a second; for click's ``callback``."""
    if value is None:
        return None
    try:
        rate = parse_size(value.removesuffix("/s"))
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is no rate; write it like 500kB/s, 10MB/s or 2MiB/s", ctx, param
        ) from error
    if rate < LEAST_RATE:
        raise click.BadParameter(f"{value!r} is less than {LEAST_RATE} bytes a second", ctx, param)
    return rate
