"""What Twisted finds of p2p: the daemons of ``twistd`` and the content services of a peer."""

from twisted.application.service import ServiceMaker

from p2p.services.chat_room import chat
from p2p.services.echo import echo, uppercase
from p2p.services.inspect import inspect
from p2p.services.pipe import pipe
from p2p.services.relay import relay
from p2p.services.store import store
from p2p.services.tunnel import tunnel
from p2p.transfer.listing import listing
from p2p.transfer.receiving_service import transfer
from p2p.transfer.sharing_service import fetch

__all__ = ["chat", "echo", "fetch", "inspect", "listing", "peer", "pipe", "relay", "router", "signer"]
__all__ += ["store", "transfer", "tunnel", "uppercase"]

router = ServiceMaker("p2p-router", "p2p.daemons.router", "S-Router of a p2p cluster", "p2p-router")
peer = ServiceMaker("p2p-peer", "p2p.daemons.peer", "Peer of a p2p cluster, or several of them", "p2p-peer")
signer = ServiceMaker("p2p-signer", "p2p.daemons.signer", "Signer of a p2p lab, beside its authority", "p2p-signer")
