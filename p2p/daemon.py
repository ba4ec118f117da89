"""What both daemons share: their command-line options, the limit of open files, warnings, and refusing to start.

Exit codes of a daemon: 1 when it can't do its job (a port is taken, another daemon has its console), 2 when its
configuration can't be used. Twisted ends a stopped one by the signal that stopped it.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from twisted.logger import Logger
from twisted.python import usage

from p2p.errors import ConfigError, P2PError
from p2p.identity.authority import days_left

__all__ = ["CannotStart", "DaemonOptions", "keep_memory", "raise_open_files", "warn_of_expiry"]

EXPIRES_SOON_DAYS = 30
"""Days before the end of a certificate from which on it is warned of at each start."""

_EXIT_CONFIG = 2

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT_BYTES = 8 * 1024 * 1024

log = Logger()


class CannotStart(SystemExit, P2PError):
    """The daemon can't do its job, so its process ends: the text goes to stderr, and the exit code is 1.

    ``twistd`` tidies up (its PID file) after an ``Exception`` at the start, and Python shows no traceback for a
    ``SystemExit``, so it is both.
    """


class DaemonOptions(usage.Options):
    """``--config`` and ``--check``; each daemon adds what it loads.

    :cvar program: the daemon's name, for messages.
    """

    program = ""
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
        path = Path(self["config"])
        try:
            self.load(path)
        except ConfigError as error:
            _stop(str(error))
        except P2PError as error:
            _stop(f"{path}: {error}")
        if self["check"]:
            sys.stdout.write(f"{path}: ok\n")
            raise SystemExit(0)


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one if the system lets us, log that, and return what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        log.info("the limit of open files is {hard}", hard=hard)
        return hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS doesn't grant the hard limit that it tells
        log.warn("the limit of open files stays at {soft}: {reason}", soft=soft, reason=str(error))
        return soft
    log.info("raised the limit of open files from {soft} to {hard}", soft=soft, hard=hard)
    return hard


def keep_memory() -> bool:
    """Have the C library keep up to 8 MiB that are free for the next buffers, and return whether it does.

    GNU's gives every buffer of 128 KiB back to the system and takes new pages for the next, which the system clears
    and maps one by one: at hundreds of megabytes a second that costs more than the encryption. Other libraries are
    left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(option, _KEPT_BYTES) == 1 for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD))


def warn_of_expiry(certificates: Iterable[Path]) -> None:
    """Warn of each certificate that is about to expire."""
    for certificate in certificates:
        left = days_left(certificate)
        if left < EXPIRES_SOON_DAYS:
            log.warn(
                "the certificate {certificate} expires in {left:.1f} days; issue a new one before",
                certificate=str(certificate),
                left=left,
            )


def _stop(reason: str) -> NoReturn:
    sys.stderr.write(f"{reason}\n")
    raise SystemExit(_EXIT_CONFIG)
