"""Each module of p2p has a test module that bears its name: ``test/link/test_mux.py`` for ``p2p/link/mux.py``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

ROOT: Final = Path(__file__).resolve().parents[1]


def without_tests(modules: Iterable[str], tests: Iterable[str]) -> list[str]:
    """The modules that have no test module of their name in the folder that mirrors theirs; packages need none."""
    there = set(tests)
    paths = (PurePosixPath(module) for module in modules)
    own = [path for path in paths if path.name != "__init__.py"]
    return [str(path) for path in own if f"test/{path.relative_to('p2p').with_name(f'test_{path.name}')}" not in there]


class MirroredTests(SynchronousTestCase):
    """The source of p2p as it is."""

    def test_modules(self) -> None:
        """No module is without a test module of its name, so that whoever changes one knows where its tests are."""
        modules, tests = (
            sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py"))
            for folder in ("p2p", "test")
        )
        self.assertGreater(len(modules), 20)
        self.assertEqual([], without_tests(modules, tests))


class CheckerTests(SynchronousTestCase):
    """The check itself."""

    def test_found(self) -> None:
        """A module is found if its test has another name, or lies in another folder."""
        modules = ["p2p/__init__.py", "p2p/main.py", "p2p/a/__init__.py", "p2p/a/one.py", "p2p/a/b/two.py"]
        tests = ["test/test_main.py", "test/a/test_two.py", "test/a/test_one_by_one.py"]
        self.assertEqual(["p2p/a/one.py", "p2p/a/b/two.py"], without_tests(modules, tests))
        self.assertEqual([], without_tests(modules, [*tests, "test/a/test_one.py", "test/a/b/test_two.py"]))
