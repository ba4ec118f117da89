"""How soon the first chunk of a very large file is verified at the receiver, and what the daemons hold meanwhile.

The file is sparse and 10 GB long: whatever reads or hashes it first would take seconds. Told are the time from the
request until the receiver has verified and written the first chunk, over a new link each time; then the memory peak of
both daemons, and how long a text message takes, while the file flows.

Run it from the project's folder: ``python -m bench.first_byte``.
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
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import deferLater, react

from bench._p2p import P2P, RECEIVER, tell
from p2p.base.errors import P2PError
from p2p.client import SendArguments
from p2p.measure.samples import figures

GOAL_MS: Final = 200
GOAL_MEMORY_MIB: Final = 96
GOAL_MESSAGE_MS: Final = 50
LOOK_S: Final = 0.001
FLOW_S: Final = 8.0


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--gigabytes", default=10, show_default=True, type=click.IntRange(1), help="Of the file.")
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1), help="How often it is begun.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")
def main(gigabytes: int, rounds: int, as_json: bool) -> None:
    """Measure how soon a very large file begins to arrive."""
    react(lambda reactor: ensureDeferred(_measure(reactor, gigabytes, rounds, as_json)))


async def _measure(reactor: Any, gigabytes: int, rounds: int, as_json: bool) -> None:
    folder = Path(tempfile.mkdtemp(prefix="p2p-bench-"))
    p2p = P2P(reactor, folder / "p2p")
    try:
        await p2p.start()
        took: list[float] = []
        for number in range(rounds + 1):
            source = folder / f"film-{number}"
            source.touch()
            os.truncate(source, gigabytes * 10**9)
            await p2p.clients[0].disconnect()
            seconds = await _begun(reactor, p2p, source)
            if number:
                took.append(seconds)
            tell(f"{f'round {number}' if number else 'warm-up'}: {seconds * 1000:.0f} ms")
        source = folder / "film"
        source.touch()
        os.truncate(source, gigabytes * 10**9)
        sending = _cancelled_after(reactor, p2p, source, FLOW_S)
        messages = figures(await p2p.messages(sending))
        peaks = p2p.memory_peaks()
    finally:
        await p2p.stop()
        shutil.rmtree(folder)
    first_ms = statistics.median(took) * 1000
    if as_json:
        print(json.dumps({"first_chunk_ms": first_ms, "message_s": messages, "memory_peak_bytes": peaks}))
        return
    print(f"first chunk of {gigabytes} GB verified at the receiver: {first_ms:.0f} ms (goal: under {GOAL_MS})")
    print(f"message beside it: p99 {messages['p99'] * 1000:.0f} ms (goal: under {GOAL_MESSAGE_MS})")
    shown = ", ".join(f"{peak / 2**20:.0f} MiB" for peak in peaks)
    print(f"memory peak of the daemons: {shown} (goal: under {GOAL_MEMORY_MIB} MiB)")


async def _begun(reactor: Any, p2p: P2P, source: Path) -> float:
    """Seconds until the receiver has the first chunk; then the transfer is given up."""
    began = reactor.seconds()
    sending = _quietly(p2p, source)
    while not any(one.stat().st_size for one in p2p.inbox.glob(".p2p-*/*.leaves")):
        await deferLater(reactor, LOOK_S)
    seconds = float(reactor.seconds() - began)
    sending.cancel()
    await _cleared(reactor, p2p)
    return seconds


async def _cancelled_after(reactor: Any, p2p: P2P, source: Path, seconds: float) -> None:
    sending = _quietly(p2p, source)
    await deferLater(reactor, seconds)
    sending.cancel()
    await _cleared(reactor, p2p)


def _quietly(p2p: P2P, source: Path) -> Deferred[Any]:
    sending: Deferred[Any] = ensureDeferred(p2p.clients[0].send(SendArguments(peers=[RECEIVER], paths=[str(source)])))
    sending.addErrback(lambda failure: failure.trap(P2PError, CancelledError))
    return sending


async def _cleared(reactor: Any, p2p: P2P) -> None:
    """Remove the part that has arrived, once nothing more comes."""
    size = -1
    while size != (size := sum(one.stat().st_size for one in p2p.inbox.glob(".p2p-*/*"))):
        await deferLater(reactor, 0.3)
    for part in p2p.inbox.glob(".p2p-*"):
        shutil.rmtree(part)


if __name__ == "__main__":
    main()
