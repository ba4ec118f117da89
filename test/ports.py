"""Free ports for tests with real sockets, also while other tests look for some."""

from __future__ import annotations

import random
import socket
import sys
from typing import Final

__all__ = ["free_ports"]

_claims: Final[list[socket.socket]] = []
"""Each bears the name of a port that this process has been given; the system frees them when it ends."""


def free_ports(count: int) -> list[int]:
    """Ports on which nothing listens, below those that systems give to outgoing connections.

    So a router that is killed finds its port free when it is started again. No two calls get the same port, not in
    other processes either (on Linux), for as long as the process runs that got it first.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(10_000, 32_000)
        if _claimed(port) and _free(port):
            ports.append(port)
    return ports


def _claimed(port: int) -> bool:
    if sys.platform != "linux":
        return True
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0p2p-test-port-{port}")  # in the abstract namespace: no file is left behind
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
