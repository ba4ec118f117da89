"""A lab of two clusters in a folder, with its routers and its signer on machines of a network in memory."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import load_router
from p2p.control.joining import Enrolment, Joined
from p2p.identity.authority import Authority
from p2p.identity.invitation import InviteCode, mark_of
from p2p.identity.joined import JoiningFiles
from p2p.identity.lab import create_lab
from p2p.identity.lab_files import RouterPlace
from p2p.identity.ledger import Ledger
from p2p.identity.pem_files import public_key_of
from p2p.identity.tls import Newcomer
from p2p.router.service import RouterService, load_credentials
from p2p.signer.service import SignerService
from test.network import Network

__all__ = ["HOSTS", "SECRET", "SignerTestCase"]

HOSTS = {"n": "10.0.13.1", "m": "10.0.12.1"}
SECRET = b"0123456789"


class SignerTestCase(SynchronousTestCase):
    """Cluster n's router and the signer run; m's starts when a test says so.

    :ivar used: the names of the machines that have joined.
    """

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        self.top = Path(folder.name)
        self.folder = self.top / "lab"
        create_lab(self.folder, clusters=["n", "m"], peers=1, hosts=HOSTS, ports={"n": 5555, "m": 5555})
        self.network = Network()
        self.now = time.time()
        self.used: list[str] = []
        self.router = self.start_router("n")
        self.ledger = Ledger.open(self.folder)
        self.addCleanup(self.ledger.close)

    def start_router(self, cluster: str) -> RouterService:
        path = self.folder / f"router-{cluster}.yaml"
        path.write_text(path.read_text().replace("console:", "# console:"))
        config = load_router(path)
        router = RouterService(
            self.network.on(HOSTS[cluster]),
            config,
            load_credentials(config),
            random=lambda: 0.0,
            tell=lambda text: None,
        )
        router.startService()
        self.addCleanup(self.stop, router)
        self.network.settle()
        return router

    def start_signer(self) -> SignerService:
        signer = SignerService(
            self.network.on("10.8.8.8"),
            self.folder,
            used=self.used.append,
            wall=lambda: self.now,
            tell=lambda text: None,
        )
        signer.startService()
        self.addCleanup(self.stop, signer)
        self.network.settle()
        return signer

    def stop(self, service: Any) -> None:
        if service.running:
            stopping = service.stopService()
            self.network.advance(10)
            self.successResultOf(stopping)

    def invite(self, name: str = "n5.n", *, seconds: float = 3600.0, secret: bytes = SECRET) -> InviteCode:
        made = self.ledger.invite(name, secret, 77, self.now + seconds, self.now)
        return self.code(made.locator, made.secret)

    def code(self, locator: int, secret: bytes) -> InviteCode:
        """The code of an invitation of this lab."""
        return InviteCode(mark_of(public_key_of(Authority.load(self.folder).certificate)), locator, secret)

    def files(self, folder: str, name: str = "n5.n") -> JoiningFiles:
        return JoiningFiles(self.top / folder, name, RouterPlace(host=HOSTS["n"], port=5555))

    def join(
        self,
        code: InviteCode,
        name: str = "n5.n",
        folder: str = "new",
        *,
        router: str = "router.n",
        cluster: str = "n",
        make: type[Enrolment] = Enrolment,
    ) -> Deferred[Joined]:
        """What a new machine gets that asks the router of a cluster."""
        asking = make(self.network, 30.0, router, name, code, self.files(folder, name).key())
        self.asking = asking
        factory = Factory.forProtocol(lambda: asking)
        factory.noisy = False
        endpoint = clientFromString(self.network.on("10.9.9.9"), f"tcp:{HOSTS[cluster]}:5555")
        endpoint.connect(Newcomer().wrap(factory, self.network))
        self.network.settle()
        return asking.joined
