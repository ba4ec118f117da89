"""What people see: nothing that steers their terminal, and numbers they can read; and how a command ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import (
    ConfigError,
    ConsoleUnreachable,
    DaemonFault,
    ExchangeFailed,
    IdentityError,
    InvalidName,
    InvalidRequest,
    LocalFileError,
    Outcome,
    ProtocolViolation,
)
from p2p.cli.output import (
    NEXT_STEPS,
    ExitCode,
    columns,
    duration,
    exit_code_of,
    exit_codes_text,
    printable,
    rate,
    size,
)


class PrintableTests(SynchronousTestCase):
    """``printable``."""

    @given(st.text(st.characters()))
    def test_nothing_dangerous(self, text: str) -> None:
        """No control character, no change of direction, and no lone surrogate gets through; the result is UTF-8."""
        shown = printable(text)
        self.assertFalse([c for c in shown if c < " " or "\x7f" <= c <= "\x9f" or "\u202a" <= c <= "\u202e"])
        shown.encode("utf-8")

    def test_languages(self) -> None:
        """Texts of all languages stay as they are, with the joiners and spaces that they are written with."""
        for text in ("Grüße, «à la carte»\u00a0!", "\u0645\u06cc\u200c\u062e\u0648", "👩\u200d🔬", "日本語\u3000です"):
            self.assertEqual(printable(text), text)

    def test_lines(self) -> None:
        """Line feeds and tabs stay where a text may have lines, and nothing else does."""
        self.assertEqual(printable("a\n\tb\r\x07", lines=True), "a\n\tb\\r\\x07")
        self.assertEqual(printable("a\nb\u2028c"), "a\\nb\\u2028c")


class NumberTests(SynchronousTestCase):
    """Times, sizes and rates."""

    def test_duration(self) -> None:
        """A time has the unit that suits it."""
        for seconds, shown in (
            (0.0000009, "0.9 µs"),
            (0.00042, "0.42 ms"),
            (0.5, "500 ms"),
            (3.14159, "3.14 s"),
            (125, "2 min 5 s"),
            (12000, "3 h 20 min"),
        ):
            self.assertEqual(duration(seconds), shown)

    def test_size_and_rate(self) -> None:
        """Bytes and bytes a second are shown in decimal units; no time is no division by zero."""
        self.assertEqual(size(1_500_000), "1.5 MB")
        self.assertEqual(rate(3_000_000, 2), "1.5 MB/s")
        self.assertEqual(rate(5, 0), "at once")

    def test_columns(self) -> None:
        """Columns are as wide as their widest cell, lines don't end with spaces, and cells are escaped."""
        table = columns(("A", "B"), [("long", "\x1b"), ("x", "")])
        self.assertEqual([line.rstrip("\x1b[0m") for line in table.splitlines()[1:]], ["long   \\x1b", "x"])


class ExitCodeTests(SynchronousTestCase):
    """``exit_code_of`` and the texts."""

    def test_outcomes(self) -> None:
        """Every outcome has the exit code that the documents give it, and all but ``ok`` a next step."""
        codes = {outcome.value: int(exit_code_of(ExchangeFailed(outcome, ""))) for outcome in Outcome}
        self.assertEqual(
            codes,
            {
                "ok": 0,
                "unknown-peer": 3,
                "unknown-cluster": 3,
                "cluster-unreachable": 4,
                "refused": 5,
                "connect-failed": 6,
                "timeout": 7,
                "reset": 8,
                "truncated": 8,
                "corrupt": 9,
            },
        )
        self.assertEqual(set(NEXT_STEPS), set(Outcome) - {Outcome.OK})

    def test_errors(self) -> None:
        """Every kind of error has its exit code; whatever nobody expected has 1."""
        for error, code in (
            (ConfigError(), 2),
            (InvalidName(), 2),
            (InvalidRequest(), 2),
            (IdentityError(), 2),
            (ConsoleUnreachable(), 10),
            (LocalFileError(), 11),
            (KeyboardInterrupt(), 130),
            (DaemonFault(), 1),
            (ProtocolViolation(), 1),
            (ZeroDivisionError(), 1),
        ):
            self.assertEqual(exit_code_of(error), code)

    def test_text(self) -> None:
        """The text lists every code with its meaning."""
        lines = exit_codes_text().splitlines()
        self.assertEqual([int(line.split()[0]) for line in lines], [*range(12), 130])
        self.assertEqual(ExitCode.NO_DAEMON.meaning, "no daemon answers on its console")
