"""Tests for :mod:`p2p.identity.joined`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_der_public_key
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import load_peers
from p2p.base.errors import IdentityError, LocalFileError
from p2p.identity.authority import Authority
from p2p.identity.joined import JoiningFiles
from p2p.identity.lab_files import RouterPlace
from p2p.peer.service import load_credentials

PLACE = RouterPlace(host="192.0.2.1", port=5555)


class JoiningFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="p2p-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "new"
        home = Path(folder.name) / "lab"
        home.mkdir()
        self.authority = Authority.create(home)

    def finish(self, files: JoiningFiles, links: str = "tls") -> None:
        certificate = self.authority.certify("n5.n", load_der_public_key(files.key()))  # type: ignore[arg-type]  # P-256
        files.finish(self.authority.certificate, certificate, links)

    def test_whole(self) -> None:
        """The files that a machine gets are all that its daemon needs; the key is for its owner alone."""
        files = JoiningFiles(self.folder, "n5.n", PLACE)
        self.finish(files, "plain")
        config = load_peers(files.config)
        self.assertEqual(("tcp:192.0.2.1:5555", "plain"), (config.router, config.links))
        (credentials,) = load_credentials(config)
        self.assertEqual("n5.n", credentials.name)
        self.assertEqual(0o600, (self.folder / "certificates" / "n5.n.key").stat().st_mode & 0o777)
        self.assertTrue((self.folder / "inbox" / "n5.n").is_dir())

    def test_systemd(self) -> None:
        """For systemd's units, the daemon keeps its files in the folders that these give it."""
        files = JoiningFiles(self.folder, "n5.n", PLACE, systemd=True)
        self.finish(files)
        self.assertEqual(Path("/run/p2p/peer-n5.n/console.sock"), load_peers(files.config, files=False).console)

    def test_again(self) -> None:
        """A try that came to nothing leaves its key, with which the next one goes on."""
        first = JoiningFiles(self.folder, "n5.n", PLACE).key()
        files = JoiningFiles(self.folder, "n5.n", PLACE)
        self.assertEqual(first, files.key())
        self.finish(files)
        with self.assertRaisesRegex(LocalFileError, "n5.n seems to have joined"):
            JoiningFiles(self.folder, "n5.n", PLACE)

    def test_second_peer(self) -> None:
        """A second machine of the same lab shares the folder, one of another lab doesn't."""
        self.finish(JoiningFiles(self.folder, "n5.n", PLACE))
        other = JoiningFiles(self.folder, "n6.n", PLACE)
        other.key()
        (self.folder / "ca.pem").write_text("another")
        with self.assertRaisesRegex(IdentityError, "is the authority of another lab"):
            self.finish(other)

    def test_strange_links(self) -> None:
        """A lab whose links are of a kind that isn't known here is one of a newer version."""
        with self.assertRaisesRegex(IdentityError, "links are 'carrier pigeons'"):
            self.finish(JoiningFiles(self.folder, "n5.n", PLACE), "carrier pigeons")

    def test_not_writable(self) -> None:
        """A folder that can't be made or written is told."""
        self.folder.parent.joinpath("file").write_text("")
        with self.assertRaisesRegex(LocalFileError, "can't be written"):
            JoiningFiles(self.folder.parent / "file" / "new", "n5.n", PLACE).key()
        files = JoiningFiles(self.folder, "n5.n", PLACE)
        files.key()
        (self.folder / "ca.pem").symlink_to("/nowhere/at/all")
        with self.assertRaisesRegex(LocalFileError, "ca.pem: can't be written"):
            self.finish(files)
