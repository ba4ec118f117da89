"""Sizes as people write them: ``10GB``, ``500 MiB``, ``4096``. Pure."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

__all__ = ["parse_size"]

_SIZE: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)")

_UNITS: Final = {"": 1, "b": 1} | {
    unit.format(letter): base ** (power + 1)
    for power, letter in enumerate("kmgt")
    for unit, base in (("{}", 1000), ("{}b", 1000), ("{}ib", 1024))
}
"""Bytes in each unit, lower case: 1000 for ``kB`` and 1024 for ``KiB`` (IEC 80000-13)."""


def parse_size(text: str) -> int:
    """Read a size in bytes.

    :raises ValueError: if it is none.
    """
    found = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(found[2].lower()) if found is not None else None
    if found is None or unit is None:
        raise ValueError(f"{text!r} is no size; write it like 500kB, 10MB, 2GiB or 4096")
    return int(Fraction(found[1]) * unit)
