"""``twistd p2p-router``: its command line, and making its service."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from twisted.application.service import IService

from p2p.base.config import RouterConfig, load_router
from p2p.daemons.options import DaemonOptions
from p2p.daemons.reloading import ReloadOnHangup
from p2p.identity.tls import Credentials
from p2p.router.service import RouterService, load_credentials
from p2p.wire.monotonic import run_on_monotonic_clock

__all__ = ["Options", "makeService"]


class Options(DaemonOptions):
    """What ``twistd p2p-router`` takes.

    :ivar config: the configuration, once the options are parsed.
    :ivar credentials: the certificate and key that it names.
    """

    program = "p2p-router"
    longdesc = (
        "The S-Router of one cluster. Peers of the cluster register here; who wants a direct link to a peer of this or "
        "another cluster asks here, and the link then goes from peer to peer, without the router. "
        "The configuration is a YAML file; etc/ has a commented example, and 'p2p lab init DIR' makes a whole lab with "
        "its certificates. Then: twistd -n --pidfile= p2p-router --config DIR/router-n.yaml. Without -n, twistd goes "
        "to the background and writes twistd.log. "
        "Exit codes: 1 if the port or the console can't be had, 2 if the configuration can't be used."
    )

    config: RouterConfig
    credentials: Credentials

    def load(self, path: Path) -> None:
        """Load the configuration and the router's certificate."""
        self.config = load_router(path)
        self.credentials = load_credentials(self.config)

    def reread(self) -> RouterConfig:
        """Load the configuration once more, and see that the certificate can be used.

        :raises P2PError: with everything that is wrong.
        """
        config = load_router(self.path)
        load_credentials(config)
        return config


def makeService(options: Options, *, reactor: Any = None) -> IService:
    """Make the service of a router; nothing is started.

    :param reactor: twistd's if left out; it runs on the monotonic clock from here on.
    """
    from random import random

    if reactor is None:
        from twisted.internet import reactor
    run_on_monotonic_clock(reactor)
    service = RouterService(reactor, options.config, options.credentials, random=random)
    ReloadOnHangup(reactor, options.reread, service.reload).setServiceParent(service)  # type: ignore[no-untyped-call]  # Twisted's
    gc.freeze()  # what is there now stays: looking through it for garbage would hold everybody up for 30 ms each time
    return service
