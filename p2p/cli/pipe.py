"""``p2p pipe``: standard input and output here, joined with those of the same command at another peer."""

from __future__ import annotations

from typing import Any

import click

from p2p.base.names import parse_peer
from p2p.cli.parameters import complete_peers, option
from p2p.cli.session import ConsoleSession
from p2p.cli.standard_streams import with_standard_streams
from p2p.client import Client, PipeListenArguments, ProgramJoined

__all__ = ["pipe"]


@click.command(short_help="Join standard input and output with another peer's.")
@click.argument("peer", metavar="[PEER]", required=False, shell_complete=complete_peers)
@click.option("--listen", is_flag=True, help="Wait for a peer that says: p2p pipe PEER.")
@option(PipeListenArguments, "senders", metavar="PATTERN", multiple=True, default=())
@click.pass_obj
def pipe(session: ConsoleSession, peer: str | None, listen: bool, senders: tuple[str, ...]) -> None:
    """Join standard input and output with those of "p2p pipe --listen" at PEER.

    What is written here is read there, and the other way round, encrypted over the direct link and at the pace of the
    slower side. Each direction ends by itself, when its input does; the command ends when both have. Whoever listens
    waits until somebody comes, once, and says on standard error who it is; whoever names a PEER waits ten seconds for
    somebody to listen there.

    \b
      p2p pipe --listen > backup.tar                  on m4.m
      tar c src | p2p pipe m4.m                       on n1.n
      p2p pipe --listen --from '*.n' | ffplay -       on m4.m

    Files are better sent with "p2p send", which goes on where it was when a link breaks; a pipe is cut off then, with
    exit code 8.
    """
    if (peer is None) != listen:
        raise click.UsageError("say either with which PEER, or --listen")
    if senders and not listen:
        raise click.UsageError("--from goes with --listen: it says who may come")
    if peer is not None:
        parse_peer(peer)

    async def work(client: Client, reactor: Any) -> ProgramJoined:
        async def ask(descriptor: int) -> ProgramJoined:
            if peer is not None:
                return await client.pipe(peer, descriptor, acting=session.acting)
            asked: dict[str, Any] = {"acting": session.acting, **({"senders": list(senders)} if senders else {})}
            arguments = PipeListenArguments.read(asked)
            return await client.pipe_listen(arguments, descriptor, on_joined=_came)

        return await with_standard_streams(reactor, ask)

    session.run(work)


def _came(peer: str) -> None:
    click.echo(f"{peer} is here", err=True)
