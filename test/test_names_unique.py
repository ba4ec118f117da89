"""No two modules of p2p define a public class of one name: a search for a name finds the one thing that it means."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

ROOT: Final = Path(__file__).resolve().parents[1]


NAMED_BY_TWISTED: Final = frozenset({"Options"})
"""What ``twistd`` looks for by its name in the module of each daemon."""


def doubles(sources: Mapping[str, str]) -> list[str]:
    """Every public class that several modules define, as ``Name: path, path``, by the sources at their paths.

    Classes within functions and classes are nobody's business but theirs.
    """
    found: dict[str, list[str]] = {}
    for path, source in sorted(sources.items()):
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name not in NAMED_BY_TWISTED:
                found.setdefault(node.name, []).append(path)
    return [f"{name}: {', '.join(paths)}" for name, paths in sorted(found.items()) if len(paths) > 1]


class NamesTests(SynchronousTestCase):
    """The source of p2p as it is."""

    def test_classes(self) -> None:
        """Each public class has a name of its own."""
        paths = sorted((ROOT / "p2p").rglob("*.py"))
        self.assertGreater(len(paths), 20)
        self.assertEqual([], doubles({path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}))


class CheckerTests(SynchronousTestCase):
    """The check itself."""

    def test_twice(self) -> None:
        """A class of two modules is found with both; what is private, nested, imported or no class isn't."""
        sources = {
            "p2p/b.py": "class Way: ...\nclass _Own: ...\nclass Outer:\n    class Way: ...\nfrom p2p.a import Told",
            "p2p/a.py": "class Told: ...\nclass Way: ...\nclass _Own: ...\ndef Outer(): ...",
        }
        self.assertEqual(["Way: p2p/a.py, p2p/b.py"], doubles(sources))
