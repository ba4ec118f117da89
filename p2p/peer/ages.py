"""For how long things on disk have been as they are, however the wall clock is set.

The times of files are those of a clock that may be wrong: one step forwards, and everything would be years old. So they
only say whether something has changed; how much time has passed between two looks comes from the time since boot.

What isn't said otherwise blocks; it runs in threads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from p2p.base.saving import save_file

__all__ = ["DAY_S", "Ages"]

DAY_S: Final = 86_400.0

_OFF_S: Final = DAY_S
"""Seconds at most that count for a time in which the machine was off: only the wall clock tells how long that was."""


class Ages:
    """Ages in seconds, by group and key; what is seen for the first time, or has changed, is of age 0.

    :param path: the file that keeps them.
    :param boot: tells this run of the machine from others; empty if that isn't known.
    :param since_boot: reads the seconds since the machine was booted, those among them that it slept.
    :param wall: reads the Unix time, seconds.
    """

    def __init__(self, path: Path, boot: str, since_boot: Callable[[], float], wall: Callable[[], float]) -> None:
        self._path = path
        self._boot = boot
        self._since_boot = since_boot
        self._wall = wall
        self._passed_s = 0.0
        self._groups: dict[str, dict[str, tuple[float, float]]] = {}

    def begin(self) -> None:
        """Begin a look: read what the last one found, and see how much time has passed since then."""
        self._groups, self._passed_s = {}, 0.0
        try:
            known = json.loads(self._path.read_bytes())
            self._passed_s = self._passed(str(known["boot"]), float(known["since_boot"]), float(known["wall"]))
            self._groups = {
                group: {key: (float(mark), float(age)) for key, (mark, age) in ages.items()}
                for group, ages in known["ages"].items()
            }
        except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return  # it isn't there or is damaged: everything is as if it were new

    def seen(self, group: str, marks: Mapping[str, float]) -> dict[str, float]:
        """The ages of all that there is in a group now; blocks nobody. To be called once a look.

        :param marks: for each key a number that changes when the thing does.
        """
        before = self._groups.get(group, {})
        now: dict[str, tuple[float, float]] = {}
        for key, mark in marks.items():
            known, age = before.get(key, (mark, -self._passed_s))
            now[key] = mark, age + self._passed_s if known == mark else 0.0
        self._groups[group] = now
        return {key: age for key, (_, age) in now.items()}

    def save(self) -> None:
        """End a look: keep what was found for the next.

        :raises OSError: if the disk doesn't take it.
        """
        what: dict[str, Any] = {
            "boot": self._boot,
            "since_boot": self._since_boot(),
            "wall": self._wall(),
            "ages": self._groups,
        }
        save_file(self._path, json.dumps(what).encode("ascii"))

    def _passed(self, boot: str, since_boot: float, wall: float) -> float:
        """Seconds since the last look, of which this is known."""
        if boot and boot == self._boot:
            return max(self._since_boot() - since_boot, 0.0)
        up_s = self._since_boot()
        return up_s + min(max(self._wall() - wall - up_s, 0.0), _OFF_S)
