"""What is checked after a small change."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

from twisted.trial.unittest import SynchronousTestCase

from test.needs import needs
from test.quick import changed, tests_of


def paths(*names: str) -> list[PurePosixPath]:
    """The paths of that name."""
    return [PurePosixPath(name) for name in names]


class TestsOfTests(SynchronousTestCase):
    """Which tests belong to a change."""

    def setUp(self) -> None:
        """Make a small project."""
        self.root = Path(self.mktemp())
        for name in ("test_top", "link/test_mux", "link/test_flow", "link/inner/test_deep", "functional/test_lab"):
            path = self.root / "test" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def chosen(self, *names: str) -> list[str]:
        """The modules that are run after a change of these files."""
        return tests_of(paths(*names), self.root)

    def test_folder(self) -> None:
        """A module, its tests and what they share stand for the tests of the folder, not for those below."""
        for name in ("p2p/link/mux.py", "test/link/test_mux.py", "test/link/frames.py"):
            self.assertEqual(["test.link.test_flow", "test.link.test_mux"], self.chosen(name))
        self.assertEqual(["test.link.inner.test_deep"], self.chosen("p2p/link/inner/deep.py"))

    def test_top(self) -> None:
        """Modules at the top, documents and settings stand for the tests at the top."""
        for name in ("p2p/__init__.py", "docs/limits.rst", "setup.cfg"):
            self.assertEqual(["test.test_top"], self.chosen(name))

    def test_functional(self) -> None:
        """Of the tests with real daemons only those that were changed are run."""
        self.assertEqual(["test.functional.test_lab"], self.chosen("test/functional/test_lab.py"))
        self.assertEqual([], self.chosen("test/functional/lab.py", "test/functional/test_removed.py"))

    def test_new_folder(self) -> None:
        """A folder without tests has none."""
        self.assertEqual([], self.chosen("p2p/attic/box.py"))


class ChangedTests(SynchronousTestCase):
    """What has changed."""

    @needs("git")
    def test_changed(self) -> None:
        """Files that were changed, removed or are new, and with a base also what the branch has committed."""
        self.root = Path(self.mktemp())
        self.root.mkdir()
        self.git("init", "-q", "-b", "main")
        for name in ("kept", "changed", "removed", "ignored.pyc"):
            (self.root / name).write_text(name)
        (self.root / ".gitignore").write_text("*.pyc\n")
        self.commit()
        self.git("checkout", "-q", "-b", "work")
        (self.root / "committed").write_text("x")
        self.commit()
        self.assertEqual([], changed(root=self.root))
        (self.root / "changed").write_text("else")
        (self.root / "removed").unlink()
        (self.root / "new file").write_text("new")
        self.assertEqual(paths("changed", "new file", "removed"), changed(root=self.root))
        self.assertEqual(paths("changed", "committed", "new file", "removed"), changed("main", self.root))

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True, timeout=60)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "a commit")
