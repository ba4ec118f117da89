"""Tests for :mod:`p2p.cli.units`, with a program in the place of systemctl."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import LocalFileError
from p2p.cli import units


class UnitsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.asked = self.folder / "asked"
        self.systemctl(0)
        self.patch(units, "USER", pwd.getpwuid(os.getuid()).pw_name)
        self.key = self.folder / "n5.n.key"
        self.key.write_text("")

    def systemctl(self, code: int) -> None:
        """Put a program there that notes what it is asked and ends with this code."""
        program = self.folder / "systemctl"
        program.write_text(f'#!/bin/sh\necho "$@" >> {self.asked}\necho "no such unit" >&2\nexit {code}\n')
        program.chmod(0o755)
        self.patch(os, "environ", {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"})

    def test_all(self) -> None:
        """The unit of the machine is enabled and started, and the key is its user's."""
        self.assertEqual("systemctl enable --now p2p-peer@n5.n", units.enable_for_all("n5.n", self.key))
        self.assertEqual("enable --now p2p-peer@n5.n\n", self.asked.read_text())

    def test_no_user(self) -> None:
        """Where that user isn't, it is said what is missing, and nothing is started."""
        self.patch(units, "USER", "nobody-of-this-name")
        with self.assertRaisesRegex(LocalFileError, "can't be given to the user nobody-of-this-name"):
            units.enable_for_all("n5.n", self.key)
        self.assertFalse(self.asked.exists())

    def test_user(self) -> None:
        """A unit of the user's own is written, and started."""
        made = units.enable_for_user("n5.n", self.folder / "50%", self.folder)
        self.assertEqual("systemctl --user enable --now p2p-peer@n5.n", made)
        text = (self.folder / ".config/systemd/user/p2p-peer@.service").read_text()
        self.assertIn(f"--config {self.folder}/50%%/peer-%i.yaml\n", text)
        self.assertEqual("--user enable --now p2p-peer@n5.n\n", self.asked.read_text())

    def test_fails(self) -> None:
        """What systemd says is told; where it isn't there, that; and where the unit can't be written."""
        self.systemctl(5)
        with self.assertRaisesRegex(LocalFileError, "systemctl enable --now p2p-peer@n5.n: no such unit"):
            units.enable_for_all("n5.n", self.key)
        (self.folder / "systemctl").unlink()
        self.patch(os, "environ", {**os.environ, "PATH": str(self.folder)})
        with self.assertRaisesRegex(LocalFileError, "can't be run"):
            units.enable_for_all("n5.n", self.key)
        with self.assertRaisesRegex(LocalFileError, "can't be written"):
            units.enable_for_user("n5.n", self.folder, self.key)
