"""The command-line options that both daemons have.

Exit codes of a daemon: 1 when it can't do its job (a port is taken, another daemon has its console), 2 when its
configuration can't be used. Twisted ends a stopped one by the signal that stopped it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

from twisted.python import usage

from p2p.base.errors import ConfigError, P2PError

__all__ = ["DaemonOptions"]

_EXIT_CONFIG = 2


class DaemonOptions(usage.Options):
    """``--config`` and ``--check``; each daemon adds what it loads.

    :cvar program: the daemon's name, for messages.
    :ivar path: the YAML file.
    """

    program = ""
    path: Path
    synopsis = "--config FILE [--check]"
    optParameters = [["config", "c", None, "The YAML file of this daemon. Relative paths in it start at its folder."]]
    optFlags = [["check", None, "Check the configuration and the files that it names, say so, and start nothing."]]

    def load(self, path: Path) -> None:
        """Load and check the configuration and what it names.

        :raises P2PError: with everything that is wrong.
        """

    def postOptions(self) -> None:
        """Load what the configuration names, so that nothing is started with a bad one."""
        if self["config"] is None:
            _stop(f"--config FILE is missing; 'p2p lab init DIR' makes one to start with, see {self.program} --help")
        self.path = path = Path(self["config"])
        try:
            self.load(path)
        except ConfigError as error:
            _stop(str(error))
        except P2PError as error:
            _stop(f"{path}: {error}")
        if self["check"]:
            sys.stdout.write(f"{path}: ok\n")
            raise SystemExit(0)


def _stop(reason: str) -> NoReturn:
    sys.stderr.write(f"{reason}\n")
    raise SystemExit(_EXIT_CONFIG)
