"""Daemons after an upgrade that took something private away: links work as before, also with other daemons."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from unittest import mock

from test import upgrades
from test.functional import test_plain, test_transfers
from test.functional.cases import FunctionalCase
from test.functional.lab import RunningLab


class UpgradedCase(FunctionalCase):
    """The daemons that a test starts for itself find another module than is installed.

    :cvar upgrade: the module, and what has another name in it.
    """

    upgrade: tuple[str, str]

    def install(self) -> None:
        """Have Python make the upgrade before anything else, in every process that starts from here on."""
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        source = Path(upgrades.__file__).read_text()
        (Path(folder.name) / "sitecustomize.py").write_text(f"{source}\n\ninstall{self.upgrade!r}\n")
        paths = os.pathsep.join([folder.name, *filter(None, [os.environ.get("PYTHONPATH")])])
        changed = mock.patch.dict(os.environ, PYTHONPATH=paths)
        changed.start()
        self.addCleanup(changed.stop)

    def assert_warned(self, lab: RunningLab, *daemons: str) -> None:
        """These daemons have said what is missing."""
        for name in daemons:
            self.assertIn("links go through Twisted's own TLS", lab.log(name), name)
            self.assertIn(self.upgrade[1], lab.log(name), name)


class TransferTests(UpgradedCase, test_transfers.TransferTests):
    """Transfers where Twisted has been upgraded at both ends."""

    upgrade = "twisted.protocols.tls", "_tlsShutdownFinished"

    async def prepare(self) -> None:
        """Upgrade, and see that the daemons know."""
        self.install()
        await super().prepare()
        self.assert_warned(self.lab, "n", "m")


class PlainTests(UpgradedCase, test_plain.PlainTests):
    """Links with TLS and without, between daemons for which pyOpenSSL has been upgraded and others."""

    upgrade = "OpenSSL.SSL", "_raise_ssl_error"

    async def start_plain(self, cluster: str) -> None:
        """Upgrade when the lab runs already, and see that only the daemons of this test know."""
        if cluster == "n":
            self.install()
        await super().start_plain(cluster)
        self.assert_warned(self.lab, f"plain-{cluster}")
        self.assertNotIn("links go through", self.lab.log(f"peers-{cluster}"))
