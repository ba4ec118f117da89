"""Mutants: which there are, which tests have to kill them, and what becomes of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from test.mutants import (
    EXPLAINED,
    ROOT,
    Explained,
    Mutant,
    modules,
    mutants,
    read_explained,
    sampled,
    tests_of,
)

TEXT = '''\
from dataclasses import dataclass

@dataclass(frozen=True)
class Box:
    sizes: dict[str, int] | None

    def fits(self, size: int = 3) -> int | None:
        """Whether 4 things fit."""
        self.log.debug("{size} is looked at", size=size)
        self.look()
        return size if size < 7 else None
'''


class MutantsTests(SynchronousTestCase):
    """The faults that are made."""

    def made(self, text: str) -> list[tuple[str, str]]:
        """The changed lines of all mutants of a module, old and new."""
        return [(one.old, " ".join(one.new.split())) for one in mutants("p2p/box.py", text)]

    def test_places(self) -> None:
        """Conditions, numbers, decorators and calls are changed; annotations, texts and logging aren't."""
        line = "return size if size < 7 else None"
        signature = "def fits(self, size: int = {}) -> int | None:"
        self.assertEqual(
            {
                ("@dataclass(frozen=True)", ""),
                (signature.format(3), signature.format(4)),
                (signature.format(3), signature.format(2)),
                ("self.look()", "pass"),
                (line, "return size if size < 8 else None"),
                (line, "return size if size < 6 else None"),
                (line, "return size if size <= 7 else None"),
                (line, "return size if size >= 7 else None"),
                (line, "return size if not size < 7 else None"),
            },
            set(self.made(TEXT)),
        )

    def test_limits(self) -> None:
        """A limit that the document of limits states is compared elsewhere; any other number is changed."""
        found = mutants("p2p/link/hello.py", "HELLO_BYTES: Final = 1024\nOTHER = 7\n")
        self.assertEqual({"OTHER = 7"}, {one.old for one in found})

    def test_abstract(self) -> None:
        """That a method is abstract is a declaration; what else a decorator does isn't."""
        made = self.made("class A:\n    @abstractmethod\n    def f(self): ...\n    @property\n    def g(self): ...\n")
        self.assertEqual([("@property", "")], made)

    def test_calls(self) -> None:
        """A statement that is a call is left out as a whole, also one that is awaited; the rest of the line stays."""
        self.assertEqual([("await a.b(1)[2].c( 3)", "pass")], self.removed("await a.b(1)[2].c(\n        3)"))
        self.assertEqual([("f(); a = 1", "pass; a = 1")], self.removed("f(); a = 1"))
        self.assertEqual([], self.removed("a = f()"))
        self.assertEqual([], self.removed("a.b"))

    def removed(self, statement: str) -> list[tuple[str, str]]:
        """What leaving calls out makes of a statement."""
        found = mutants("p2p/box.py", f"async def run(a, f):\n    {statement}\n")
        return [(one.old, one.new) for one in found if one.operator == "RemoveCall"]

    def test_text(self) -> None:
        """A mutant is the whole module with that one change, and says where it is."""
        (mutant,) = [one for one in mutants("p2p/box.py", TEXT) if one.operator == "RemoveCall"]
        self.assertEqual(TEXT.replace("self.look()", "pass"), mutant.text)
        self.assertEqual("p2p/box.py:10\n- self.look()\n+ pass\n", str(mutant))

    def test_sample(self) -> None:
        """A sample is in order and always the same; one that is larger than what there is is everything."""
        found = mutants("p2p/box.py", TEXT)
        some = sampled(found, 4)
        self.assertEqual(4, len(some))
        self.assertEqual(some, sampled(found, 4))
        self.assertEqual(some, [one for one in found if one in some])
        self.assertEqual(found, sampled(found, 100))
        self.assertEqual(found, sampled(found, None))


class ChoosingTests(SynchronousTestCase):
    """Which modules are looked at, by which tests."""

    def setUp(self) -> None:
        """Make a small project."""
        self.root = Path(self.mktemp())
        for name in ("p2p/link/__init__", "p2p/link/mux", "p2p/link/mux_fair", "p2p/link/inner/deep"):
            self.make(name)
        for name in ("mux", "mux_model", "mux_fair", "mux_fair_late", "muxed"):
            self.make(f"test/link/test_{name}")

    def make(self, name: str) -> None:
        """Make an empty module."""
        path = self.root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def test_modules(self) -> None:
        """A path is a module, a folder with all that is below it, or a list; each module comes once."""
        (self.root / "list.txt").write_text("# some\np2p/link/mux.py\n\n")
        everything = ["p2p/link/inner/deep.py", "p2p/link/mux.py", "p2p/link/mux_fair.py"]
        self.assertEqual(everything, modules(["p2p/link"], self.root))
        self.assertEqual(["p2p/link/mux.py"], modules(["list.txt", "p2p/link/mux.py"], self.root))

    def test_nothing_there(self) -> None:
        """A path where nothing is is named."""
        self.assertIn("p2p/attic", str(self.assertRaises(ValueError, modules, ["p2p/attic"], self.root)))

    def test_tests(self) -> None:
        """Test modules whose name begins with that of a module belong to it, unless another module's fits better."""
        self.assertEqual(["test.link.test_mux", "test.link.test_mux_model"], tests_of("p2p/link/mux.py", self.root))
        self.assertEqual(
            ["test.link.test_mux_fair", "test.link.test_mux_fair_late"], tests_of("p2p/link/mux_fair.py", self.root)
        )
        self.assertEqual([], tests_of("p2p/link/inner/deep.py", self.root))

    def test_elsewhere(self) -> None:
        """The pure modules and those of transfer and router all have tests, and those that the table names exist."""
        for module in modules(["test/pure_modules.txt", "p2p/transfer", "p2p/router"]):
            tests = tests_of(module)
            self.assertTrue(tests, module)
            for test in tests:
                self.assertTrue(ROOT.joinpath(*test.split(".")).with_suffix(".py").is_file(), test)


class ExplainedTests(SynchronousTestCase):
    """The list of mutants that may survive."""

    def test_read(self) -> None:
        """An entry is a changed line, what it became if that matters, and a reason that may take several lines."""
        text = "# about\np2p/a.py\n\n- a < b\n+ a <= b\n  They never\n  are equal.\n- f()\n  It is quicker.\n"
        text += "p2p/b.py\n- g()\n  So.\n"
        found = [
            Explained("p2p/a.py", "a < b", "a <= b", "They never are equal."),
            Explained("p2p/a.py", "f()", "", "It is quicker."),
            Explained("p2p/b.py", "g()", "", "So."),
        ]
        self.assertEqual(found, read_explained(text))

    def test_wrong(self) -> None:
        """A line that is nothing of that is named with its number."""
        for text in ("p2p/a.py\nf()\n", "p2p/a.py\n  A reason of nothing.\n", "- f()\n  Of no module.\n"):
            self.assertIn("line 2", str(self.assertRaises(ValueError, read_explained, text)))

    def test_about(self) -> None:
        """An entry is about this change of this line in this module, or about every change of it."""
        mutant = Mutant("p2p/a.py", "RemoveCall", 3, "f()", "pass", "")
        self.assertTrue(Explained("p2p/a.py", "f()", "pass", "x").about(mutant))
        self.assertTrue(Explained("p2p/a.py", "f()", "", "x").about(mutant))
        for other in (("p2p/b.py", "f()", ""), ("p2p/a.py", "g()", ""), ("p2p/a.py", "f()", "g()")):
            self.assertFalse(Explained(*other, "x").about(mutant))

    def test_true(self) -> None:
        """The line of every entry is still in its module; take out those that have changed."""
        for entry in read_explained(EXPLAINED.read_text("utf-8")):
            text = " ".join((ROOT / entry.module).read_text("utf-8").split())
            self.assertIn(entry.old, text, entry.module)


def alone(*arguments: str) -> str:
    """What Python prints that is started with these arguments, in a process of its own, and ends well.

    The processes that mutants are tried in are forked. A process with threads, as this one has them when other tests
    have run, mustn't be forked: a lock that another thread holds then stays locked.
    """
    command = [sys.executable, *arguments]
    # Coverage would follow into the copies of the tree, whose files are gone when it reports.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(command, cwd=ROOT, env=plain, check=True, stdout=subprocess.PIPE, text=True, timeout=100)
    return str(done.stdout)


class RunTests(SynchronousTestCase):
    """What becomes of mutants."""

    def setUp(self) -> None:
        """Make a small tree with tests."""
        self.folder = Path(self.mktemp()).absolute()
        self.root = self.folder / "0"
        (self.root / "test").mkdir(parents=True)
        (self.root / "p2p").mkdir()
        for name in ("test/__init__", "p2p/__init__"):
            (self.root / f"{name}.py").touch()

    def code(self, body: str, limit_s: float = 60.0) -> int | None:
        """The exit code of one test with that body."""
        lines = ["from twisted.trial.unittest import SynchronousTestCase", "class OneTests(SynchronousTestCase):"]
        lines += ["    def test_one(self):", f"        {body}"]
        (self.root / "test" / "test_one.py").write_text("\n".join(lines) + "\n")
        script = f"""\
from pathlib import Path
from test.mutants import run_tests
print(run_tests(Path({str(self.root)!r}), ["test.test_one"], {limit_s}))
"""
        code = alone("-c", script).strip()
        return None if code == "None" else int(code)

    def test_codes(self) -> None:
        """The exit code is 0 if all tests pass and 1 if one fails; the tests of the other tree are run, not ours."""
        self.assertEqual(0, self.code("import p2p; assert p2p.__file__.startswith(" + repr(str(self.root)) + ")"))
        self.assertEqual(1, self.code("self.fail()"))
        self.assertIn("FAILED", (self.folder / "0.log").read_text())

    def test_time_out(self) -> None:
        """Tests that don't end are ended, with the processes that they have started."""
        pid = self.folder / "pid"
        body = "import pathlib, subprocess; p = subprocess.Popen(['sleep', '60']); "
        body += f"pathlib.Path({str(pid)!r}).write_text(str(p.pid)); p.wait()"
        self.assertIsNone(self.code(body, 5.0))
        state = Path(f"/proc/{pid.read_text()}/stat")
        self.assertTrue(not state.exists() or state.read_text().split()[2] == "Z")

    def test_memory(self) -> None:
        """A mutant that takes more and more memory fails and takes nobody else's."""
        self.assertEqual(1, self.code("bytearray(5 << 30)"))

    def test_module(self) -> None:
        """Mutants of a real module are tried by its tests, in a copy; the summary counts them."""
        before = (ROOT / "p2p/base/errors.py").read_bytes()
        self.assertRegex(
            alone("-m", "test.mutants", "p2p/base/errors.py", "--processes", "2"),
            r"^p2p/base/errors\.py: \d+ mutants, \d+ killed \(0 by time-out\), 0 survived ",
        )
        self.assertEqual(before, (ROOT / "p2p/base/errors.py").read_bytes())
