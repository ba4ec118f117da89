"""Runs the ``p2p`` command against a console in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from p2p.cli.main import cli
from p2p.console.server import Handler
from test.consoles import ConsoleReactor, peer_operations

PEER_YAML = """\
router: tcp:127.0.0.1:5555
authority: ca.pem
console: /run/p2p/n1
peers:
  - {name: n1.n, certificate: n1.pem, key: n1.key, inbox: inbox}
"""

ROUTER_YAML = """\
cluster: n
listen: tcp:5555
console: /run/p2p/router-n
tls: {certificate: r.pem, key: r.key, authority: ca.pem}
"""


class CommandCase(SynchronousTestCase):
    """Runs commands and looks at what they print and how they end.

    :ivar folder: a fresh folder with ``peer.yaml`` and ``router.yaml`` in it.
    """

    def setUp(self) -> None:
        """Make a configuration file of each kind."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.config = self.write("peer.yaml", PEER_YAML)
        self.router_config = self.write("router.yaml", ROUTER_YAML)

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file into the folder and return its path."""
        path = self.folder.absolute() / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def run_command(
        self,
        *arguments: str,
        config: Path | None = None,
        operations: Mapping[str, Handler] | None = None,
        stdin: str | bytes | None = None,
    ) -> Result:
        """Run ``p2p`` with these arguments against a daemon with these operations."""
        self.reactor = ConsoleReactor(peer_operations() if operations is None else operations)
        return CliRunner().invoke(
            cli, ["--config", str(config or self.config), *arguments], obj=self.reactor.run_work, input=stdin
        )

    def output(self, *arguments: str, **more: Any) -> str:
        """What a command prints that must succeed."""
        result = self.run_command(*arguments, **more)
        self.assertEqual((result.exit_code, result.stderr), (0, ""))
        return result.stdout

    def json_output(self, *arguments: str, **more: Any) -> Any:
        """The one JSON object that a command prints that must succeed."""
        return json.loads(self.output(*arguments, "--json", **more))

    def failure(self, code: int, *arguments: str, **more: Any) -> str:
        """What a command prints on standard error that must end with this code, and print nothing else."""
        result = self.run_command(*arguments, **more)
        self.assertEqual((result.exit_code, result.stdout), (code, ""), result.stderr)
        as_json = self.run_command(*arguments, "--json", **more)
        self.assertEqual((as_json.exit_code, as_json.stderr), (code, ""), as_json.stdout)
        self.assertEqual(json.loads(as_json.stdout.splitlines()[-1])["exit_code"], code)
        return result.stderr
