"""``p2p send``."""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from click.testing import Result

from p2p.console.transfer_operations import SendArguments
from test.cli.commands import CommandCase
from test.consoles import peer_operations
from test.moves import Move, moved, moved_one, progress, verified, whole

SEND = import_module("p2p.cli.send")
"""The module; ``p2p.cli.send`` as an attribute is the same, but its command has the same name."""


class SendCase(CommandCase):
    """Sends against a daemon that only says what would happen."""

    def setUp(self) -> None:
        """Make two files and a folder."""
        super().setUp()
        self.film = self.write("film.mkv", b"x" * 4000)
        self.notes = self.write("notes.txt", b"")
        self.photos = self.folder.absolute() / "photos"
        self.photos.mkdir()
        self.move = whole()

    def send(self, *arguments: str | Path, move: Any = None) -> Result:
        """Run ``p2p send``."""
        return self.run_command("send", *map(str, arguments), operations=peer_operations(send=move or self.move))

    async def die(self, request: Any, emit: Any) -> Any:
        """Begin, and end with the daemon."""
        await emit("transfer", transfer=progress(1000).model_dump())
        self.reactor.console.stopService()

    def asked(self) -> SendArguments:
        """What the daemon was asked last."""
        return SendArguments.model_validate(self.move.asked[-1])


class SendTests(SendCase):
    """What goes, and what is said of it."""

    def test_lines(self) -> None:
        """A file gets a line with its size and root, and then the total is told; off a terminal nothing else."""
        result = self.send("m4.m", self.film)
        self.assertEqual((0, ""), (result.exit_code, result.stderr))
        self.assertEqual(
            "film.mkv: 4.0 kB, verified 1a2b3c4d1a2b\nto m4.m: 1 file, 4.0 kB in 500 ms (8.0 kB/s)\n", result.stdout
        )

    def test_request(self) -> None:
        """The daemon is asked for all paths at once, each of them absolute."""
        relative = os.path.relpath(self.film)
        self.assertEqual(0, self.send("m4.m", relative, self.photos).exit_code)
        asked = self.asked()
        self.assertEqual([str(Path(relative).absolute()), str(self.photos)], asked.paths)
        self.assertEqual((["m4.m"], "data", "keep"), (asked.peers, asked.type, asked.links))
        self.assertEqual((None, 3600.0, False), (asked.limit, asked.deadline_s, asked.detach))

    def test_options(self) -> None:
        """Every option reaches the daemon."""
        options = ["--links", "refuse", "--limit", "10MB/s", "--deadline", "2d", "--detach", "--name", "new.mkv"]
        self.send("m4.m", self.film, *options)
        asked = self.asked()
        self.assertEqual(("refuse", 10_000_000, 172_800.0), (asked.links, asked.limit, asked.deadline_s))
        self.assertEqual((True, "new.mkv"), (asked.detach, asked.name))

    def test_acting(self) -> None:
        """``--as`` says who sends."""
        self.run_command("--as", "n1.n", "send", "m4.m", str(self.film), operations=peer_operations(send=self.move))
        self.assertEqual("n1.n", self.asked().acting)

    def test_several_peers(self) -> None:
        """Names with commas between them, and patterns, are several peers; then each line says whose it is."""
        self.send("m4.m,n2.n", self.film)
        self.assertEqual(["m4.m", "n2.n"], self.asked().peers)
        result = self.send("*.m", self.film)
        self.assertEqual(["*.m"], self.asked().peers)
        self.assertEqual("m4.m: film.mkv: 4.0 kB, verified 1a2b3c4d1a2b", result.stdout.splitlines()[0])

    def test_no_peers(self) -> None:
        """What is neither a peer nor a pattern in one cluster is refused before anything is asked."""
        for target in ("m4", "m4.m,", "*", "*.*", "m4.m,N1.n", ""):
            self.failure(2, "send", target, str(self.film))

    def test_type(self) -> None:
        """The type is that which the names say, if they agree; a folder is data; ``--type`` has the last word."""
        song = self.write("song.flac", b"")
        for paths, kind in (
            ([self.film], "video"),
            ([self.film, self.notes], "data"),
            ([song, song], "audio"),
            ([self.photos], "data"),
            ([self.notes, "--type", "audio"], "audio"),
            ([self.film, "--name", "a.txt"], "text"),
        ):
            self.send("m4.m", *paths)
            self.assertEqual(kind, self.asked().type, paths)
        self.assertIn("--type", self.failure(2, "send", "m4.m", str(self.film), "--type", "smell"))

    def test_json(self) -> None:
        """JSON is one object a line: every event, and at the end how it ended with whom, and the exit code."""
        result = self.send("--json", "m4.m", self.film)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        kinds = ["offered", "progress", "progress", "verified", "done", "ended"]
        self.assertEqual(kinds, [line["event"] for line in lines])
        self.assertEqual(verified().model_dump(mode="json"), lines[3])
        self.assertEqual(
            {"event": "ended", "transfers": [moved_one().model_dump(mode="json")], "exit_code": 0}, lines[-1]
        )

    def test_detached(self) -> None:
        """A transfer that goes on without the command says how to see it."""
        result = self.send("m4.m", self.film, "--detach", move=Move(answer=moved(moved_one(None, detached=True))))
        self.assertEqual(
            (0, "m4.m: transfer 5f0e9c3a17b2d846 goes on by itself; to see it: p2p transfers\n"),
            (result.exit_code, result.stdout),
        )

    def test_unusable_sources(self) -> None:
        """A source that can't be sent is told before anything is asked, with what to do."""
        os.mkfifo(self.folder / "pipe")
        for path, reason in (
            (str(self.folder / "none"), "No such file or directory"),
            (str(self.folder / "pipe"), "through a pipe, with -"),
            ("", "is empty"),
            ("a\0b", "null"),
            ("x" * 300, "File name too long"),
            (b"gr\xfc".decode("utf-8", "surrogateescape"), "gr\\udcfc: No such file"),
        ):
            self.assertIn(reason, self.failure(11, "send", "m4.m", str(self.film), path))
        self.patch(os, "access", lambda path, mode: False)
        self.assertIn("chmod", self.failure(11, "send", "m4.m", str(self.film)))

    def test_name_that_is_none(self) -> None:
        """A name that no file can have is for the daemon to judge."""
        self.send("m4.m", str(self.film), "--name", "x" * 300)
        self.assertEqual("x" * 300, self.asked().name)

    def test_rate_and_time(self) -> None:
        """What is no rate and no time is told with examples."""
        for option, value, example in (
            ("--limit", "fast", "10MB/s"),
            ("--limit", "10", "less than 1024"),
            ("--deadline", "soon", "90s"),
            ("--deadline", "31d", "more than 30d"),
        ):
            self.assertIn(example, self.failure(2, "send", "m4.m", str(self.film), option, value))


class StreamTests(SendCase):
    """Standard input."""

    def setUp(self) -> None:
        """Let a pipe be standard input."""
        super().setUp()
        out, into = os.pipe()
        os.write(into, b"content")
        self.addCleanup(os.close, out)
        self.addCleanup(os.close, into)
        self.patch(SEND, "STDIN", out)

    def test_stream(self) -> None:
        """The daemon gets standard input itself, and the name that it is to have."""
        self.assertEqual(0, self.send("m4.m", "-", "--name", "x.flac", "--limit", "1MB/s").exit_code)
        asked = self.asked()
        self.assertEqual((True, "x.flac", [], "audio"), (asked.stream, asked.name, asked.paths, asked.type))
        self.assertEqual(1_000_000, asked.limit)
        self.assertEqual([b"content"], self.move.read)

    def test_usage(self) -> None:
        """It needs a name, goes alone, and can't outlive the command."""
        for arguments, reason in (
            (["-"], "--name"),
            (["-", "a", "--name", "x"], "sent alone"),
            (["-", "--name", "x", "--detach"], "--detach"),
            (["a", "b", "--name", "x"], "one PATH"),
        ):
            self.assertIn(reason, self.failure(2, "send", "m4.m", *arguments))

    def test_closed(self) -> None:
        """Where standard input is closed, there is nothing to send."""
        self.patch(SEND, "STDIN", 987)
        self.assertIn("standard input is closed", self.failure(11, "send", "m4.m", "-", "--name", "x"))

    def test_broken_off(self) -> None:
        """What was broken off can't go on, and isn't said to."""
        result = self.send("m4.m", "-", "--name", "x", move=self.die)
        self.assertEqual(10, result.exit_code)
        self.assertIn("ended the connection", result.stderr)
        self.assertNotIn("goes on", result.stderr)
