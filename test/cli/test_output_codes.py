"""Exit codes: each failure has one, and the help shows them all."""

from __future__ import annotations

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
from p2p.cli.output import NEXT_STEPS, ExitCode, exit_code_of, exit_codes_text


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
