"""Dealing tests to processes, and what is told of them."""

from __future__ import annotations

import io
from pathlib import Path

import psutil
from twisted.trial.unittest import SynchronousTestCase

from test import side_by_side
from test.side_by_side import (
    UNLISTED_S,
    Share,
    deal,
    expected,
    failures,
    main,
    modules,
    run_shares,
    seconds,
    shares_of,
    summary,
)

LINE = "-" * 79

PASSED = f"""\
test.test_a.Tests.test_one ... [OK]
(0.250 secs)
test.test_a.Tests.test_two ... something that the test prints
[OK]
(1.500 secs)
test.link.test_b.Tests.test_three ... [SKIPPED]
(0.001 secs)

===============================================================================
[SKIPPED]
needs the programs: openssl

test.link.test_b.Tests.test_three
{LINE}
Ran 3 tests in 1.751s

PASSED (skips=1, successes=2)
"""

FAILED = f"""\
test.test_a.Tests.test_one ... [FAIL]
(0.250 secs)

===============================================================================
[SKIPPED]
there is no TCP_INFO

test.test_a.Tests.test_three
===============================================================================
[FAIL]
Traceback (most recent call last):
twisted.trial.unittest.FailTest: 1 != 2

test.test_a.Tests.test_one
===============================================================================
[ERROR]
builtins.KeyError: 'x'

test.test_a.Tests.test_two
{LINE}
Ran 3 tests in 0.251s

FAILED (skips=1, failures=1, errors=1)
"""


class ModulesTests(SynchronousTestCase):
    """What is run."""

    def test_modules(self) -> None:
        """A package stands for all modules below it, anything else for itself, and nothing is run twice."""
        root = Path(self.mktemp())
        for path in ("test/test_a.py", "test/helper.py", "test/link/test_b.py", "test/link/inner/test_c.py"):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
        self.assertEqual(["test.link.inner.test_c", "test.link.test_b", "test.test_a"], modules(["test"], root))
        self.assertEqual(["test.test_a.Tests.test_one"], modules(["test.test_a.Tests.test_one"], root))
        self.assertEqual(2, len(modules(["test.link", "test.link.test_b"], root)))

    def test_all(self) -> None:
        """Every module with tests of the project is among those of ``test``."""
        self.assertIn(__name__, modules(["test"]))
        self.assertGreater(len(modules(["test"])), 100)


class DealTests(SynchronousTestCase):
    """Who gets what."""

    def test_even(self) -> None:
        """Shares are as even as they can be, hold everything once, and are always the same."""
        weights = {"a": 1.0, "b": 5.0, "c": 3.0, "d": 1.0, "e": 2.0}
        self.assertEqual([["a", "b"], ["c", "d", "e"]], deal(weights, 2))
        self.assertEqual(deal(weights, 2), deal(dict(reversed(weights.items())), 2))
        self.assertEqual([["a", "b", "c", "d", "e"]], deal(weights, 1))

    def test_few_modules(self) -> None:
        """Where there are fewer modules than processes, no process has nothing to do: trial would fail."""
        self.assertEqual([["a"]], deal({"a": 1.0}, 8))

    def test_expected(self) -> None:
        """A module has its recorded seconds, also where it has moved and its name tells which it is; else little."""
        durations = "# head\n  40.0 test.x.test_slow\n 2.5 test.x.test_twice\n 3.5 test.y.test_twice\n"
        self.assertEqual(
            {
                "test.x.test_slow": 40.0,
                "test.new.test_slow": 40.0,
                "test.y.test_twice": 3.5,
                "test.new.test_twice": UNLISTED_S,
                "test.test_new": UNLISTED_S,
            },
            expected(
                ["test.x.test_slow", "test.new.test_slow", "test.y.test_twice", "test.new.test_twice", "test.test_new"],
                durations,
            ),
        )

    def test_functional(self) -> None:
        """Under coverage functional tests and fuzzing have processes of their own, unmeasured; else there are none."""
        weights = {"test.functional.test_a": 9.0, "test.fuzz.test_b": 5.0, "test.base.test_c": 1.0}
        shares = shares_of(weights, 2, Path("/log"), coverage=True)
        self.assertEqual(
            [
                (["test.functional.test_a"], False, "/log-1.log"),
                (["test.fuzz.test_b"], False, "/log-2.log"),
                (["test.base.test_c"], True, "/log-3.log"),
            ],
            [(share.modules, share.measured, str(share.log)) for share in shares],
        )
        self.assertEqual([False, False], [one.measured for one in shares_of(weights, 2, Path("/log"), coverage=False)])

    def test_measured(self) -> None:
        """What is measured runs under coverage, what isn't doesn't."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        shares = [Share([], folder / "1.log", True), Share([], folder / "2.log", False)]
        run_shares(shares, 2, ["-c", "import sys; print(sys.argv[1:2])"], ["-X", "utf8", "-W", "ignore"])
        self.assertEqual([0, 0], [share.code for share in shares])


class OutputTests(SynchronousTestCase):
    """What trial prints, read again."""

    def test_seconds(self) -> None:
        """Each module's tests are added up, whatever they print."""
        self.assertEqual({"test.test_a": 1.75, "test.link.test_b": 0.001}, seconds(PASSED))

    def test_summary(self) -> None:
        """A run is one line; one that broke down has none."""
        self.assertEqual("passed, 3 tests in 2 s (skips=1, successes=2)", summary(PASSED))
        self.assertEqual("failed, 3 tests in 0 s (skips=1, failures=1, errors=1)", summary(FAILED))
        self.assertEqual("", summary(PASSED[:100]))

    def test_failures(self) -> None:
        """Of a run that failed, what failed is told with its names, and nothing else."""
        told = failures(FAILED)
        for part in ("1 != 2", "test.test_a.Tests.test_one", "KeyError", "test.test_a.Tests.test_two"):
            self.assertIn(part, told)
        self.assertNotIn("TCP_INFO", told)
        self.assertNotIn("secs", told)

    def test_broke_down(self) -> None:
        """Of a process that was killed, the last lines are told, with the test that it was at."""
        self.assertIn("test.test_a.Tests.test_two ...", failures(PASSED[:120]))


class RunTests(SynchronousTestCase):
    """Real processes."""

    def setUp(self) -> None:
        """Have a folder for logs."""
        self.logs = Path(self.mktemp()).absolute()
        self.logs.mkdir()

    def shares(self, *codes: str) -> list[Share]:
        """Shares whose modules are programs of Python."""
        return [Share([code], self.logs / f"run-{number}.log") for number, code in enumerate(codes, 1)]

    def test_together(self) -> None:
        """Processes run at the same time, each with its log, and each exit code is known."""
        meeting = "import sys, pathlib, time; here = pathlib.Path(sys.argv[1])\n"
        first = meeting + "(here / 'one').touch()\nwhile not (here / 'two').exists(): time.sleep(0.01)\nprint('met')"
        other = meeting + "while not (here / 'one').exists(): time.sleep(0.01)\n(here / 'two').touch(); sys.exit(3)"
        shares = self.shares(first, other)
        program = "import sys; code = sys.argv.pop(); sys.argv[1:] = [sys.argv[1]]; exec(code)"
        run_shares(shares, 2, ["-c", program, str(self.logs)])
        self.assertEqual([0, 3], [share.code for share in shares])
        self.assertEqual("met\n", shares[0].output)

    def test_one_after_another(self) -> None:
        """No more processes run at once than shall; each gets its turn."""
        here = self.logs / "running"
        alone = f"import pathlib, time; here = pathlib.Path({str(here)!r}); here.mkdir(); time.sleep(0.2); here.rmdir()"
        shares = self.shares("", "", "")
        run_shares(shares, 1, ["-c", alone])
        self.assertEqual([0, 0, 0], [share.code for share in shares])

    def test_broken_off(self) -> None:
        """Whoever breaks a run off leaves no process behind, be it one that takes no hint."""
        shares = self.shares("", "")
        shares[1].log = self.logs / "no-such-folder" / "run.log"
        before = psutil.Process().children()
        self.patch(side_by_side, "TERMINATE_S", 0.1)
        stubborn = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
        self.assertRaises(FileNotFoundError, run_shares, shares, 2, ["-c", stubborn])
        self.assertTrue(shares[0].log.exists(), "the first was started")
        self.assertEqual(before, psutil.Process().children())

    def run_main(self, *arguments: str) -> tuple[int, str]:
        """Run the command."""
        said = io.StringIO()
        code = main(["--logs", str(self.logs / "trial"), *arguments], said)
        return code, said.getvalue()

    def test_passed(self) -> None:
        """Tests that pass: code 0 and one line a process."""
        code, said = self.run_main("--processes", "2", "test.base.test_errors", "test.base.test_names")
        self.assertEqual((0, 2), (code, len(said.splitlines())), said)
        self.assertIn("tests, process 1 of 2: passed, ", said)

    def test_failed(self) -> None:
        """A test that fails: code 1, its text and name, and where the whole output is."""
        code, said = self.run_main("--processes", "1", "test.no_such_module")
        self.assertEqual(1, code)
        self.assertIn("test.no_such_module does not exist", said)
        self.assertIn(f"everything that it printed: {self.logs / 'trial-1.log'}", said)


class ReportTests(SynchronousTestCase):
    """What is told in the end."""

    def told(self, *outputs: str) -> str:
        """What is told of processes with these outputs."""
        folder = Path(self.mktemp())
        folder.mkdir()
        shares = []
        for number, output in enumerate(outputs):
            shares.append(Share([], folder / f"{number}.log", code=int("FAILED" in output)))
            shares[-1].log.write_text(output)
        said = io.StringIO()
        side_by_side.report(shares, said)
        return said.getvalue()

    def test_skipped(self) -> None:
        """Where tests were skipped for want of programs, the last line is the command that brings them."""
        self.assertEqual("apt-get install openssl", self.told(PASSED, FAILED).splitlines()[-1].rpartition(": ")[2])

    def test_uneven(self) -> None:
        """When one process took much longer than another, the way to an even deal is told; else it isn't."""
        slow = PASSED.replace("(1.500 secs)", "(99.000 secs)")
        self.assertIn("make durations", self.told(PASSED, slow))
        self.assertNotIn("make durations", self.told(PASSED, PASSED))
        self.assertNotIn("make durations", self.told(slow))

    def test_record(self) -> None:
        """Modules that take a second or more are recorded, in the form that is read."""
        path = Path(self.mktemp())
        path.mkdir()
        share = Share([], path / "log")
        share.log.write_text(PASSED)
        side_by_side.record([share], path / "durations.txt")
        text = (path / "durations.txt").read_text()
        self.assertEqual({"test.test_a": 1.8}, expected(["test.test_a"], text))
        self.assertNotIn("test_b", text)
