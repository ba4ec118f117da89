"""``p2p ping``: how far a peer is."""

from __future__ import annotations

from typing import Any

import click
from twisted.internet.task import deferLater

from p2p.cli.output import duration, json_option, printable, show_json
from p2p.cli.parameters import peer_argument
from p2p.cli.session import ConsoleSession
from p2p.client import Client
from p2p.console.operations import Pinged

__all__ = ["ping"]


@click.command()
@peer_argument
@click.option("-c", "--count", type=click.IntRange(1, 100_000), default=4, show_default=True, help="How often.")
@click.option(
    "-i", "--interval", type=click.FloatRange(0, 3600), default=0.5, show_default=True, help="Seconds between two."
)
@json_option
@click.pass_obj
def ping(session: ConsoleSession, peer: str, count: int, interval: float, as_json: bool) -> None:
    """Measure the round trip to PEER over the direct link.

    The first one sets the link up if it isn't there, and says how long that took.

    \b
      p2p ping m4.m
      p2p ping m4.m --count 100 --interval 0
    """

    async def measure(client: Client, reactor: Any) -> list[Pinged]:
        answers: list[Pinged] = []
        for number in range(count):
            if number:
                await deferLater(reactor, interval)
            answers.append(await client.ping(peer, acting=session.acting))
            if not as_json:
                click.echo(_line(answers[-1]))
        return answers

    answers = session.run(measure)
    times = [answer.rtt_ns for answer in answers]
    mean = sum(times) / len(times)
    if as_json:
        summary = {"count": count, "min_ns": min(times), "mean_ns": round(mean), "max_ns": max(times)}
        show_json({"peer": peer, **summary, "pings": [answer.model_dump(exclude={"peer"}) for answer in answers]})
    elif count > 1:
        shortest, middle, longest = (duration(time / 1e9) for time in (min(times), mean, max(times)))
        click.echo(f"{count} round trips: shortest {shortest}, mean {middle}, longest {longest}")


def _line(answer: Pinged) -> str:
    shown = f"{answer.peer} at {answer.remote}: {duration(answer.rtt_ns / 1e9)}"
    if not answer.reused and answer.setup_ns:
        shown += f" (new link, set up in {duration(answer.setup_ns / 1e9)})"
    return printable(shown)
