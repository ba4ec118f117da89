"""Telling the service manager how a daemon is: the protocol of ``sd_notify(3)``, one datagram a message."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from twisted.logger import Logger

__all__ = ["READY", "STOPPING", "notify"]

READY = "READY=1"
"""The daemon does its job now: its port or its console listens."""

STOPPING = "STOPPING=1"
"""The daemon has begun to shut down."""

_PATIENCE_S = 1.0
"""Seconds to wait for a receiver whose queue is full: a lost ``READY=1`` would end the daemon at its start."""

log = Logger()


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send a state to the socket that ``NOTIFY_SOCKET`` names, a path or ``@`` and an abstract name.

    Does nothing where the variable isn't set. That nobody listens there is logged and no reason to stop.

    :param state: lines of ``KEY=value``, for example :data:`READY`.
    """
    target = environ.get("NOTIFY_SOCKET", "")
    if not target:
        return
    address = f"\0{target[1:]}" if target.startswith("@") else target
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_PATIENCE_S)
            sender.sendto(state.encode(), address)
    except OSError as error:
        log.warn("can't tell {state} to NOTIFY_SOCKET {target}: {reason}", state=state, target=target, reason=error)
