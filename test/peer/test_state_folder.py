"""Where a daemon keeps what must outlive it: where it was, however the configuration changes."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from p2p.base.config import PeerConfig, PeerEntry
from p2p.peer.state_folder import find_state


class StateFolderTests(SynchronousTestCase):
    """A daemon with the peers n1.n and n2.n."""

    def setUp(self) -> None:
        """Have a folder for the inboxes."""
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()

    def config(self, *names: str, state: Path | None = None) -> PeerConfig:
        """A configuration with the peers in this order; nothing of it but the inboxes matters."""
        none = Path("/none")
        entries = [
            PeerEntry.model_construct(name=name, certificate=none, key=none, inbox=self.folder / name) for name in names
        ]
        return PeerConfig.model_construct(peers=entries, state=state)

    def journal(self, name: str) -> Path:
        """Have a journal beside the inbox of a peer."""
        folder = self.folder / f"{name}.state"
        folder.mkdir()
        (folder / "journal.sqlite").touch()
        return folder

    def test_said(self) -> None:
        """It is where the file says, whatever lies elsewhere."""
        self.journal("n1.n")
        self.assertEqual(Path("/var/state"), find_state(self.config("n1.n", state=Path("/var/state"))))

    def test_first(self) -> None:
        """At first it is beside the first inbox."""
        self.assertEqual(self.folder / "n2.n.state", find_state(self.config("n2.n", "n1.n")))

    def test_order(self) -> None:
        """It stays where it is when another peer comes first."""
        known = self.journal("n1.n")
        for names in (("n1.n", "n2.n"), ("n2.n", "n1.n")):
            self.assertEqual(known, find_state(self.config(*names)))

    def test_several(self) -> None:
        """Of several the first is taken, and that is told, with what to do."""
        first, other = self.journal("n1.n"), self.journal("n2.n")
        with capturedLogs() as logs:
            self.assertEqual(first, find_state(self.config("n1.n", "n2.n")))
        (event,) = logs
        self.assertEqual((str(first), str(other)), (event["folder"], event["others"]))
        self.assertIn("'state: FOLDER'", event["log_format"])

    def test_unreadable(self) -> None:
        """What can't be looked into isn't taken for a journal."""
        (self.folder / "n2.n.state").symlink_to("n2.n.state")  # a loop
        (self.folder / "n1.n.state").write_text("a file")
        self.assertEqual(self.folder / "n2.n.state", find_state(self.config("n2.n", "n1.n")))
