"""The processes that play files, and what becomes of those that die or hang."""

from __future__ import annotations

import io
import socket
import sys
from pathlib import Path
from typing import BinaryIO, cast

from twisted.trial.unittest import SynchronousTestCase

from p2p.base.errors import ExchangeFailed, Outcome
from p2p.experiment.making import audio
from p2p.services.inspect_workers import JOB_S, MAX_PICTURE, Played, Process, WorkerLost, Workers

FILE = cast(BinaryIO, io.BytesIO())


class FakePlayer:
    """A player that does what the test says."""

    def __init__(self, *answers: Played | BaseException) -> None:
        self.answers = list(answers)
        self.stopped = 0
        self.closed = 0

    def play(self, file: BinaryIO, seconds: float) -> Played:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def stop(self) -> None:
        self.stopped += 1

    def close(self) -> None:
        self.closed += 1


class WorkersTests(SynchronousTestCase):
    """Players that are started when they are needed."""

    def workers(self, *players: FakePlayer) -> Workers:
        """Workers that start these, in order."""
        self.started = 0

        def start() -> FakePlayer:
            self.started += 1
            return players[self.started - 1]

        return Workers(start)

    def refused(self, workers: Workers) -> str:
        """The file is refused; why."""
        error = self.assertRaises(ExchangeFailed, workers.play, FILE)
        self.assertIs(Outcome.REFUSED, error.outcome)
        return str(error)

    def test_used_again(self) -> None:
        """A player plays one file after another, also after one that can't be played."""
        good = Played({"codecs": "flac"}, b"png")
        player = FakePlayer(good, Played(undecodable="no sound"), good)
        workers = self.workers(player)
        self.assertEqual(good, workers.play(FILE))
        self.assertEqual("undecodable: no sound", self.refused(workers))
        self.assertEqual(good, workers.play(FILE))
        self.assertEqual((1, 0), (self.started, player.stopped))
        workers.close()
        self.assertEqual(1, player.closed)

    def test_replaced(self) -> None:
        """A player that is lost ends its file by name, and the next file has another player."""
        lost, other = FakePlayer(WorkerLost("it takes too long to play")), FakePlayer(Played())
        workers = self.workers(lost, other)
        self.assertEqual("undecodable: it takes too long to play", self.refused(workers))
        self.assertEqual(Played(), workers.play(FILE))
        self.assertEqual((2, 1, 0), (self.started, lost.stopped, other.stopped))

    def test_died_before(self) -> None:
        """A player that died while it had nothing to do costs no file."""
        dead = FakePlayer(Played(), WorkerLost("the decoder had ended", began=False))
        workers = self.workers(dead, FakePlayer(Played({"frames": "2"})))
        workers.play(FILE)
        self.assertEqual("2", workers.play(FILE).fields["frames"])
        self.assertEqual(1, dead.stopped)

    def test_dies_at_once(self) -> None:
        """A player that dies as soon as it is started isn't started for ever."""
        workers = self.workers(FakePlayer(WorkerLost("the decoder had ended", began=False)))
        self.assertIn("the decoder had ended", self.refused(workers))

    def test_cant_be_started(self) -> None:
        """A machine that can start no process says so."""

        def start() -> FakePlayer:
            raise OSError(12, "Cannot allocate memory")

        self.assertEqual("no decoder can be started here: Cannot allocate memory", self.refused(Workers(start)))

    def test_fault(self) -> None:
        """A fault of ours isn't hidden, and the player isn't used again."""
        player = FakePlayer(ZeroDivisionError())
        workers = self.workers(player)
        self.assertRaises(ZeroDivisionError, workers.play, FILE)
        self.assertEqual(1, player.stopped)
        workers.close()
        self.assertEqual(0, player.closed)


class ProcessTests(SynchronousTestCase):
    """Real processes."""

    def setUp(self) -> None:
        """Write a file that can be played."""
        self.path = Path(self.mktemp())
        self.path.write_bytes(audio(5000, 1))

    def play(self, process: Process, seconds: float = 60) -> Played:
        """Play the file."""
        with self.path.open("rb") as file:
            return process.play(file, seconds)

    def python(self, script: str) -> Process:
        """A worker that runs something else; ``link`` is its socket."""
        begin = "import socket, sys, time, struct; link = socket.socket(fileno=int(sys.argv[1]))\n"
        process = Process((sys.executable, "-c", begin + script))
        self.addCleanup(process.stop)
        return process

    def lost(self, script: str, seconds: float = 60) -> str:
        """That worker is lost; why."""
        return str(self.assertRaises(WorkerLost, self.play, self.python(script), seconds))

    def test_play(self) -> None:
        """A process plays one file after another, and ends when it isn't needed any more."""
        workers = Workers()
        for _ in range(3):
            with self.path.open("rb") as file:
                played = workers.play(file)
            self.assertEqual(("wav", "pcm_s16le"), (played.fields["container"], played.fields["codecs"]))
            self.assertEqual(b"\x89PNG", played.picture[:4])
        workers.close()

    def test_undecodable(self) -> None:
        """What can't be played is told by the process, which goes on."""
        process = Process()
        self.addCleanup(process.close)
        good = self.path.read_bytes()
        self.path.write_bytes(b"nothing")
        self.assertIn("it is damaged", self.play(process).undecodable)
        self.path.write_bytes(good)
        self.assertEqual("", self.play(process).undecodable)

    def test_hangs(self) -> None:
        """A process that doesn't answer in time is lost; it has 10 s."""
        self.assertEqual(10, JOB_S)
        self.assertEqual("it takes too long to play", self.lost("time.sleep(600)", 0.05))

    def test_dies(self) -> None:
        """A process that dies over a file is lost."""
        self.assertEqual("the decoder died of it", self.lost("link.recv(1)"))
        self.assertEqual("the decoder died of it", self.lost("link.recv(1); link.sendall(bytes(3))"))

    def test_reset(self) -> None:
        """A process that dies with the file unread is lost too."""
        self.assertEqual("the decoder died of it", self.lost("time.sleep(0.2)"))

    def test_dead(self) -> None:
        """A process that was dead before is told apart: the file isn't to blame."""
        process = self.python("link.close()")
        process._process.wait()
        self.assertFalse(self.assertRaises(WorkerLost, self.play, process).began)

    def test_nonsense(self) -> None:
        """An answer that makes no sense, or with too large a picture, is the end of its process."""
        for answer in (
            f"struct.pack('>II', 2, {MAX_PICTURE} + 1) + b'{{}}'",
            "struct.pack('>II', 70000, 0)",
            "struct.pack('>II', 3, 0) + b'{]}'",
            "struct.pack('>II', 2, 0) + b'[]'",
            "struct.pack('>II', 12, 0) + b'{\"fields\":1}'",
            "b'\\xff' * 100",
        ):
            self.assertIn("makes no sense", self.lost(f"link.recv(1); link.sendall({answer})"), answer)

    def test_fields(self) -> None:
        """Of what a worker says only what a reply may have is taken, cut to a length."""
        said = '{"fields": {"frames": 3, "codecs": "' + "x" * 300 + '", "outcome": "ok"}}'
        process = self.python(
            f"link.recv(1); link.sendall(struct.pack('>II', {len(said)}, 3) + b'''{said}''' + b'png')"
        )
        self.assertEqual(Played({"codecs": "x" * 200, "frames": "3"}, b"png"), self.play(process))

    def test_close_of_one_that_hangs(self) -> None:
        """A process that doesn't end by itself is killed."""
        self.patch(sys.modules[Process.__module__], "JOB_S", 0.05)
        process = Process((sys.executable, "-c", "import time; time.sleep(600)"))
        process.close()
        self.assertIsNotNone(process._process.returncode)

    def test_no_program(self) -> None:
        """A program that isn't there is an error, and no socket is left."""
        made: list[socket.socket] = []
        pair = socket.socketpair

        def watched() -> tuple[socket.socket, socket.socket]:
            made.extend(pair())
            return made[-2], made[-1]

        self.patch(socket, "socketpair", watched)
        self.assertRaises(OSError, Process, ("/nowhere/python",))
        self.assertEqual([-1, -1], [one.fileno() for one in made])
