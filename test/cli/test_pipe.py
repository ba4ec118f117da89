"""``p2p pipe``; what it does with its streams is tested with real daemons."""

from __future__ import annotations

from test.cli.commands import CommandCase


class PipeTests(CommandCase):
    def test_usage(self) -> None:
        """It is either with a peer or listening, and says so."""
        for arguments in ((), ("m4.m", "--listen"), ("m4.m", "--from", "*.n")):
            result = self.run_command("pipe", *arguments)
            self.assertEqual(2, result.exit_code, result.output)
        self.assertIn("--from goes with --listen", result.stderr)

    def test_names(self) -> None:
        """What can't be a name, or a pattern of names, is refused before anything is asked."""
        self.assertEqual(2, self.run_command("pipe", "nobody").exit_code)
        self.assertIn("pattern", self.run_command("pipe", "--listen", "--from", "N!").stderr)

    def test_help(self) -> None:
        """Its help shows both ends."""
        self.assertIn("p2p pipe --listen --from '*.n'", self.run_command("pipe", "--help").stdout)
