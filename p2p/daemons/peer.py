"""``twistd p2p-peer``: its command line, and making its service."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from time import monotonic_ns
from typing import Any

from twisted.application.service import IService

from p2p.base.config import PeerConfig, load_peers
from p2p.daemons.options import DaemonOptions
from p2p.daemons.reloading import ReloadOnHangup
from p2p.exchange.service import IContentService, Services
from p2p.experiment.service import Contents, ExperimentService
from p2p.identity.tls import Credentials
from p2p.peer.jobs import Jobs
from p2p.peer.node import HostedPeer
from p2p.peer.service import PeerService, load_credentials
from p2p.wire.monotonic import run_on_monotonic_clock
from p2p.wire.threads import LeanPool

__all__ = ["Options", "makeService"]


class Options(DaemonOptions):
    """What ``twistd p2p-peer`` takes.

    :ivar config: the configuration, once the options are parsed.
    :ivar credentials: the certificates and keys of the hosted peers, in their order.
    """

    program = "p2p-peer"
    longdesc = (
        "Runs one peer of a cluster, or many: it registers at its router, is reached by its name, and exchanges "
        "content with other peers over direct links. "
        "The configuration is a YAML file; etc/ has commented examples, and 'p2p lab init DIR' makes a whole lab with "
        "its certificates. Then: twistd -n --pidfile= p2p-peer --config DIR/peer-n1.n.yaml, and talk to the running "
        "daemon with the command p2p. Without -n, twistd goes to the background and writes twistd.log. "
        "Exit codes: 1 if the console or an inbox can't be had, 2 if the configuration can't be used."
    )

    config: PeerConfig
    credentials: list[Credentials]

    def load(self, path: Path) -> None:
        """Load the configuration and the certificates of the peers."""
        self.config = load_peers(path)
        self.credentials = load_credentials(self.config)

    def reread(self) -> PeerConfig:
        """Load the configuration once more, and see that the certificates can be used.

        :raises P2PError: with everything that is wrong.
        """
        config = load_peers(self.path)
        load_credentials(config)
        return config


def makeService(options: Options, *, reactor: Any = None) -> IService:
    """Make the service of the peers; nothing is started.

    :param reactor: twistd's if left out; it runs on the monotonic clock from here on.
    """
    if reactor is None:
        from twisted.internet import reactor
    run_on_monotonic_clock(reactor)

    def experiment(peers: Mapping[str, HostedPeer], jobs: Jobs, state: Path) -> list[IContentService]:
        contents = Contents(state / "experiment", jobs)
        return [ExperimentService(peers, options.config.experiment, contents, reactor, monotonic_ns, token_hex(8))]

    service = PeerService(
        reactor,
        options.config,
        options.credentials,
        Services.installed(),
        pool=LeanPool(),
        own_services=experiment,
    )
    ReloadOnHangup(reactor, options.reread, service.reload).setServiceParent(service)  # type: ignore[no-untyped-call]  # Twisted's
    gc.freeze()  # what is there now stays: looking through it for garbage would hold everybody up for 30 ms each time
    return service
