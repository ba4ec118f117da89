"""How long it takes from a request to the first byte of its reply, when no link stands yet.

Two routers and two peers run as real daemons. The link is closed after each exchange, so each begins with a fresh
socket, two routers, TCP, TLS and the ticket. Beside it, in turns, the least that any way of doing so needs: one TCP
connection with TLS 1.3, certificates on both sides and their names checked, in plain Twisted between two processes,
with the same certificates. Both are timed in the process that asks, without the time of the console.

Run it from the project's folder: ``python -m bench.setup``.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic_ns
from typing import Any, Final

import click
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    TLSVersion,
    optionsForClientTLS,
)
from twisted.internet.task import deferLater, react
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from bench._rivals import free_port
from p2p.client import Client, ExchangeArguments
from p2p.console.operations import PeerStatus
from p2p.identity.lab import create_lab
from p2p.measure.processes import Daemons
from p2p.measure.samples import figures

GOAL: Final = 2.5
WARM_UP: Final = 10
REGISTER_S: Final = 30.0
TEXT: Final = "hello"
ASKING: Final = "n1.n"
ASKED: Final = "m1.m"


class BareServer(Protocol):
    """Answers a text in capital letters."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data.upper())


class BareClient(Protocol):
    """Sends a text and notes when the first byte of the reply comes."""

    def __init__(self) -> None:
        self.replied: Deferred[int] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(TEXT.encode())

    def dataReceived(self, data: bytes) -> None:
        self.replied.callback(monotonic_ns())
        assert self.transport is not None
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class Bare:
    """The bare way: a client here, and its server in another process."""

    def __init__(self, reactor: Any, lab: Path, port: int) -> None:
        authority, own = _identity(lab, ASKING)
        options = optionsForClientTLS(
            ASKED,
            trustRoot=authority,
            clientCertificate=own,
            extraCertificateOptions={"raiseMinimumTo": TLSVersion.TLSv1_3},
        )
        self._endpoint: IStreamClientEndpoint = wrapClientTLS(options, TCP4ClientEndpoint(reactor, "127.0.0.1", port))

    async def once(self) -> float:
        """Connect, ask, and hang up; the seconds to the first byte of the reply."""
        began = monotonic_ns()
        client = await connectProtocol(self._endpoint, BareClient())
        replied: int = await client.replied
        await client.gone
        return (replied - began) / 1e9


class Links:
    """The way of p2p: daemons that know each other by name."""

    def __init__(self, reactor: Any, lab: Path, daemons: Daemons) -> None:
        self._reactor = reactor
        self._lab = lab
        self._daemons = daemons
        self._clients: list[Client] = []

    async def start(self) -> None:
        """Start the daemons and wait until the peers are registered and the routers linked."""
        for cluster in "nm":
            await self._daemons.start(f"router-{cluster}", "p2p-router", self._lab / f"router-{cluster}.yaml")
        for name in (ASKING, ASKED):
            await self._daemons.start(name, "p2p-peer", self._lab / f"peer-{name}.yaml")
            client = await Client.connect(self._reactor, self._lab / f"peer-{name}.sock")
            await client.wait_registered(REGISTER_S)
            self._clients.append(client)

    async def once(self) -> float:
        """Exchange a text over a new link, and close it; the seconds to the first byte of the reply."""
        asked = ExchangeArguments(peer=ASKED, service="uppercase", text=TEXT, acting=ASKING)
        answer = await self._clients[0].exchange(asked)
        await self._clients[0].disconnect()
        for client in self._clients:
            while await self._linked(client):
                await deferLater(self._reactor, 0.001)
        assert answer.first_byte_ns is not None
        return (answer.first_byte_ns - answer.planned_ns) / 1e9

    async def stop(self) -> None:
        """End everything."""
        for client in self._clients:
            await client.close()
        await self._daemons.stop_all()

    async def _linked(self, client: Client) -> bool:
        status = await client.status()
        assert isinstance(status, PeerStatus)
        return status.open.links > 0


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=500, show_default=True, type=click.IntRange(1), help="How often each way is taken.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")
@click.option("--serve", type=click.Path(path_type=Path), hidden=True)
def main(rounds: int, as_json: bool, serve: Path | None) -> None:
    """Measure the time from a request to the first byte of its reply over a new link, beside bare TCP and TLS."""
    if serve is not None:
        react(_serve, (serve,))
    with tempfile.TemporaryDirectory(prefix="p2p-bench-") as folder:
        lab = Path(folder, "lab")
        create_lab(lab, peers=1, ports={cluster: free_port() for cluster in "nm"})
        command = [sys.executable, "-m", "bench.setup", "--serve", str(lab)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                port = int(server.stdout.readline())
                react(lambda reactor: ensureDeferred(_measure(reactor, lab, port, rounds, as_json)))
            finally:
                server.terminate()


def _identity(lab: Path, name: str) -> tuple[Certificate, PrivateCertificate]:
    """The lab's authority, and the certificate of a peer with its key."""
    pem = b"".join((lab / "certificates" / f"{name}.{end}").read_bytes() for end in ("pem", "key"))
    return Certificate.loadPEM((lab / "ca.pem").read_bytes()), PrivateCertificate.loadPEM(pem)


def _serve(reactor: Any, lab: Path) -> Deferred[None]:
    """The process of the bare server."""
    authority, own = _identity(lab, ASKED)
    options = CertificateOptions(
        privateKey=own.privateKey.original,
        certificate=own.original,
        trustRoot=authority,
        raiseMinimumTo=TLSVersion.TLSv1_3,
    )
    factory = TLSMemoryBIOFactory(options, False, Factory.forProtocol(BareServer))
    print(reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port, flush=True)
    return Deferred()


async def _measure(reactor: Any, lab: Path, port: int, rounds: int, as_json: bool) -> None:
    links = Links(reactor, lab, Daemons(reactor, lab.parent))
    try:
        await links.start()
        ways: dict[str, Links | Bare] = {"p2p": links, "bare": Bare(reactor, lab, port)}
        found: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(WARM_UP + rounds):
            for name in sorted(ways, reverse=bool(number % 2)):
                seconds = await ways[name].once()
                if number >= WARM_UP:
                    found[name].append(seconds)
    finally:
        await links.stop()
    _print(found, rounds, as_json)


def _print(found: Mapping[str, Sequence[float]], rounds: int, as_json: bool) -> None:
    results = {name: figures(seconds) for name, seconds in found.items()}
    ratio = results["p2p"]["p50"] / results["bare"]["p50"]
    if as_json:
        about = {"rounds": rounds, "goal": GOAL, "python": platform.python_version()}
        print(json.dumps({**about, "seconds": results, "ratio": ratio}))
        return
    print(f"From a request to the first byte of its reply, without a link before; {rounds} of each, in turns")
    print(f"{'':<28} {'p50 ms':>8} {'p99 ms':>8} {'mean ms':>8}")
    labels = {"p2p": "p2p, two routers, new link", "bare": "bare TCP and TLS in Twisted"}
    for name, one in results.items():
        print(f"{labels[name]:<28} {one['p50'] * 1e3:8.2f} {one['p99'] * 1e3:8.2f} {one['mean'] * 1e3:8.2f}")
    print(f"ratio of the medians: {ratio:.2f} (goal: at most {GOAL}){'' if ratio <= GOAL else '  above the goal'}")


if __name__ == "__main__":
    main()
