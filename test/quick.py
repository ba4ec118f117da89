"""Checks what has changed, in seconds: ``python -m test.quick [BASE]``, or ``make quick [BASE=main]``.

Ruff and mypy's daemon look at everything, which takes them a second or two; tests run in the folders that mirror what
was touched, without coverage and so without its gates. ``make test`` still has the last word.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Final

from test.side_by_side import ROOT
from test.side_by_side import main as side_by_side

__all__ = ["changed", "main", "tests_of"]

FUNCTIONAL: Final = PurePosixPath("test/functional")
"""Its modules take up to a minute each: only those that were touched themselves are run."""
DAEMON_IDLE_S: Final = 7200
"""After so long without a question mypy's daemon ends by itself."""


def changed(base: str = "", root: Path = ROOT) -> list[PurePosixPath]:
    """The files that differ from the last commit, or from where the branch left ``base``; untracked ones too."""
    since = _git(root, "merge-base", base, "HEAD").strip() if base else "HEAD"
    names = _git(root, "diff", "--name-only", "--no-renames", "-z", since)
    names += _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    return sorted({PurePosixPath(name) for name in names.split("\0") if name})


def tests_of(paths: Iterable[PurePosixPath], root: Path = ROOT) -> list[str]:
    """The test modules of the folders that mirror some files: all of ``test/link`` for ``p2p/link/mux.py``.

    What belongs to no package (documents, settings) is looked at by the tests at the top.
    """
    found: set[PurePosixPath] = set()
    for path in paths:
        if path.parent == FUNCTIONAL:
            found |= {path} if path.name.startswith("test_") and (root / path).exists() else set()
            continue
        inside = path.parts[0] in ("p2p", "test") and path.suffix == ".py"
        folder = PurePosixPath("test", *(path.parts[1:-1] if inside else ()))
        found |= {folder / one.name for one in (root / folder).glob("test_*.py")}
    return sorted(".".join(path.with_suffix("").parts) for path in found)


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout


def main(arguments: Sequence[str] | None = None, say: IO[str] = sys.stdout) -> int:
    """Run the command line and return the exit code: 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m test.quick", description="Check what has changed.")
    parser.add_argument("base", nargs="?", default="", help="a branch: also what differs from it; else from HEAD")
    try:
        paths = changed(parser.parse_args(arguments).base)
    except subprocess.CalledProcessError as failure:
        return int(failure.returncode)  # git has said why
    if not paths:
        say.write("Nothing has changed.\n")
        return 0
    binaries = Path(sys.executable).parent
    codes = [subprocess.call([binaries / "ruff", *check.split(), "."]) for check in ("check -q", "format -q --diff")]
    with subprocess.Popen(
        [binaries / "dmypy", "run", "--timeout", str(DAEMON_IDLE_S)], stdout=subprocess.PIPE, text=True
    ) as types:
        tests = tests_of(paths)
        codes.append(side_by_side(tests, say) if tests else 0)
        told, _ = types.communicate()
        say.write(f"mypy: {told}")
        codes.append(types.returncode)
    say.flush()
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
