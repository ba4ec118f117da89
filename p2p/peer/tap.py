"""``twistd p2p-peer``: its options, and the service that they make."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from twisted.application.service import IService

from p2p.config import PeerConfig, load_peers
from p2p.content.services import Services
from p2p.daemon import ConfigOptions
from p2p.identity.tls import Credentials
from p2p.peer.service import PeerService, load_credentials

__all__ = ["Options", "makeService"]


def _load(path: Path) -> tuple[PeerConfig, list[Credentials]]:
    config = load_peers(path)
    return config, load_credentials(config)


class Options(ConfigOptions):
    """Options of the peer daemon."""

    program = "p2p-peer"
    load = staticmethod(_load)
    synopsis = "--config FILE [--check]"
    longdesc = (
        "Runs one peer of a cluster, or many: it registers at its router, is reached by its name, and exchanges "
        "content with other peers over direct links. Make a file for it with 'p2p lab init' or from "
        "etc/peer-n1.n.yaml, try it with --check, and talk to the running daemon with the command 'p2p'."
    )


def makeService(options: Options) -> IService:
    """Make the service; nothing happens before it starts."""
    from twisted.internet import reactor

    config, credentials = options["loaded"]
    return cast(IService, PeerService(reactor, config, credentials, Services.installed()))
