"""JSON that others wrote, read strictly (RFC 8259), and what is wrong with it in plain words. Pure.

Python's own reader takes the last of several values for one key, numbers that aren't JSON, and fails in words that
are meant for programmers.
"""

from __future__ import annotations

import json
from math import isinf
from typing import Any, Final, NoReturn

__all__ = ["DIGITS", "read_json"]

DIGITS: Final = 100
"""Digits that a whole number may have; the largest that is ever said has 19."""


class _Refused(ValueError):
    """What the reader's hooks don't take."""


def read_json(data: str | bytes) -> Any:
    """Return the value of a JSON text.

    :raises ValueError: in plain words, if it isn't UTF-8 or JSON, has a key twice in one object, or a number that is
        too large.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
        return json.loads(
            text, object_pairs_hook=_object, parse_int=_whole, parse_float=_real, parse_constant=_no_such_number
        )
    except _Refused:
        raise
    except UnicodeDecodeError as error:
        raise ValueError(f"it isn't UTF-8 at byte {error.start + 1}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it isn't JSON at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise _Refused(f"the key {key[:40]!r} stands twice in an object")
        fields[key] = value
    return fields


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise _Refused(f"a number has more than {DIGITS} digits")
    return int(digits)


def _real(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise _Refused("a number is too large")
    return number


def _no_such_number(name: str) -> NoReturn:
    raise _Refused(f"{name} isn't a number in JSON")
