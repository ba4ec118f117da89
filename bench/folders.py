"""How fast a folder of many small files goes over a direct link, beside ``rsync -a`` over ssh.

Two routers and two peers run as real daemons; rsync connects to an sshd of its own with AES-128-GCM. Both bring the
same folder over in turns, after a warm-up, each time to where nothing of it is. The medians count.

Run it from the project's folder: ``python -m bench.folders``.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any, Final

import click
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from bench._p2p import P2P, roomy, tell
from bench._rivals import RsyncOverSSH, Transfer, Unavailable

GOAL: Final = 2.0
"""Times as long as rsync at most."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--files", default=10_000, show_default=True, type=click.IntRange(1), help="How many files.")
@click.option("--size", default=4096, show_default=True, type=click.IntRange(0), help="Bytes of each.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="How often each way is taken.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")
def main(files: int, size: int, rounds: int, as_json: bool) -> None:
    """Measure how fast a folder of small files goes, beside rsync over ssh."""
    react(lambda reactor: ensureDeferred(_measure(reactor, files, size, rounds, as_json)))


async def _measure(reactor: Any, files: int, size: int, rounds: int, as_json: bool) -> None:
    folder = Path(tempfile.mkdtemp(prefix="p2p-bench-", dir=roomy(4 * files * max(size, 4096))))
    p2p, rsync = P2P(reactor, folder / "p2p"), RsyncOverSSH(folder / "rsync")
    found: dict[str, list[Transfer]] = {"p2p": [], "rsync": []}
    missing = ""
    try:
        source = folder / "many"
        await deferToThread(_fill, source, files, size)
        await p2p.start()
        try:
            await deferToThread(rsync.start)
        except Unavailable as error:
            missing = str(error)
        for number in range(rounds + 1):
            taken = {"p2p": await p2p.transfer(source)}
            if not missing:
                taken["rsync"] = await deferToThread(rsync.transfer, source)
            for name, done in taken.items():
                tell(f"{f'round {number}' if number else 'warm-up'}, {name}: {done.seconds:.2f} s")
                if number:
                    found[name].append(done)
        peaks = p2p.memory_peaks()
    finally:
        await p2p.stop()
        await deferToThread(rsync.stop)
        shutil.rmtree(folder)
    _show(found, peaks, missing, as_json)


def _fill(folder: Path, files: int, size: int) -> None:
    folder.mkdir()
    for number in range(files):
        (folder / f"{number:06}.bin").write_bytes(os.urandom(size))


def _show(found: dict[str, list[Transfer]], peaks: list[int], missing: str, as_json: bool) -> None:
    medians = {
        name: {
            "seconds": statistics.median(one.seconds for one in taken),
            "cpu_s": statistics.median(one.sender_cpu_s + one.receiver_cpu_s for one in taken),
        }
        for name, taken in found.items()
        if taken
    }
    ratio = medians["p2p"]["seconds"] / medians["rsync"]["seconds"] if "rsync" in medians else None
    if as_json:
        print(json.dumps({"medians": medians, "ratio": ratio, "memory_peak_bytes": peaks, "missing": missing or None}))
        return
    for name, median in medians.items():
        print(f"{name:6} {median['seconds']:6.2f} s, {median['cpu_s']:.2f} CPU seconds at both ends")
    print(f"memory peak of the daemons: {', '.join(f'{peak / 2**20:.0f} MiB' for peak in peaks)}")
    if ratio is None:
        print(f"rsync wasn't measured: {missing}")
    else:
        print(f"p2p takes {ratio:.2f} times as long as rsync over ssh (goal: at most {GOAL:g})")


if __name__ == "__main__":
    main()
