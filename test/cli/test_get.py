"""``p2p get``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from click.testing import Result

from p2p.console.transfer_operations import GetArguments
from test.cli.commands import CommandCase
from test.consoles import peer_operations
from test.moves import Move, done, failed, moved, moved_one, verified

GET = sys.modules.get("p2p.cli.get") or __import__("p2p.cli.get", fromlist=["get"])
"""The module; its command has the same name."""


class GetCase(CommandCase):
    """Gets from a daemon that only says what would happen, from a folder that is empty but for two."""

    def setUp(self) -> None:
        """Stand in the folder."""
        super().setUp()
        before = Path.cwd()
        self.config = self.config.absolute()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        self.here = Path.cwd()
        (self.here / "into").mkdir()
        self.move = Move(verified(direction="get"), done(direction="get"))

    def get(self, *arguments: str, move: Any = None) -> Result:
        """Run ``p2p get``."""
        return self.run_command("get", *arguments, operations=peer_operations(get=move or self.move))

    def asked(self) -> GetArguments:
        """What the daemon was asked last."""
        return GetArguments.model_validate(self.move.asked[-1])


class GetTests(GetCase):
    """What is got, and where it goes."""

    def test_lines(self) -> None:
        """A file gets a line, and then the total is told."""
        result = self.get("m4.m", "film.mkv")
        self.assertEqual((0, ""), (result.exit_code, result.stderr))
        self.assertEqual(
            "film.mkv: 4.0 kB, verified 1a2b3c4d1a2b\nfrom m4.m: 1 file, 4.0 kB in 500 ms (8.0 kB/s)\n", result.stdout
        )

    def test_destination(self) -> None:
        """The last of several arguments is the folder if it is one, or says so; else everything is a name."""
        for arguments, names, folder in (
            (["film.mkv"], ["film.mkv"], self.here),
            (["into"], ["into"], self.here),
            (["photos/"], ["photos/"], self.here),
            (["a", "b"], ["a", "b"], self.here),
            (["a", "b/", "into"], ["a", "b/"], self.here / "into"),
            (["a", "new/deep/"], ["a"], self.here / "new" / "deep"),
            (["a", str(self.here)], ["a"], self.here),
            (["a", "x" * 300], ["a", "x" * 300], self.here),
        ):
            self.assertEqual(0, self.get("m4.m", *arguments).exit_code, arguments)
            asked = self.asked()
            self.assertEqual((names, str(folder)), (asked.names, asked.folder), arguments)
        self.assertTrue((self.here / "new" / "deep").is_dir())

    def test_options(self) -> None:
        """Every option reaches the daemon."""
        options = ["--exists", "refuse", "--links", "refuse", "--limit", "2MiB/s", "--deadline", "10min", "--detach"]
        self.get("m4.m", "a", *options)
        asked = self.asked()
        self.assertEqual(("refuse", "refuse", 2 << 20), (asked.exists, asked.links, asked.limit))
        self.assertEqual((600.0, True), (asked.deadline_s, asked.detach))

    def test_folder_that_can_not_be_made(self) -> None:
        """A folder that can't be made is told."""
        (self.here / "file").touch()
        self.assertIn("file/: File exists", self.failure(11, "get", "m4.m", "a", "file/"))
        gone = self.here / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
        self.assertIn("this folder: No such file", self.failure(11, "get", "m4.m", "a"))

    def test_failure(self) -> None:
        """A transfer that failed ends with the code of its outcome."""
        move = Move(failed("refused", "nothing is shared here"), answer=moved(moved_one("refused")))
        result = self.get("m4.m", "a", move=move)
        self.assertEqual(5, result.exit_code)
        self.assertIn("p2p: m4.m: refused: nothing is shared here", result.stderr)

    def test_several_peers(self) -> None:
        """One gets from one peer."""
        self.failure(2, "get", "m4.m,n2.n", "a")


class StreamTests(GetCase):
    """Standard output."""

    def setUp(self) -> None:
        """Let a pipe be standard output."""
        super().setUp()
        self.out, into = os.pipe()
        self.addCleanup(os.close, self.out)
        self.addCleanup(os.close, into)
        self.patch(GET, "STDOUT", into)

    def test_content(self) -> None:
        """The daemon writes the content to standard output itself, where nothing else is written."""
        self.move = Move(verified(direction="get"), done(direction="get"), written=b"content")
        result = self.get("m4.m", "film.mkv", "-", "--limit", "1MB/s")
        self.assertEqual((0, ""), (result.exit_code, result.stdout))
        self.assertEqual(2, len(result.stderr.splitlines()))
        self.assertEqual(b"content", os.read(self.out, 100))
        asked = self.asked()
        self.assertEqual((True, ["film.mkv"], 1_000_000), (asked.stream, asked.names, asked.limit))

    def test_usage(self) -> None:
        """Only one file goes there, while the command runs, and no JSON with it."""
        for arguments, reason in ((["a", "b", "-"], "only one file"), (["a", "-", "--detach"], "--detach")):
            self.assertIn(reason, self.failure(2, "get", "m4.m", *arguments))
        result = self.get("m4.m", "a", "-", "--json")
        self.assertEqual(2, result.exit_code)
        self.assertIn("can't both go to standard output", result.stdout)

    def test_closed(self) -> None:
        """Where standard output is closed, nothing can be got to it."""
        self.patch(GET, "STDOUT", 987)
        result = self.get("m4.m", "a", "-")
        self.assertEqual(11, result.exit_code)
        self.assertIn("standard output is closed", result.stderr)

    def test_name_that_is_a_dash(self) -> None:
        """Alone it is a name like any other."""
        self.get("m4.m", "-")
        self.assertEqual((["-"], str(self.here)), (self.asked().names, self.asked().folder))
