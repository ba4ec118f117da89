"""Files and modules that the documents name are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

ROOT: Final = Path(__file__).resolve().parents[1]
ROOMS: Final = frozenset(folder.name for folder in (ROOT / "p2p").iterdir() if folder.is_dir())
FOLDERS: Final = ("bench", "data", "docs", "etc", "p2p", "test", "twisted")
"""What a path in a document may begin with; everything in them that ends as below is a file of the project."""

_PATH: Final = re.compile(r"(?<![\w/.<>-])((?:[\w@.-]+/)*[\w@.-]+\.(?:py|rst|yaml|service))(?![\w/])")
_FOLDER: Final = re.compile(r"``((?:[\w.-]+/)+)``")
_MODULE: Final = re.compile(r"(?<![\w./-])(?!test\.py)((?:p2p|test)(?:\.[a-z_0-9]+)+)(?![\w/])")


def documents() -> list[Path]:
    """Everything that is written for people; the changelog is about what was."""
    found = [*ROOT.glob("*.rst"), *(ROOT / "docs").glob("*.rst"), *(ROOT / "data").glob("*.rst")]
    found += (ROOT / "test").rglob("*.rst")
    return [path for path in sorted(found) if path.name != "CHANGELOG.rst"]


def missing_paths(text: str) -> Iterator[str]:
    """The paths in a text that are no file: from the root, from a room of ``p2p``, or a module's name alone.

    Other files than modules are looked for only where their path begins with a folder of the project: a document also
    names files of those who use p2p.
    """
    for path in _PATH.findall(text):
        first, inside, _ = path.partition("/")
        if inside and first in FOLDERS:
            here = (ROOT / path).is_file()
        elif not path.endswith(".py"):
            continue
        elif inside:
            here = first in ROOMS and (ROOT / "p2p" / path).is_file()
        else:
            here = any(True for folder in FOLDERS for _ in (ROOT / folder).rglob(path))
        if not here:
            yield path
    for folder in _FOLDER.findall(text):
        if folder.partition("/")[0] in FOLDERS and not (ROOT / folder).is_dir():
            yield folder


def missing_modules(text: str) -> Iterator[str]:
    """The dotted names in a text whose module is none; what comes behind a module, a class say, isn't looked at."""
    for name in _MODULE.findall(text):
        path = ROOT.joinpath(*name.split("."))
        if not (path.is_dir() or path.with_suffix(".py").is_file()):
            yield name


class PathTests(SynchronousTestCase):
    """What the documents name."""

    def test_paths(self) -> None:
        """Each file, folder and module that a document names exists, so that a flow can be followed file by file."""
        for document in documents():
            with self.subTest(document=document.name):
                text = document.read_text("utf-8")
                self.assertEqual([], [*missing_paths(text), *missing_modules(text)], document.name)

    def test_finds_them(self) -> None:
        """Paths from the root, from a room, alone, folders and modules are found; users' files aren't looked for."""
        text = "see ``p2p/no.py``, ``link/no.py`` (nowhere.py), p2p/link/mux.py, ``link/mux.py``, mux.py, ``bench/no/``"
        text += " ``test/link/``, ``/etc/no.yaml``, lab/no.yaml, ``etc/no.yaml`` and /opt/no.py"
        self.assertEqual(
            ["p2p/no.py", "link/no.py", "nowhere.py", "etc/no.yaml", "bench/no/"],
            list(missing_paths(text)),
        )
        text = "test.link.test_mux, p2p.no.where, p2p.client.Client, p2p.link, test.no and a test.py"
        self.assertEqual(["p2p.no.where", "test.no"], list(missing_modules(text)))
