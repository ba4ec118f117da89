"""``p2p completion``."""

from __future__ import annotations

import json
import subprocess

from test.cli.commands import CommandCase
from test.needs import needs


class CompletionTests(CommandCase):
    """The scripts."""

    def script(self, shell: str) -> str:
        """What is printed for a shell; no daemon is needed for it."""
        result = self.run_command("completion", shell, config=self.folder / "nowhere.yaml")
        self.assertEqual(0, result.exit_code)
        return result.stdout

    def test_scripts(self) -> None:
        """Each script registers the completion of p2p and says how to install it, and what it asks."""
        for shell, place, registers in (
            ("bash", "~/.bashrc", "complete -o nosort -F _p2p_completion p2p"),
            ("zsh", "~/.zfunc/_p2p", "compdef _p2p_completion p2p"),
            ("fish", "~/.config/fish/completions/p2p.fish", "complete --no-files --command p2p"),
        ):
            script = self.script(shell)
            for part in (
                place,
                registers,
                f"_P2P_COMPLETE={shell}_complete",
                f"#   {'source <(' if shell == 'bash' else ''}",
            ):
                self.assertIn(part, script)
            self.assertIn("P2P_CONFIG or --config", script)

    def test_zsh_knows_its_file(self) -> None:
        """The first line of zsh's script says of what it is the completion."""
        self.assertEqual("#compdef p2p", self.script("zsh").splitlines()[0])

    @needs("bash")
    def test_bash_takes_it(self) -> None:
        """The shell bash finds nothing wrong with its script."""
        checked = subprocess.run(["bash", "-n"], input=self.script("bash"), capture_output=True, text=True, check=False)
        self.assertEqual((0, ""), (checked.returncode, checked.stderr))

    def test_json(self) -> None:
        """JSON has the script as it is."""
        result = self.run_command("completion", "fish", "--json")
        self.assertEqual({"shell": "fish", "script": self.script("fish")}, json.loads(result.stdout))

    def test_other_shell(self) -> None:
        """Another shell is refused, with those that there are."""
        self.assertIn("'bash', 'zsh', 'fish'", self.failure(2, "completion", "tcsh"))
