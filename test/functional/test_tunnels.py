"""Tunnels and pipes between real daemons: both programs, half-close, refusals, and what a killed command leaves."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread

from p2p.base.errors import Outcome
from test.functional.cases import FunctionalCase
from test.functional.lab import RunningLab, reactor, started, until
from test.ports import free_ports

SIZE = 8 << 20

_labs: list[tuple[RunningLab, list[int]]] = []


class Shouting(Protocol):
    """Sends back what it gets in capitals, and a word at the end, for which it waits."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data.upper())


class TunnelsTests(FunctionalCase):
    """n1.n and m1.m, which opens some ports to it."""

    async def prepare(self) -> None:
        """Start everybody for the first test, and a program at one of the ports for each."""
        if not _labs:
            ports = free_ports(3)
            _labs.append((await self.begin(ports), ports))
        self.lab, (self.port, self.closed, self.others) = _labs[0]
        self.addCleanup(self.assert_no_faults, self.lab)
        factory = Factory.forProtocol(Shouting)
        factory.noisy = False
        listening = reactor.listenTCP(self.port, factory, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)

    async def begin(self, ports: list[int]) -> RunningLab:
        """Start a lab that lasts as long as the run of the tests."""
        lab = RunningLab()
        path = lab.peers_file("m", "m1.m")
        grants = zip(ports, ("*.n", "n1.n", "*.m"), strict=True)
        lines = "".join(f"      - {{to: 127.0.0.1:{port}, from: '{who}'}}\n" for port, who in grants)
        text = path.read_text()
        path.write_text(text.replace("  - name: m1.m\n", f"  - name: m1.m\n    tunnel:\n{lines}"))
        return await started(lab, n=["n1.n"], m=["m1.m"])

    def sockets(self) -> list[int]:
        """How many sockets each of the two daemons has open."""
        links = [Path(f"/proc/{self.lab.daemons[name].pid}/fd").iterdir() for name in "nm"]
        return [sum(1 for one in files if os.path.lexists(one) and "socket" in str(one.readlink())) for files in links]

    async def steady(self, before: list[int]) -> None:
        """Wait until both daemons have as many sockets as before."""

        async def same() -> bool:
            return self.sockets() == before

        await until(same, f"{before} sockets")

    async def test_refusals(self) -> None:
        """A port that isn't open, and one at which nobody listens, are told by name; nothing is left of either."""
        client = await self.client(self.lab, "n")
        await client.ping("m1.m")
        before = self.sockets()
        reason = await self.fails_with(Outcome.REFUSED, client.tunnel_told("m1.m", self.others))
        self.assertIn(f"doesn't open port {self.others} to n1.n", reason)
        run = self.p2p(self.lab, "n", "tunnel", "m1.m", str(self.closed), "-")
        self.assertIn(f"ECONNREFUSED at m1.m's 127.0.0.1:{self.closed}", await self.ended(run, 5))
        run = self.p2p(self.lab, "n", "tunnel", "m1.m", str(self.others))
        self.assertIn(f"port {self.others}", await self.ended(run, 5))
        await self.steady(before)

    async def test_standard_streams(self) -> None:
        """With "-", what is written goes there and what comes back is read."""
        run = self.p2p(self.lab, "n", "tunnel", "m1.m", str(self.port), "-")
        run.transport.write(b"hello")
        await run.printing
        self.assertEqual(b"HELLO", run.printed)
        run.transport.closeStdin()
        await self.ended(run, 0)

    async def test_sockets(self) -> None:
        """Many connections by a UNIX socket are served at once, and a command that is killed leaves none open."""
        client = await self.client(self.lab, "n")
        await client.ping("m1.m")
        before = self.sockets()
        path = self.lab.folder / "s"
        run = self.p2p(self.lab, "n", "tunnel", "m1.m", str(self.port), path)

        async def there() -> bool:
            return path.exists()

        await until(there, "the socket")
        programs = [socket.socket(socket.AF_UNIX) for _ in range(10)]
        for number, program in enumerate(programs):
            self.addCleanup(program.close)
            await deferToThread(program.connect, str(path))
            program.sendall(b"n%d" % number)
            program.settimeout(20)
        for number, program in enumerate(programs):
            self.assertEqual(b"N%d" % number, await deferToThread(program.recv, 9))
        self.assertGreater(sum(self.sockets()), sum(before) + 19)
        run.transport.signalProcess(signal.SIGKILL)
        for program in programs:
            self.assertIn(await deferToThread(ended(program)), (b"", None))
        await run.ended
        await self.steady(before)

    async def test_pipe(self) -> None:
        """A pipe brings everything over, both ways and to the end of each, whoever comes first."""
        content = os.urandom(SIZE)
        listening = self.p2p(self.lab, "m", "pipe", "--listen", "--from", "n1.n")
        piping = self.p2p(self.lab, "n", "pipe", "m1.m")
        piping.transport.write(content)
        piping.transport.closeStdin()
        listening.transport.write(b"thanks")

        async def whole() -> bool:
            return len(listening.printed) == SIZE

        await until(whole, "everything to arrive")
        self.assertTrue(content == listening.printed)
        listening.transport.closeStdin()
        self.assertIn("n1.n is here", await self.ended(listening, 0))
        await self.ended(piping, 0)
        self.assertEqual(b"thanks", piping.printed)

    async def test_pipe_to_nobody(self) -> None:
        """Who pipes to a peer at which nobody listens is told so."""
        run = self.p2p(self.lab, "n", "pipe", "m1.m")
        self.assertIn("nobody listens at m1.m", await self.ended(run, 5))


def ended(program: socket.socket) -> Callable[[], bytes | None]:
    """Read what comes next: nothing if the connection has ended, None if it was reset."""

    def read() -> bytes | None:
        try:
            return program.recv(9)
        except ConnectionResetError:
            return None

    return read
