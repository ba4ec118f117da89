"""Transfers between real daemons: whoever is killed in the middle, all arrives whole, and nothing is done twice."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from p2p.console.transfer_operations import TransfersArguments
from test.functional.cases import FunctionalCase, Run
from test.functional.lab import RunningLab, reactor, shared_lab, started, until

CHUNK: Final = 1 << 20
SIZE: Final = 12 * CHUNK + 12345
SETTINGS: Final = "limits:\n  call_s: 2\n"
HOSTS: Final = {"n": ["n1.n"], "m": ["m1.m"]}


def tree(folder: Path) -> dict[str, Any]:
    """Everything below a folder: kinds, modes, times and contents."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        what: Any = None
        if path.is_symlink():
            what = path.readlink()
        elif path.is_file():
            what = path.read_bytes()
        times = None if path.is_symlink() else status.st_mtime_ns
        found[str(path.relative_to(folder))] = (stat.S_IFMT(status.st_mode), status.st_mode & 0o777, times, what)
    return found


def events(run: Run) -> list[dict[str, Any]]:
    """What a command with ``--json`` has printed so far."""
    return [json.loads(line) for line in run.printed.splitlines() if line.endswith(b"}")]


def prepared() -> RunningLab:
    """A lab in which m1.m shares a folder; nothing of it runs yet."""
    lab = RunningLab(settings=SETTINGS)
    (lab.folder / "share").mkdir()
    path = lab.peers_file("m", "m1.m")
    path.write_text(path.read_text().replace("    inbox: ", "    share:\n      share: share\n    inbox: "))
    return lab


def empty(folder: Path) -> None:
    """Remove what a test has left in a folder, for the next one."""
    for one in folder.iterdir():
        shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()


class TransferCase(FunctionalCase):
    """n1.n and m1.m in two clusters."""

    timeout = 90

    async def prepare(self) -> None:
        """Start the lab and make content."""
        self.lab: RunningLab = await self.running()
        self.console = await self.client_of("n")
        self.film = self.lab.folder / "film"
        self.film.write_bytes(os.urandom(SIZE))

    async def running(self) -> RunningLab:
        """A lab for this test alone."""
        lab = prepared()
        self.addCleanup(lambda: Deferred.fromCoroutine(lab.stop()))
        self.addCleanup(self.assert_no_faults, lab)
        await lab.start(**HOSTS)
        return lab

    async def client_of(self, daemon: str) -> Any:
        """A client of a daemon."""
        return await self.client(self.lab, daemon)

    @property
    def inbox(self) -> Path:
        """The inbox of m1.m."""
        return self.lab.folder / "inbox" / "m1.m"

    async def moved_on(self, run: Run, least: int, after: int = 0) -> None:
        """Wait until a transfer has come so far since the events before."""

        async def holds() -> bool:
            return any(one["event"] == "progress" and one["bytes"] >= least for one in events(run)[after:])

        await until(holds, f"{least} bytes to arrive")


class SharedLabTransferCase(TransferCase):
    """Tests that need no daemon of their own: one lab for all of a module."""

    async def running(self) -> RunningLab:
        """The lab of the module, started if no test before has."""
        lab = await shared_lab(type(self).__module__, lambda: started(prepared(), **HOSTS))
        self.addCleanup(self.assert_no_faults, lab)
        for folder in (lab.folder / "inbox" / "m1.m", lab.folder / "share"):
            self.addCleanup(empty, folder)
        return lab


class TransferTests(SharedLabTransferCase):
    """Nobody disturbs them."""

    async def test_folder(self) -> None:
        """A folder arrives as it is: names, modes, times, empty folders and links, thousands of files in one go."""
        folder = self.lab.folder / "project"
        (folder / "empty").mkdir(parents=True)
        (folder / "many").mkdir()
        for number in range(2000):
            (folder / "many" / f"{number:04}.txt").write_text(f"content {number}")
        (folder / "-dash").write_bytes(b"")
        (folder / "run.sh").write_text("#!/bin/sh\n")
        (folder / "run.sh").chmod(0o755)
        (folder / "big").write_bytes(os.urandom(3 * CHUNK + 1))
        (folder / "link").symlink_to("run.sh")
        os.utime(folder / "run.sh", ns=(10**18, 10**18 + 7))
        (folder / "empty").chmod(0o500)
        far = self.lab.folder / "far"
        far.write_bytes(b"x")
        os.utime(far, (0, 9_223_372_037))  # in 2262, after the last time that a transfer can tell
        run = self.p2p(self.lab, "n", "send", "m1.m", far, folder, self.film, "--json")
        await self.ended(run, 0)
        self.assertEqual(["far"], [one["path"] for one in events(run) if one["event"] == "verified" and one["note"]])
        (folder / "empty").chmod(0o700)  # folders that arrive stay open to their owner
        self.assertEqual(tree(folder), tree(self.inbox / "project"))
        self.assertEqual(self.film.read_bytes(), (self.inbox / "film").read_bytes())
        self.assertEqual(["far", "film", "project"], self.lab.inbox("m1.m"), "nothing else is left in the inbox")
        (folder / "empty").chmod(0o700)
        (self.inbox / "project" / "empty").chmod(0o700)

    async def test_pipes(self) -> None:
        """Standard input goes to a peer as a file, and a shared file comes to standard output."""
        content = os.urandom(3 * CHUNK + 5)
        run = self.p2p(self.lab, "n", "send", "m1.m", "-", "--name", "x.tar")
        run.transport.write(content)
        run.transport.closeStdin()
        await self.ended(run, 0)
        self.assertEqual(content, (self.inbox / "x.tar").read_bytes())

    async def test_chat(self) -> None:
        """Two people talk."""
        one = self.p2p(self.lab, "n", "chat", "m1.m")
        one.transport.write(b"hello there\n")

        async def waiting() -> bool:
            return b"waiting for m1.m" in one.errors

        await until(waiting, "n1.n to wait")
        other = self.p2p(self.lab, "m", "chat", "n1.n")

        async def heard() -> bool:
            return b"n1.n: hello there" in other.printed

        await until(heard, "m1.m to hear it")
        other.transport.write(b"good day\n")
        other.transport.closeStdin()

        async def answered() -> bool:
            return b"m1.m: good day" in one.printed

        await until(answered, "n1.n to hear the answer")
        one.transport.closeStdin()
        await self.ended(one, 0)
        await self.ended(other, 0)


class EndsToldTests(SharedLabTransferCase):
    """How a transfer ended is told at both ends."""

    async def test_left_out(self) -> None:
        """What can't be sent is told although nobody waited: in the lists and the logs of both daemons."""
        folder = self.lab.folder / "odd"
        folder.mkdir()
        os.mkfifo(folder / "fifo")
        (folder / "out").symlink_to("/etc/hosts")
        (folder / "good").write_text("good")
        await self.ended(self.p2p(self.lab, "n", "send", "m1.m", folder, "--detach"), 0)

        async def known(daemon: str) -> Any:
            console = self.console if daemon == "n" else await self.client_of(daemon)
            shown = (await console.transfers(TransfersArguments())).transfers
            return next((one for one in shown if one.state == "done" and one.names == ["odd"]), None)

        async def both() -> bool:
            return await known("n") is not None and await known("m") is not None

        await until(both, "the folder to arrive")
        for daemon in "nm":
            one = await known(daemon)
            self.assertEqual({"odd/fifo", "odd/out"}, {each.path for each in one.left_out})
            self.assertEqual(2, one.refused)
            self.assertRegex(self.lab.log(daemon), f"transfer {one.transfer}: 2 left out: odd/")
        run = self.p2p(self.lab, "n", "transfers")
        await self.ended(run, 0)
        self.assertIn(b"2 left out: odd/fifo: refused: ", run.printed)

    async def test_cancelled(self) -> None:
        """Whoever cancels and whoever began, at the other end it is over as well: 130, "cancelled", nothing kept."""
        (self.lab.folder / "share" / "film").write_bytes(self.film.read_bytes())
        dest = self.lab.folder / "dest"
        dest.mkdir()
        consoles = {"n1.n": self.console, "m1.m": await self.client_of("m")}
        for what in (["send", "m1.m", self.film], ["get", "m1.m", "share/film", f"{dest}/"]):
            for canceller, console in consoles.items():
                run = self.p2p(self.lab, "n", *what, "--limit", "1MB/s", "--json")
                await self.moved_on(run, CHUNK)
                transfer = events(run)[0]["transfer"]
                (cancelled,) = (await console.cancel_transfer(transfer)).transfers
                self.assertEqual("cancelled", cancelled.state)
                await self.ended(run, 130)
                failed = next(one for one in events(run) if one["event"] == "failed")
                told = failed["error"], failed["outcome"], failed["resumable"]
                self.assertEqual(("cancelled", None, False), told)
                for name, each in consoles.items():
                    shown = (await each.transfers(TransfersArguments())).transfers
                    (one,) = (one for one in shown if one.transfer == transfer)
                    self.assertEqual("cancelled", one.state, (canceller, what, name))
                    said = "it was cancelled" if name == canceller else f"it was cancelled at {canceller}"
                    self.assertIn(said, one.reason)
                self.assertEqual(([], []), (self.lab.inbox("m1.m"), list(dest.iterdir())))


class InterruptedTests(TransferCase):
    """Somebody is killed, or gives up, in the middle."""

    async def test_receiver_killed(self) -> None:
        """The receiver is killed three times: the transfer goes on by itself, from the last verified chunk."""
        run = self.p2p(self.lab, "n", "send", "m1.m", self.film, "--json", "--limit", "6MB/s")
        seen = 0
        for least in (2, 5, 8):
            await self.moved_on(run, least * CHUNK, seen)
            seen = len(events(run))
            self.lab.daemons["m"].kill()
            await self.lab.daemons["m"].when_exited()
            self.assertNotIn("film", self.lab.inbox("m1.m"), "no part of it has its name")
            await self.lab.start_peers("m")
        await self.ended(run, 0)
        self.assertEqual(self.film.read_bytes(), (self.inbox / "film").read_bytes())
        told = events(run)
        before = 0
        for one in told:
            if one["event"] == "progress":
                before = max(before, one["bytes"])
            elif one["event"] == "resumed":
                self.assertGreaterEqual(one["offset"], before - CHUNK, "at most one verified chunk goes again")
        self.assertEqual(3, sum(one["event"] == "resumed" for one in told))
        self.assertEqual(["film"], self.lab.inbox("m1.m"))

    async def test_sender_killed(self) -> None:
        """The sender is killed: started again it goes on by itself, though nobody asks for it any more."""
        run = self.p2p(self.lab, "n", "send", "m1.m", self.film, "--json", "--limit", "6MB/s")
        await self.moved_on(run, 3 * CHUNK)
        self.lab.daemons["n"].kill()
        await self.ended(run, 10)
        await self.lab.start_peers("n")

        async def there() -> bool:
            return self.lab.inbox("m1.m") == ["film"]

        await until(there, "the transfer to go on by itself", 30)
        self.assertEqual(self.film.read_bytes(), (self.inbox / "film").read_bytes())
        again = await self.client_of("n")

        async def done() -> bool:
            (shown,) = (await again.transfers()).transfers
            return bool(shown.state == "done" and shown.bytes == SIZE)

        await until(done, "the journal to say so")

    async def test_interrupted_and_asked_again(self) -> None:
        """Ctrl-C stops a transfer, and the same command takes it up; a changed source begins anew, and says so, though
        its time is as before."""
        for changed in (False, True):
            run = self.p2p(self.lab, "n", "send", "m1.m", self.film, "--json", "--limit", "8MB/s")
            await self.moved_on(run, 4 * CHUNK)
            run.transport.signalProcess("INT")
            await self.ended(run, 130)
            if changed:
                status = self.film.stat()
                with self.film.open("r+b") as file:
                    file.write(b"changed")
                os.utime(self.film, ns=(status.st_atime_ns, status.st_mtime_ns))
            again = self.p2p(self.lab, "n", "send", "m1.m", self.film, "--json")
            await self.ended(again, 0)
            (resumed,) = (one for one in events(again) if one["event"] == "resumed")
            if changed:
                self.assertEqual(["film"], resumed["restarted"])
            else:
                self.assertGreaterEqual(resumed["offset"], 3 * CHUNK)
            name = "film (1)" if changed else "film"
            self.assertEqual(self.film.read_bytes(), (self.inbox / name).read_bytes())


async def consenting() -> RunningLab:
    """A lab in which m1.m asks its user about audio, refuses video, and shares a folder."""
    lab = RunningLab()
    shared = lab.folder / "films"
    shared.mkdir()
    (shared / "a.mkv").write_bytes(os.urandom(2 * CHUNK + 3))
    (shared / "b.txt").write_text("b")
    path = lab.peers_file("m", "m1.m")
    rules = (
        "    accept:\n"
        '      - {from: "*.n", type: [audio], then: ask}\n'
        '      - {from: "*.n", type: [video], then: refuse}\n'
        '      - {from: "*.n", size: 1MiB, then: accept}\n'
        f"    share: {{films: {shared}}}\n"
    )
    text = path.read_text()
    at = text.index("    inbox:")
    end = text.index("\n", at) + 1
    path.write_text(text[:end] + rules + text[end:])
    return await started(lab, n=["n1.n"], m=["m1.m"])


class ConsentTests(FunctionalCase):
    """What a peer shares and takes is what its YAML says; one lab for all of them."""

    timeout = 60

    async def prepare(self) -> None:
        """Start the lab, if no test before has."""
        self.lab = await shared_lab("consent", consenting)
        self.addCleanup(self.assert_no_faults, self.lab)
        self.shared = self.lab.folder / "films"
        self.inbox = self.lab.folder / "inbox" / "m1.m"
        self.addCleanup(empty, self.inbox)

    async def test_rules(self) -> None:
        """What no rule takes is refused, and why is told."""
        film, big = self.lab.folder / "x.mkv", self.lab.folder / "big"
        film.write_bytes(b"film")
        big.write_bytes(bytes(CHUNK + 1))
        for path in (film, big):
            run = self.p2p(self.lab, "n", "send", "m1.m", path)
            self.assertIn("m1.m", await self.ended(run, 5))
        self.assertEqual([], self.lab.inbox("m1.m"))

    async def test_ask(self) -> None:
        """An offer waits until a person has decided, either way."""
        song = self.lab.folder / "song.wav"
        song.write_bytes(b"song")
        for decision, code in (("accept", 0), ("refuse", 5)):
            run = self.p2p(self.lab, "n", "send", "m1.m", song, "--json")

            async def pending(run: Run = run) -> bool:
                return any(one["event"] == "pending" for one in events(run))

            await until(pending, "the offer to wait")
            listed = self.p2p(self.lab, "m", "offers", "--json")
            await self.ended(listed, 0)
            (offer,) = json.loads(listed.printed)["offers"]
            self.assertEqual(("n1.n", "song.wav", "audio"), (offer["peer"], offer["name"], offer["type"]))
            await self.ended(self.p2p(self.lab, "m", "offers", decision, offer["offer"]), 0)
            await self.ended(run, code)
        self.assertEqual(["song.wav"], self.lab.inbox("m1.m"))

    async def test_shared(self) -> None:
        """What is shared can be listed and got, into a folder or a pipe; all else isn't there."""
        listed = self.p2p(self.lab, "n", "ls", "m1.m", "films", "--json")
        await self.ended(listed, 0)
        names = [one["name"] for one in json.loads(listed.printed)["entries"]]
        self.assertEqual(["a.mkv", "b.txt"], sorted(names))
        target = self.lab.folder / "target"
        target.mkdir()
        await self.ended(self.p2p(self.lab, "n", "get", "m1.m", "films", target), 0)
        self.assertEqual(tree(self.shared), tree(target / "films"))
        piped = self.p2p(self.lab, "n", "get", "m1.m", "films/a.mkv", "-")
        await self.ended(piped, 0)
        self.assertEqual((self.shared / "a.mkv").read_bytes(), piped.printed)
        for path in ("films/../../ca.key", "/etc/passwd", "nothing"):
            run = self.p2p(self.lab, "n", "get", "m1.m", path, target)
            self.assertNotEqual(0, await run.ended)
        await deferLater(reactor, 0)
        self.assertEqual(["films"], sorted(one.name for one in target.iterdir()))
