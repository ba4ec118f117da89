"""Programs that a test needs and that a machine may lack: without them it is skipped, and its reason names them.

``python -m test.needs LOG ...`` says what to install where the logs of test runs tell of tests that were skipped so.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest import skipUnless

__all__ = ["PACKAGES", "advice", "missing", "named", "needs", "packages_of"]

Tested = TypeVar("Tested", bound=Callable[..., Any])

PACKAGES: Final = Path(__file__).resolve().parents[1] / ".ci" / "packages.txt"
"""The one list of the Debian packages that tests need: a line is ``package: program program ...  # what for``."""

_PREFIX: Final = "needs the programs: "
_SYSTEM: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where programs for administrators are; not every user has these folders on PATH."""


def missing(*programs: str) -> list[str]:
    """Those of some programs that this machine lacks."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM])
    return [one for one in programs if shutil.which(one, path=path) is None]


def needs(*programs: str) -> Callable[[Tested], Tested]:
    """Skip the decorated test or test case on a machine that lacks one of these programs.

    Each of them must be in ``.ci/packages.txt``, so that whoever reads of the skipped test learns what to install.
    """
    if unlisted := [one for one in programs if not packages_of([one])]:
        raise ValueError(f"add the packages of {', '.join(unlisted)} to {PACKAGES}")
    lacking = missing(*programs)
    return skipUnless(not lacking, _PREFIX + " ".join(lacking))


def named(output: str) -> set[str]:
    """The programs that trial's output names as reasons of skipped tests."""
    return {one for found in re.findall(f"^{_PREFIX}(.+)$", output, re.MULTILINE) for one in found.split()}


def packages_of(programs: Iterable[str], text: str | None = None) -> list[str]:
    """The packages of ``.ci/packages.txt``, or of another text like it, that bring some programs."""
    wanted = set(programs)
    found: list[str] = []
    for line in (PACKAGES.read_text("utf-8") if text is None else text).splitlines():
        package, colon, brings = line.partition("#")[0].partition(":")
        if colon and wanted & set(brings.split()):
            found.append(package.strip())
    return found


def advice(outputs: Iterable[str]) -> str:
    """The line that says what to install so that the tests which trial has skipped run; empty if there are none."""
    lacking = sorted(set().union(*map(named, outputs)))
    if not lacking:
        return ""
    return f"Tests were skipped for want of {', '.join(lacking)}: apt-get install {' '.join(packages_of(lacking))}\n"


if __name__ == "__main__":
    sys.stdout.write(advice(Path(name).read_text("utf-8", errors="replace") for name in sys.argv[1:]))
