"""What a person can ask a router over its console."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from p2p import __version__
from p2p.control.console import Emit
from p2p.control.operations import Mean, NoArguments, RouterStatus, SocketBytes

if TYPE_CHECKING:
    from p2p.router.service import RouterService

__all__ = ["StatusOperation"]


class StatusOperation:
    """``status``: how the router is, its counters since it started."""

    def __init__(self, service: RouterService) -> None:
        self._service = service

    async def __call__(self, arguments: NoArguments, emit: Emit) -> RouterStatus:
        """Return the status."""
        service = self._service
        times = service.router.times
        return RouterStatus(
            version=__version__,
            pid=os.getpid(),
            cluster=service.router.cluster,
            listening=service.listening,
            peers=len(service.router.table),
            neighbours=dict(service.federation.clusters),
            connections=service.meter.open,
            socket_bytes=SocketBytes(received=service.meter.received, sent=service.meter.sent),
            lookups=times.count,
            table_lookup_ns=Mean(count=times.count, mean=times.mean, max=times.longest),
        )
