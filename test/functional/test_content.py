"""Content that is odd, changes under way or finds no room: one clear line, an exit code, and the daemons go on."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psutil

from p2p.base.errors import LocalFileError, Outcome
from p2p.client import ExchangeArguments, SendArguments
from test.functional.cases import Run, SharedLabCase
from test.functional.lab import until

MEBIBYTE = 1 << 20


class ContentTests(SharedLabCase):
    """From n1.n to m1.m, whose inbox is empty before and after."""

    async def prepare(self) -> None:
        """Make a folder for what is sent."""
        await super().prepare()
        self.folder = Path(tempfile.mkdtemp(prefix="p2p-content-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.client_n = self.clients["n"]
        self.inbox = self.lab.folder / "inbox" / "m1.m"
        self.addCleanup(self._empty_inbox)

    def _empty_inbox(self) -> None:
        for one in self.inbox.iterdir():
            shutil.rmtree(one) if one.is_dir() else one.unlink()

    def send(self, *arguments: str | Path) -> Run:
        """Start ``p2p send m1.m`` as n1.n."""
        return self.p2p(self.lab, "peers-n", "--as", "n1.n", "send", "m1.m", *arguments)

    def write(self, name: str, content: bytes = b"", size: int | None = None) -> Path:
        """Write a file; with a size, it is sparse."""
        path = self.folder / name
        path.write_bytes(content)
        if size is not None:
            os.truncate(path, size)
        return path

    async def inbox_holds(self, *names: str) -> None:
        """The inbox soon holds these files, and else nothing but verified parts that nobody sees."""

        async def hold() -> bool:
            return [name for name in self.lab.inbox("m1.m") if not name.startswith(".p2p-")] == sorted(names)

        await until(hold, f"the inbox to hold {names} instead of {self.lab.inbox('m1.m')}")

    async def opened(self, path: Path) -> None:
        """The daemon of n1.n soon reads this file."""
        sender = psutil.Process(self.lab.daemons["peers-n"].pid)

        async def reads() -> bool:
            return str(path) in (file.path for file in sender.open_files())

        await until(reads, f"{path} to be open")

    async def still_reached(self) -> None:
        """The two go on talking."""
        self.assertEqual((await self.client_n.message("m1.m", "hello", acting="n1.n")).text, "HELLO")

    async def test_files(self) -> None:
        """An empty file arrives as one, odd names arrive as they are, and a name that is taken gets a number."""
        odd = "-größe (1) ☃.tar.gz"
        files = [self.write("empty"), self.write(odd, b"x" * 300_000)]
        files[1].chmod(0o640)
        for _ in range(2):
            await self.ended(self.send("--", *files), 0)
        numbered = "-größe (1) ☃.tar (1).gz"
        await self.inbox_holds("empty", "empty (1)", odd, numbered)
        self.assertEqual((self.inbox / "empty").stat().st_size, 0)
        for name in (odd, numbered):
            self.assertEqual((self.inbox / name).read_bytes(), b"x" * 300_000)
            self.assertEqual((self.inbox / name).stat().st_mode & 0o777, 0o640)

    async def test_names_that_lead_away(self) -> None:
        """A name that leads out of the inbox, or hides in it, is refused, and nothing is written anywhere."""
        before = sorted(self.lab.folder.rglob("*"))
        for name in ("../../etc/passwd", "/etc/passwd", "..", "", "a\0b", "a\\b", ".p2p-00.part", "x" * 300):
            sending = self.client_n.exchange(
                ExchangeArguments(peer="m1.m", service="store", text="root::0:0", name=name, acting="n1.n")
            )
            reason = await self.fails_with(Outcome.REFUSED, sending)
            self.assertIn("send it under another name", reason)
        self.assertEqual(sorted(self.lab.folder.rglob("*")), before)

    async def test_not_utf8(self) -> None:
        """Text that isn't UTF-8 is refused by the command, and by the peer with the byte where it ends being text."""
        run = self.p2p(self.lab, "peers-n", "--as", "n1.n", "message", "m1.m", b"gr\xfc\xdfe")
        latin = self.write("latin1.txt", b"a" * 100_000 + b"gr\xfc\xdfe")
        sending = self.client_n.exchange(
            ExchangeArguments(peer="m1.m", service="uppercase", path=str(latin), acting="n1.n")
        )
        self.assertIn("at byte 100002", await self.fails_with(Outcome.REFUSED, sending))
        self.assertIn("UTF-8", await self.ended(run, 2))
        await self.still_reached()

    async def test_vanished(self) -> None:
        """A file that isn't there (any more) is named, with exit code 11, before anything is sent."""
        run = self.send(self.folder / "gone", self.write("there", b"content"))
        self.assertIn("gone", await self.ended(run, 11))
        await self.inbox_holds()
        try:
            await self.client_n.send(SendArguments(peers=["m1.m"], paths=[str(self.folder / "gone")], acting="n1.n"))
        except LocalFileError as error:
            self.assertIn("gone", str(error))
        else:
            self.fail("a file that isn't there was sent")
        await self.still_reached()

    async def test_vanishes_under_way(self) -> None:
        """A file that is removed while it is sent arrives whole: the daemon has it open."""
        path = self.write("film", os.urandom(MEBIBYTE), size=16 * MEBIBYTE)
        content = path.read_bytes()
        await self.still_reached()
        with self.lab.suspended("peers-m"):
            run = self.send("--json", path)
            await self.opened(path)
            path.unlink()
        await self.ended(run, 0)
        await self.inbox_holds("film")
        self.assertEqual(content, (self.inbox / "film").read_bytes())

    async def test_shrinks_under_way(self) -> None:
        """A file that becomes shorter while it is sent is given up, with exit code 8, and nothing of it stays."""
        path = self.write("film", size=16 * MEBIBYTE)
        await self.still_reached()
        with self.lab.suspended("peers-m"):
            run = self.send("--json", path)
            await self.opened(path)
            os.truncate(path, 0)
        await self.ended(run, 8)
        self.assertIn(b"became shorter while it was sent", run.printed)
        await self.inbox_holds()
        self.assertEqual([], self.lab.inbox("m1.m"))
        await self.still_reached()

    async def test_more_than_the_disk_holds(self) -> None:
        """A file for which the receiver's disk has no room is refused before it is written, with exit code 5."""
        room = shutil.disk_usage(self.inbox).free
        run = self.send(self.write("film", size=room + 4096 * MEBIBYTE))
        self.assertIn("its disk is full", await self.ended(run, 5))
        await self.inbox_holds()
        await self.still_reached()

    async def test_disk_that_takes_no_more(self) -> None:
        """When the receiver's disk takes no more in the middle of a file, it is refused with the system's reason."""
        receiver = psutil.Process(self.lab.daemons["peers-m"].pid)
        before = receiver.rlimit(psutil.RLIMIT_FSIZE)
        receiver.rlimit(psutil.RLIMIT_FSIZE, (8 * MEBIBYTE, before[1]))  # a limit stands in for a small disk
        try:
            run = self.send(self.write("film", size=64 * MEBIBYTE))
            self.assertIn("has no files that large", await self.ended(run, 5))
        finally:
            receiver.rlimit(psutil.RLIMIT_FSIZE, before)
        await self.inbox_holds()
        await self.still_reached()
