"""Certificates renew themselves: routers, peers and the signer are real processes, in labs that are weeks old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from p2p.console.operations import PeerStatus
from test.functional.cases import FunctionalCase, Run
from test.functional.lab import RunningLab, until


class RenewingTests(FunctionalCase):
    """Cluster n with one peer."""

    def lab_of(self, days: float) -> RunningLab:
        """A lab that was made so many days ago, with certificates for 30 days."""
        return self.own_lab(("n",), now=datetime.now(UTC) - timedelta(days=days), peers=1)

    def start_signer(self, lab: RunningLab) -> Run:
        return self.run_program("twistd", "--nodaemon", "--pidfile=", "p2p-signer", "--lab", lab.folder)

    async def renewed(self, lab: RunningLab) -> None:
        """Wait until router and peer have certificates for 30 days, and the peer is registered."""

        async def done() -> bool:
            async with await lab.connect("peer-n1.n") as client:
                status = await client.status()
            assert isinstance(status, PeerStatus)
            (peer,) = status.peers
            router = await lab.router_status("n")
            return peer.registered and (peer.certificate_days or 0) > 29 and (router.certificate_days or 0) > 29

        await until(done, "the certificates to be renewed", 55.0)

    async def test_in_time(self) -> None:
        """After two thirds of its life a certificate is renewed, while the connection to the router goes on."""
        lab = self.lab_of(25)
        await lab.start_router("n")
        self.start_signer(lab)
        await until(lambda: self.says(lab, "the signer linked"), "the signer")
        await lab.start_peers("peer-n1.n")
        await self.renewed(lab)
        self.assertNotIn("n1.n at 127.0.0.1 left", lab.log("router-n"))
        self.assertEqual(1, lab.log("router-n").count("n1.n at 127.0.0.1:"))
        await lab.daemons["peer-n1.n"].stop()
        await lab.start_peers("peer-n1.n")
        await self.renewed(lab)

    async def test_ended(self) -> None:
        """A lab that was off for too long: as soon as a signer runs, the router renews, then the peer."""
        lab = self.lab_of(40)
        await lab.start_router("n")
        await lab.start_peers("peer-n1.n", registered=False)
        await until(lambda: self.says(lab, "can't register"), "the peer to try", 10.0)
        self.start_signer(lab)
        await self.renewed(lab)

    async def says(self, lab: RunningLab, text: str) -> bool:
        return any(text in lab.log(name) for name in lab.daemons)
