"""What both daemons share: their command-line options, the limit of open files, and refusing to start.

Exit codes of a daemon: 0 when it was stopped, 1 when it couldn't start (a port is taken, another daemon uses its
console), 2 when its configuration is wrong.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from twisted.logger import Logger
from twisted.python import usage

from p2p.errors import ConfigError, P2PError

__all__ = ["ConfigOptions", "raise_file_limit", "refuse_to_start"]

_log = Logger()


class ConfigOptions(usage.Options):
    """``--config`` and ``--check``; a daemon's own options name the loader of its configuration.

    :cvar program: the daemon's name, for messages.
    :cvar load: loads and checks the configuration and all that it names; raises ``P2PError``.
    """

    program = ""
    load: Callable[[Path], Any]

    optParameters = [["config", "c", None, "The YAML file that describes this daemon (required)."]]
    optFlags = [["check", None, "Check the configuration, the files and the certificates that it names, then exit."]]

    def postOptions(self) -> None:
        """Load the configuration, or exit with code 2 and every problem on standard error."""
        if not self["config"]:
            raise usage.UsageError(f"--config is required, for example: twistd -n {self.program} --config FILE")
        path = Path(self["config"])
        try:
            self["loaded"] = type(self).load(path)
        except P2PError as error:
            text = str(error) if isinstance(error, ConfigError) else f"{path}: {error}"
            sys.stderr.write(f"{text}\n")
            raise SystemExit(2) from error
        if self["check"]:
            sys.stdout.write(f"{path}: ok\n")
            raise SystemExit(0)


def raise_file_limit() -> int:
    """Raise this process's soft limit of open files to the hard one, log it, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        _log.info("open files: limit raised from {soft} to {hard}", soft=soft, hard=hard)
    return hard


def refuse_to_start(program: str, reason: str) -> NoReturn:
    """End the process with code 1 before its reactor runs, with the reason in the log and on standard error.

    Twisted would log the failure of a listening port and run on, deaf.
    """
    _log.critical("{program}: {reason}", program=program, reason=reason)
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"{program}: {reason}\n")
        sys.__stderr__.flush()
    raise SystemExit(1)
