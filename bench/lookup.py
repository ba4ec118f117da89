"""How many LookupPeer a second one control channel carries, beside a bare AMP command.

Two processes, one TLS connection each way of asking: here the asking router, there a real router with a thousand
peers in its table, and beside it a bare ``twisted.protocols.amp.AMP`` that answers a command of the same arguments
and answer over the same kind of TLS. Both are asked in turns, so that whatever else the machine does hits both.

Run it from the project's folder: ``python -m bench.lookup``.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any, Final

import click
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react
from twisted.protocols.amp import AMP, Command

from p2p.base.config import Neighbour, RouterConfig, RouterLimits, TLSFiles
from p2p.base.names import router_name
from p2p.control.channel import Channel
from p2p.control.commands import LookupPeer
from p2p.identity.authority import Authority
from p2p.identity.tls import CONTROL_ALPN, Credentials
from p2p.router.service import RouterService
from p2p.router.sockets import SocketMeter
from p2p.router.table import TableEntry

DEPTHS: Final = (1, 16, 256)
GOAL: Final = 0.9
PEERS: Final = 1000
WARM_UP_S: Final = 0.2
NAME: Final = "m500.m"

Ask = Callable[[], Deferred[dict[str, Any]]]


class BareLookup(Command):
    """LookupPeer as plain AMP has it."""

    arguments = LookupPeer.arguments
    response = LookupPeer.response


class Bare(AMP):
    """Either end of the bare connection, which sends at once as the channel does, and answers without a look-up."""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.setTcpNoDelay(True)

    @BareLookup.responder
    def lookup(self, name: str) -> dict[str, Any]:
        return {"address": "192.0.2.7", "table_lookup_ns": 512}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=2.0, show_default=True, help="How long each measurement takes.")
@click.option("--rounds", default=7, show_default=True, help="How often each is made; the medians are shown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")
@click.option("--serve", type=click.Path(path_type=Path), hidden=True)
def main(seconds: float, rounds: int, as_json: bool, serve: Path | None) -> None:
    """Measure LookupPeer over one control channel, beside a bare AMP command over the same TLS."""
    if serve is not None:
        react(_serve, (serve,))
    with tempfile.TemporaryDirectory(prefix="p2p-bench-") as folder:
        authority = Authority.create(Path(folder))
        for cluster in "nm":
            authority.issue(router_name(cluster), Path(folder))
        command = [sys.executable, "-m", "bench.lookup", "--serve", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                ports = json.loads(server.stdout.readline())
                react(_measure, (Path(folder), ports, seconds, rounds, as_json))
            finally:
                server.terminate()


def _files(folder: Path, cluster: str) -> TLSFiles:
    name = router_name(cluster)
    return TLSFiles(certificate=folder / f"{name}.pem", key=folder / f"{name}.key", authority=folder / "ca.pem")


def _credentials(files: TLSFiles) -> Credentials:
    return Credentials(files.certificate, files.key, files.authority)


def _serve(reactor: Any, folder: Path) -> Deferred[None]:
    """The answering process: router m, and the bare AMP."""
    files = _files(folder, "m")
    config = RouterConfig(
        cluster="m",
        listen="tcp:0:interface=127.0.0.1",
        tls=files,
        neighbours={"n": Neighbour(endpoint="tcp:127.0.0.1:1")},
        limits=RouterLimits(lookups_per_s=86_400, lookup_burst=10_000_000),  # as fast as it goes
    )
    service = RouterService(reactor, config, _credentials(files), random=lambda: 0.0)
    for number in range(PEERS):
        service.router.table.put(TableEntry(f"m{number}.m", "192.0.2.7", object(), 0.0))
    service.startService()
    factory = _credentials(files).wrap(Factory.forProtocol(Bare), client=False, alpn=CONTROL_ALPN, clock=reactor)
    bare = reactor.listenTCP(0, factory, interface="127.0.0.1")
    print(json.dumps({"channel": int(service.listening.rpartition(":")[2]), "bare": bare.getHost().port}), flush=True)
    return Deferred()


async def _measure(
    reactor: Any, folder: Path, ports: dict[str, int], seconds: float, rounds: int, as_json: bool
) -> None:
    credentials = _credentials(_files(folder, "n"))
    limits = RouterLimits()
    channel = Channel(reactor, silence_s=limits.silence_s, call_s=limits.call_s, handshake_s=limits.handshake_s)
    opened: Deferred[None] = Deferred()
    channel.authenticated = lambda: opened.callback(None)  # type: ignore[method-assign]  # the one thing to wait for
    await _connected(reactor, credentials, ports["channel"], channel, SocketMeter())
    await opened
    kind: Any = Bare  # Twisted has no types for AMP
    bare = kind()
    await _connected(reactor, credentials, ports["bare"], bare, None)
    ways: dict[str, Ask] = {
        "channel": lambda: channel.ask(LookupPeer, name=NAME),
        "bare": lambda: bare.callRemote(BareLookup, name=NAME),
    }
    found: dict[tuple[int, str], list[tuple[float, float, float]]] = {}
    for number in range(rounds):
        for depth in DEPTHS:
            for way in sorted(ways, reverse=bool(number % 2)):
                await _run(reactor, ways[way], depth, WARM_UP_S)
                found.setdefault((depth, way), []).append(await _run(reactor, ways[way], depth, seconds))
    channel.close()
    _print(found, seconds, rounds, as_json)


async def _connected(
    reactor: Any, credentials: Credentials, port: int, protocol: Protocol, meter: SocketMeter | None
) -> None:
    """Connect a protocol over TLS, with the meter below it that a router has below each channel."""
    factory = Factory.forProtocol(lambda: protocol)
    wrapped: Any = credentials.wrap(factory, client=True, alpn=CONTROL_ALPN, clock=reactor)
    outer = (meter.wrap(wrapped) if meter else wrapped).buildProtocol(None)
    await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), outer)


def _run(reactor: Any, ask: Ask, depth: int, seconds: float) -> Deferred[tuple[float, float, float]]:
    """Keep ``depth`` questions under way for so long; fires with answers a second, p50 and p99 in µs."""
    took: list[int] = []
    done: Deferred[tuple[float, float, float]] = Deferred()
    under_way = depth
    started = perf_counter_ns()
    until = started + int(seconds * 1e9)

    def one() -> None:
        asked = perf_counter_ns()
        ask().addCallbacks(answered, done.errback, callbackArgs=(asked,))

    def answered(answer: dict[str, Any], asked: int) -> None:
        nonlocal under_way
        now = perf_counter_ns()
        took.append(now - asked)
        if now < until:
            one()
            return
        under_way -= 1
        if not under_way:
            took.sort()
            rate = len(took) / (now - started) * 1e9
            done.callback((rate, took[len(took) // 2] / 1e3, took[len(took) * 99 // 100] / 1e3))

    for _ in range(depth):
        one()
    return done


def _print(
    found: dict[tuple[int, str], list[tuple[float, float, float]]], seconds: float, rounds: int, as_json: bool
) -> None:
    results = []
    for depth in DEPTHS:
        middle = {
            way: dict(
                zip(
                    ("per_s", "p50_us", "p99_us"),
                    (median(column) for column in zip(*found[depth, way], strict=True)),
                    strict=True,
                )
            )
            for way in ("channel", "bare")
        }
        ratio = middle["channel"]["per_s"] / middle["bare"]["per_s"]
        results.append({"depth": depth, **middle, "ratio": ratio})
    if as_json:
        about = {"seconds": seconds, "rounds": rounds, "goal": GOAL, "python": platform.python_version()}
        print(json.dumps({**about, "results": results}))
        return
    print(f"LookupPeer over one TLS control channel, medians of {rounds} rounds of {seconds:g} s")
    print(f"{'':>6} {'LookupPeer':^29} {'bare AMP':^29}")
    heads = f"{'1/s':>9} {'p50 µs':>9} {'p99 µs':>9}"
    print(f"{'depth':>6} {heads} {heads} {'ratio':>6}")
    for one in results:
        columns = " ".join(f"{one[way][key]:9.0f}" for way in ("channel", "bare") for key in one[way])
        print(f"{one['depth']:>6} {columns} {one['ratio']:6.2f}{'' if one['ratio'] >= GOAL else '  below the goal'}")


if __name__ == "__main__":
    main()
