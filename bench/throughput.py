"""How fast one file goes from disk to disk over a direct link, beside scp, magic-wormhole, rsync and bare OpenSSL.

Two routers and two peers run as real daemons, with TLS and verification on (and a second lab with plain links): ``p2p``
and ``plain`` are ``p2p send``, ``store`` is an exchange of that service. Every way brings the same file over, one after
the other in turns, after a warm-up; before each of them as much memory as the file takes is touched, so that none has
to wait for a virtual machine's host. The medians count. Beside it: CPU time at both ends, the memory peak of either
daemon, and how long a text message takes on the link while the file flows.

Run it from the project's folder: ``python -m bench.throughput``.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from bench._p2p import P2P, roomy, tell, touch
from bench._rivals import BareTLS, Rival, Rsync, Scp, Transfer, Unavailable, Wormhole
from p2p.identity.lab import create_lab
from p2p.measure.samples import figures

WAYS: Final = ("p2p", "store", "scp", "wormhole", "bare", "plain", "rsync")
GOALS: Final = (("p2p", "scp", 1.5), ("p2p", "wormhole", 2.0), ("p2p", "bare", 0.5), ("plain", "rsync", 1.0))
GOAL_MEMORY_MIB: Final = 96
GOAL_MESSAGE_MS: Final = 50
MIB: Final = 1024 * 1024


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--size", default=1024, show_default=True, type=click.IntRange(1), help="MiB of the file.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="How often each way is taken.")
@click.option("--only", multiple=True, type=click.Choice(WAYS), help="Take only this way; can be given again.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")
def main(size: int, rounds: int, only: tuple[str, ...], as_json: bool) -> None:
    """Measure how fast one file goes from disk to disk, beside other programs that do it."""
    react(lambda reactor: ensureDeferred(_measure(reactor, size, rounds, only or WAYS, as_json)))


async def _measure(reactor: Any, size: int, rounds: int, ways: Sequence[str], as_json: bool) -> None:
    folder = Path(tempfile.mkdtemp(prefix="p2p-bench-", dir=roomy(3 * size * MIB)))
    running: dict[str, P2P | Rival] = {}
    missing: dict[str, str] = {}
    try:
        source = folder / "file.bin"
        await deferToThread(_fill, source, size)
        for name in ways:
            way = running[name] = _way(reactor, folder, name)
            try:
                await _start(way)
                tell(f"{name}: warm-up")
                await _transfer(way, source)
            except Unavailable as reason:
                missing[name] = str(reason)
                await _stop(running.pop(name))
        found: dict[str, list[Transfer]] = {name: [] for name in running}
        for number in range(rounds):
            for name in sorted(running, key=WAYS.index, reverse=bool(number % 2)):
                await deferToThread(touch, folder, size * MIB)
                done = await _transfer(running[name], source)
                found[name].append(done)
                tell(f"round {number + 1}, {name}: {size * MIB / done.seconds / 1e6:.0f} MB/s")
        results = {name: _result(transfers, size * MIB) for name, transfers in found.items()}
        for name, way in running.items():
            if isinstance(way, P2P):
                results[name]["message_s"] = figures(await way.messages(way.transfer(source)))
                results[name]["memory_peak_bytes"] = way.memory_peaks()
            elif isinstance(way, BareTLS):
                results[name]["suite"] = way.suite
        _print(results, missing, size, rounds, as_json)
    finally:
        for way in running.values():
            await _stop(way)
        shutil.rmtree(folder)


def _way(reactor: Any, folder: Path, name: str) -> P2P | Rival:
    if name in ("p2p", "store", "plain"):
        return P2P(reactor, folder / name, "plain" if name == "plain" else "tls", stored=name == "store")
    if name == "bare":
        create_lab(folder / "lab", peers=1)
        made = folder / "lab" / "certificates"
        return BareTLS(folder / name, (made / "n1.n.pem", made / "n1.n.key", folder / "lab" / "ca.pem"))
    rivals: dict[str, Callable[[Path], Rival]] = {"scp": Scp, "wormhole": Wormhole, "rsync": Rsync}
    return rivals[name](folder / name)


async def _start(way: P2P | Rival) -> None:
    await (way.start() if isinstance(way, P2P) else deferToThread(way.start))


async def _transfer(way: P2P | Rival, source: Path) -> Transfer:
    doing: Any = way.transfer(source) if isinstance(way, P2P) else deferToThread(way.transfer, source)
    transfer: Transfer = await doing
    return transfer


async def _stop(way: P2P | Rival) -> None:
    await (way.stop() if isinstance(way, P2P) else deferToThread(way.stop))


def _fill(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(size):
            file.write(os.urandom(MIB))


def _result(transfers: Sequence[Transfer], size: int) -> dict[str, Any]:
    gigabytes = size / 1e9
    rates = [size / one.seconds for one in transfers]
    return {
        "bytes_per_s": statistics.median(rates),
        "spread": (max(rates) - min(rates)) / statistics.median(rates),
        "sender_cpu_s_per_gb": statistics.median(one.sender_cpu_s for one in transfers) / gigabytes,
        "receiver_cpu_s_per_gb": statistics.median(one.receiver_cpu_s for one in transfers) / gigabytes,
        "cpu_s_per_gb": statistics.median(one.sender_cpu_s + one.receiver_cpu_s for one in transfers) / gigabytes,
    }


def _print(results: dict[str, dict[str, Any]], missing: dict[str, str], size: int, rounds: int, as_json: bool) -> None:
    ratios = [
        {
            "way": ours,
            "against": theirs,
            "ratio": results[ours]["bytes_per_s"] / results[theirs]["bytes_per_s"],
            "cpu_ratio": results[ours]["cpu_s_per_gb"] / results[theirs]["cpu_s_per_gb"],
            "goal": goal,
        }
        for ours, theirs, goal in GOALS
        if ours in results and theirs in results
    ]
    if as_json:
        about = {"size_bytes": size * MIB, "rounds": rounds, "python": platform.python_version()}
        print(json.dumps({**about, "results": results, "missing": missing, "ratios": ratios}))
        return
    print(f"One file of {size} MiB, medians of {rounds} rounds")
    print(f"{'':10} {'MB/s':>7} {'spread':>7} {'CPU s a GB: sender':>19} {'receiver':>9} {'both':>6}")
    for name, one in results.items():
        print(
            f"{name:10} {one['bytes_per_s'] / 1e6:7.0f} {one['spread']:7.0%} {one['sender_cpu_s_per_gb']:19.2f} "
            f"{one['receiver_cpu_s_per_gb']:9.2f} {one['cpu_s_per_gb']:6.2f}"
        )
    for name, why in missing.items():
        print(f"{name:10} left out: {why}")
    for one in ratios:
        met = "" if one["ratio"] >= one["goal"] else "  below the goal"
        print(
            f"{one['way']} / {one['against']}: {one['ratio']:.2f} (goal {one['goal']}), "
            f"CPU time {one['cpu_ratio']:.2f}{met}"
        )
    for name, one in results.items():
        if "message_s" in one:
            peaks = [peak / MIB for peak in one["memory_peak_bytes"]]
            slow = one["message_s"]["p99"] * 1e3
            print(
                f"{name}: a message beside the file: p50 {one['message_s']['p50'] * 1e3:.1f} ms, p99 {slow:.1f} ms"
                + ("" if slow < GOAL_MESSAGE_MS else "  above the goal")
            )
            print(
                f"{name}: memory peak of sender and receiver: {', '.join(f'{peak:.0f}' for peak in peaks)} MiB"
                + ("" if max(peaks, default=0) < GOAL_MEMORY_MIB else "  above the goal")
            )


if __name__ == "__main__":
    main()
