"""What Twisted finds of p2p: the two daemons of ``twistd`` and the content services of a peer."""

from twisted.application.service import ServiceMaker

from p2p.content.echo import echo
from p2p.content.files import store
from p2p.content.text import uppercase

__all__ = ["echo", "peer", "router", "store", "uppercase"]

router = ServiceMaker("p2p-router", "p2p.router.tap", "S-Router of a p2p cluster", "p2p-router")
peer = ServiceMaker("p2p-peer", "p2p.peer.tap", "Peer of a p2p cluster, or several of them", "p2p-peer")
