"""A coverage plugin that saves the figures of a process before a signal ends it.

``twistd`` answers a signal by stopping the reactor and then sending the same signal to itself, now with the default
action, so that its parent sees how it ended. Coverage writes its data at exit, and a signal skips that. The plugin is
named in setup.cfg, and the Makefile puts this folder on PYTHONPATH.
"""

from __future__ import annotations

import os
import signal

from coverage import Coverage
from coverage.plugin_support import Plugins

__all__ = ["coverage_init"]


def coverage_init(reg: Plugins, options: object) -> None:
    """Wrap ``os.kill`` in this process; coverage calls this once it has read its configuration."""
    send = os.kill

    def kill(pid: int, number: int) -> None:
        measured = Coverage.current()
        if measured is not None and pid == os.getpid() and signal.getsignal(number) is signal.SIG_DFL:
            measured.save()
        send(pid, number)

    os.kill = kill
