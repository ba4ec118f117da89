"""``p2p get``: what a peer shares, into a folder or to standard output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, get_args

import click

from p2p.base.errors import LocalFileError
from p2p.cli.moving import Move, move, moving_options
from p2p.cli.names import complete_files, complete_shared, peer_argument
from p2p.cli.output import json_option
from p2p.cli.session import Session
from p2p.client import Client, Moved, OnTransferEvent
from p2p.console.transfer_operations import Exists, Links

__all__ = ["get"]

STDOUT: Final = 1
"""The file descriptor of standard output, to which the daemon writes itself."""


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[object]:
    """Complete a name that the peer shares; after the first one, a folder of this machine as well."""
    shared: list[object] = [*complete_shared(ctx, param, incomplete)]
    return shared or [*complete_files(ctx, param, incomplete)]


@click.command(short_help="Get files and folders that a peer shares.")
@peer_argument
@click.argument("names", metavar="NAME... [DEST]", nargs=-1, required=True, shell_complete=_complete)
@click.option(
    "--exists",
    type=click.Choice(get_args(Exists)),
    default="rename",
    show_default=True,
    help="What to do where a name is taken.",
)
@moving_options(links="Whether links are made or left out.")
@json_option
@click.pass_obj
def get(
    session: Session,
    peer: str,
    names: tuple[str, ...],
    exists: Exists,
    links: Links,
    limit: int | None,
    deadline: float,
    detach: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Get each NAME, a file or a folder that PEER shares, into the folder DEST.

    "p2p ls PEER" lists what there is. The last of several arguments is DEST if it ends with "/" (the folder is made if
    need be) or is a folder that exists; without one it is the current folder. "-" as DEST is standard output, for one
    file.

    Each file is verified on arrival, and has its name only then. When a link breaks or a machine restarts, it
    goes on by itself, from the last verified chunk; after Ctrl-C, the same command goes on where this one stopped.

    \b
      p2p get m4.m films/new.mkv
      p2p get m4.m photos notes.txt /srv/from-m4/
      p2p get m4.m films/new.mkv - | ffplay -
    """
    wanted, folder = _destination(names)
    if folder is None:
        _check_stream(wanted, detach, as_json)

    async def get_stream(client: Client, on_event: OnTransferEvent) -> Moved:
        return await client.get_stream(
            peer, wanted[0], STDOUT, limit=limit, deadline_s=deadline, on_event=on_event, acting=session.acting
        )

    async def get_paths(client: Client, on_event: OnTransferEvent) -> Moved:
        assert folder is not None
        return await client.get(
            peer,
            wanted,
            folder,
            exists=exists,
            links=links,
            limit=limit,
            deadline_s=deadline,
            detach=detach,
            on_event=on_event,
            acting=session.acting,
        )

    stream = folder is None
    work: Move = get_stream if stream else get_paths
    move(session, work, as_json=as_json, verbose=verbose, resumable=not stream, quiet_output=stream)


def _destination(names: tuple[str, ...]) -> tuple[list[str], Path | None]:
    """Tell the names from the folder behind them; None stands for standard output.

    :raises LocalFileError: if the folder can't be made, or isn't there any more.
    """
    wanted, last = list(names), names[-1]
    if len(wanted) > 1 and last == "-":
        return wanted[:-1], None
    # Not Path.is_dir, which raises for what can't be a path, such as an over-long name.
    here = len(wanted) == 1 or not (last.endswith("/") or os.path.isdir(last))  # noqa: PTH112 - as it was typed
    try:
        if here:
            return wanted, Path.cwd()
        folder = Path(last).absolute()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        named = "this folder" if here else last
        raise LocalFileError(f"{named}: {error.strerror}; name a folder that can be made") from error
    return wanted[:-1], folder


def _check_stream(wanted: list[str], detach: bool, as_json: bool) -> None:
    """See that something can go to standard output.

    :raises click.UsageError: if it isn't one file, or something else is to go there too.
    :raises LocalFileError: if it is closed.
    """
    if len(wanted) > 1:
        raise click.UsageError("only one file can go to standard output; get the others with another command")
    if detach:
        raise click.UsageError("standard output ends with this command, so --detach can't write to it")
    if as_json:
        raise click.UsageError("the content and --json can't both go to standard output; name a folder")
    try:
        os.fstat(STDOUT)
    except OSError as error:
        raise LocalFileError("standard output is closed; name a folder") from error
