"""Tests that need programs which a machine may lack."""

from __future__ import annotations

from unittest import TestResult

from twisted.trial.unittest import SynchronousTestCase

from test import needs as needs_module
from test.needs import PACKAGES, missing, named, needs, packages_of

LIST = """\
# head
nftables: nft           # firewalls
iproute2: ip tc         # networks
python3-venv:           # no program
"""


class NeedsTests(SynchronousTestCase):
    """``needs``."""

    def test_missing(self) -> None:
        """A program that isn't there is found missing, and one that is there isn't."""
        self.assertEqual(["no-such-program"], missing("sh", "no-such-program"))

    def test_skipped(self) -> None:
        """Without a program the test is skipped, with a reason that names it; with it, the test runs."""
        self.patch(needs_module, "packages_of", lambda programs: ["a-package"])

        class Example(SynchronousTestCase):
            @needs("no-such-program", "sh")
            def test_one(self) -> None:
                self.fail("it runs")

            @needs("sh")
            def test_other(self) -> None:
                self.fail("it runs")

        result = TestResult()
        Example("test_one").run(result)
        ((_, reason),) = result.skipped
        self.assertEqual({"no-such-program"}, named(f"[SKIPPED]\n{reason}\n\ntest.test_x.Example.test_one\n"))
        Example("test_other").run(result)
        self.assertEqual(1, len(result.failures))

    def test_unlisted(self) -> None:
        """A program whose package isn't listed can't be asked for: nobody would learn what to install."""
        error = self.assertRaises(ValueError, needs, "no-such-program")
        self.assertIn(str(PACKAGES), str(error))


class PackagesTests(SynchronousTestCase):
    """``.ci/packages.txt``."""

    def test_packages(self) -> None:
        """Programs are looked up, each package is told once, and comments aren't read."""
        self.assertEqual(["nftables", "iproute2"], packages_of(["tc", "ip", "nft"], LIST))
        self.assertEqual([], packages_of(["firewalls", "head"], LIST))

    def test_list(self) -> None:
        """Every line of the list names a package, its programs and what it is for."""
        lines = [line for line in PACKAGES.read_text("utf-8").splitlines() if not line.startswith("#")]
        self.assertGreater(len(lines), 3)
        for line in lines:
            self.assertRegex(line, r"^[a-z0-9.+-]+:( [\w.+-]+)* +# \w")
