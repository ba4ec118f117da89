"""``docs/cli.rst`` says what the command line does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import Outcome
from p2p.cli.main import COMMANDS, cli
from p2p.cli.output import ExitCode
from p2p.measure.samples import message_figures, outcomes

TEXT: Final = (Path(__file__).resolve().parents[1] / "docs" / "cli.rst").read_text("utf-8")


class CommandLineDocumentTests(SynchronousTestCase):
    """The tables of the document."""

    def test_exit_codes(self) -> None:
        """The table of exit codes is the one that the command itself shows."""
        table = TEXT.rpartition("Exit codes\n")[2]
        shown = {int(code): meaning for code, meaning in re.findall(r"^(\d+) +(\S.*)$", table, re.MULTILINE)}
        self.assertEqual({int(code): code.meaning for code in ExitCode}, shown)

    def test_commands(self) -> None:
        """Every command is in the table, and every option of the long ones in theirs."""
        self.assertEqual([], [name for name in COMMANDS if f"``p2p {name}" not in TEXT])
        context = click.Context(cli)
        for names in (("send",), ("get",), ("transfers",), ("lab", "init"), ("demo",)):
            command: click.Command = cli
            for name in names:
                assert isinstance(command, click.Group)
                found = command.get_command(context, name)
                assert found is not None
                command = found
            section = TEXT.rpartition(f"``p2p {' '.join(names)}")[2]
            for option in command.params:
                if isinstance(option, click.Option) and option.name != "as_json":
                    self.assertRegex(section, rf"``{option.opts[0]}( |``)")

    def test_samples(self) -> None:
        """The figures of ``summary.json`` are told by their names."""
        names = [*message_figures([], 0), *outcomes([])]
        told = {name for name in names if f"``{name}``" in TEXT}
        self.assertEqual({outcome.value for outcome in Outcome} - {"ok"}, set(names) - told)
