"""Try peers at all kinds of sites with each other, and print what came of each pair, and how long it took.

Times are in round trips between two sites. Run it as root, from the project's folder:
``python -m test.functional.reach``.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react

from p2p.base.errors import P2PError
from test.functional.lab import RunningLab
from test.functional.reach.matrix import EITHER, RELAYED, Matrix, R, Tried, expected, limit_s
from test.functional.reach.net import ALL_SITES, Site, impossible


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--sites", default="", help="Only sites whose names contain one of these words, divided by commas.")
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(1), help="How often each pair is tried.")
def main(sites: str, rounds: int) -> None:
    """Try every ordered pair of sites, one after another, each with a new link."""
    if why := impossible():
        raise click.ClickException(why)
    words = [word.strip() for word in sites.split(",") if word.strip()]
    chosen = [site for site in ALL_SITES if not words or any(word in site.name for word in words)]
    if not chosen:
        raise click.UsageError(f"no site has such a name; there are: {', '.join(site.name for site in ALL_SITES)}")
    react(lambda reactor: ensureDeferred(_run(reactor, chosen, rounds)))


async def _run(reactor: Any, sites: list[Site], rounds: int) -> None:
    wrong = 0
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="p2p-") as folder:
        matrix = Matrix(sites, Path(folder), stack)
        lab = RunningLab(hosts={"n": matrix.host, "m": matrix.host})
        try:
            await matrix.start(lab)
            click.echo(f"R is {R * 1000:g} ms: the round trip between two sites, plus what this machine takes")
            click.echo(f"{'asks':<26} {'is asked':<26} {'ends':<9} {'link':>8} {'first byte':>11}")
            for _ in range(rounds):
                for asking, one in enumerate(sites):
                    for asked, other in enumerate(sites):
                        wrong += await _tried(matrix, asking, asked, one.name, other.name)
                    await matrix.part()
        finally:
            await matrix.close()
            await lab.stop()
    click.echo(f"not as docs/reach.rst says: {wrong or 'none'}")
    if wrong:
        raise SystemExit(1)


async def _tried(matrix: Matrix, asking: int, asked: int, one: str, other: str) -> bool:
    """Try a pair and print it; return whether it ended otherwise than expected."""
    wanted = expected(one, other)
    try:
        tried = await matrix.tried(asking, asked)
    except P2PError as error:
        click.echo(f"{one:<26} {other:<26} failed: {error}")
        return True
    times = f"{_trips(tried.setup_s):>8} {_trips(tried.first_byte_s):>11}"
    late = "  LATE" if tried.setup_s > limit_s(one, other) else ""
    click.echo(f"{one:<26} {other:<26} {tried.how:<9} {times}{_note(wanted, tried)}{late}")
    return wanted not in (EITHER, tried.how)


def _trips(seconds: float) -> str:
    return f"{seconds / R:.1f} R"


def _note(wanted: str, tried: Tried) -> str:
    if wanted == EITHER:
        return "  (either)"
    return "" if wanted == tried.how else f"  EXPECTED {wanted}" + (" by a relay" if wanted == RELAYED else "")


if __name__ == "__main__":
    main()
