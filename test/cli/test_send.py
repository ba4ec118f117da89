"""``p2p send``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2p.cli.send import guess_type
from p2p.control.console import Handler
from p2p.errors import ExchangeFailed, LocalFileError, Outcome
from test.cli.commands import CommandCase
from test.consoles import DIGEST, HOSTILE, peer_operations

SEND = sys.modules["p2p.cli.send"]
"""The module; ``p2p.cli.send`` as an attribute is the same, but its command has the same name."""


class SendTests(CommandCase):
    """Files to a peer."""

    def setUp(self) -> None:
        """Make two files."""
        super().setUp()
        self.film = self.write("film.mkv", b"x" * 4000)
        self.notes = self.write("notes.txt", b"")

    def sending(self, **errors: Exception) -> dict[str, Handler]:
        """Operations that note what is asked, and fail for the file names that are given with ``_`` for the dot."""
        operations = peer_operations()
        works = operations["exchange"]
        self.asked: list[Mapping[str, Any]] = []

        async def exchange(request: Mapping[str, Any], emit: Any) -> Mapping[str, Any]:
            self.asked.append(request)
            error = errors.get(request["name"].replace(".", "_"))
            if error is not None:
                raise error
            return await works(request, emit)

        return {**operations, "exchange": exchange}

    def test_lines(self) -> None:
        """Each file gets a line with its size, time, rate, digest and the name it got; off a terminal nothing else."""
        self.assertEqual(
            self.output("send", "m4.m", str(self.film), str(self.notes)),
            "film.mkv: 4.0 kB in 500 ms (8.0 kB/s), BLAKE3 1a2b3c4d1a2b, stored as film.mkv\n"
            "notes.txt: 4.0 kB in 500 ms (8.0 kB/s), BLAKE3 1a2b3c4d1a2b, stored as notes.txt\n",
        )

    def test_request(self) -> None:
        """The daemon is asked with the absolute path, the file's name and its type, for the store."""
        relative = os.path.relpath(self.film)
        self.output("send", "m4.m", relative, str(self.notes), operations=self.sending())
        self.assertEqual([one["path"] for one in self.asked], [str(Path(relative).absolute()), str(self.notes)])
        self.assertEqual(
            [(one["name"], one["type"]) for one in self.asked], [("film.mkv", "video"), ("notes.txt", "text")]
        )
        self.assertEqual({one["service"] for one in self.asked}, {"store"})

    def test_type(self) -> None:
        """``--type`` says what the content is where the name doesn't."""
        self.output("send", "m4.m", str(self.film), "--type", "data", operations=self.sending())
        self.assertEqual(self.asked[0]["type"], "data")
        self.assertIn("--type", self.failure(2, "send", "m4.m", str(self.film), "--type", "smell"))

    def test_json(self) -> None:
        """JSON is one object a line: progress, then the end of each file."""
        lines = self.output("send", "m4.m", str(self.film), "--json").splitlines()
        first, _, last = [json.loads(line) for line in lines]
        self.assertEqual(first, {"event": "progress", "file": str(self.film), "bytes": 1000, "length": 4000})
        self.assertEqual((last["event"], last["digest"], last["receipt"]["name"]), ("sent", DIGEST, "film.mkv"))

    def test_bar(self) -> None:
        """On a terminal a bar shows how far a file is; what is printed on standard output stays the same."""
        self.patch(SEND, "on_terminal", lambda: True)
        result = self.run_command("send", "m4.m", str(self.film))
        self.assertEqual(result.exit_code, 0)
        self.assertIn("film.mkv", result.stderr)
        self.assertIn("4.0/4.0 kB", result.stderr)
        self.assertEqual(len(result.stdout.splitlines()), 1)

    def test_one_fails(self) -> None:
        """A file that is refused doesn't stop the next one; the code is that of the first failure."""
        operations = self.sending(
            film_mkv=ExchangeFailed(Outcome.REFUSED, "no room"), notes_txt=LocalFileError("notes.txt: vanished")
        )
        result = self.run_command("send", "m4.m", str(self.film), str(self.notes), operations=operations)
        self.assertEqual((result.exit_code, result.stdout), (5, ""))
        self.assertEqual(
            result.stderr,
            "p2p: film.mkv: refused: no room\n"
            "next: change what the reason names, then try again\n"
            "p2p: notes.txt: vanished\n",
        )
        self.assertEqual(len(self.asked), 2)

    def test_failure_then_success(self) -> None:
        """The files that arrived are told beside those that didn't."""
        operations = self.sending(film_mkv=ExchangeFailed(Outcome.RESET, "the link ended"))
        result = self.run_command("send", "m4.m", str(self.film), str(self.notes), operations=operations)
        self.assertEqual(result.exit_code, 8)
        self.assertIn("notes.txt: 4.0 kB", result.stdout)

    def test_nobody_there(self) -> None:
        """If the peer can't be reached, the other files aren't tried in vain."""
        operations = self.sending(film_mkv=ExchangeFailed(Outcome.UNKNOWN_PEER, "no m9.m"))
        self.failure(3, "send", "m9.m", str(self.film), str(self.notes), operations=operations)
        self.assertEqual([one["name"] for one in self.asked], ["film.mkv", "film.mkv"])

    def test_unusable_files(self) -> None:
        """A file that can't be sent is told before anything is sent, with what to do."""
        os.mkfifo(self.folder / "pipe")
        for file, reason in (
            (str(self.folder / "none"), "No such file or directory"),
            (str(self.folder), "this is a folder"),
            ("", "is empty"),
            (str(self.folder / "pipe"), "regular file"),
            ("a\0b", "null byte"),
        ):
            self.assertIn(reason, self.failure(11, "send", "m4.m", str(self.film), file, operations={}))

    def test_unreadable_file(self) -> None:
        """A file that this user may not read is told."""
        self.patch(os, "access", lambda path, mode: False)
        self.assertIn("may not read", self.failure(11, "send", "m4.m", str(self.film), operations={}))

    def test_hostile_names(self) -> None:
        """Neither one's own file names nor a name from the other side can steer the terminal."""
        path = self.write(HOSTILE, b"x")
        shown = self.output("send", "m4.m", str(path))
        self.assertTrue(shown[:-1].isprintable())
        operations = self.sending(**{HOSTILE.replace(".", "_"): ExchangeFailed(Outcome.REFUSED, HOSTILE)})
        shown = self.failure(5, "send", "m4.m", str(path), operations=operations)
        self.assertTrue(shown.replace("\n", "").isprintable())

    def test_no_file(self) -> None:
        """Without a file the usage is told."""
        self.assertIn("FILE", self.failure(2, "send", "m4.m"))


class GuessTests(SynchronousTestCase):
    """What a file is, by its name."""

    def test_guess(self) -> None:
        """The ending decides, the same on every machine; what isn't known is data."""
        for names, guessed in (
            ("a.txt b.md c.rst d.html e.csv", "text"),
            ("a.wav b.mp3 c.flac d.ogg e.opus f.m4a", "audio"),
            ("a.mp4 b.mkv c.webm d.avi e.mov", "video"),
            ("a.pdf b.zip c.json d.png README .profile a.unheard", "data"),
        ):
            for name in names.split():
                self.assertEqual(guess_type(name), guessed, name)
