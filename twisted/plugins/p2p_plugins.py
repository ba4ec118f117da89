"""What Twisted finds of p2p: the two daemons of ``twistd`` and the content services of a peer."""

from twisted.application.service import ServiceMaker

from p2p.content.chat import chat
from p2p.content.echo import echo
from p2p.content.files import store
from p2p.content.inspect import inspect
from p2p.content.text import uppercase
from p2p.transfer.listing import listing
from p2p.transfer.receiving_service import transfer
from p2p.transfer.sharing_service import fetch

__all__ = ["chat", "echo", "fetch", "inspect", "listing", "peer", "router", "store", "transfer", "uppercase"]

router = ServiceMaker("p2p-router", "p2p.router.tap", "S-Router of a p2p cluster", "p2p-router")
peer = ServiceMaker("p2p-peer", "p2p.peer.tap", "Peer of a p2p cluster, or several of them", "p2p-peer")
