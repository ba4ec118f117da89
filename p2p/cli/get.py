"""``p2p get``: what a peer shares, into a folder or to standard output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import click

from p2p.base.errors import LocalFileError
from p2p.cli.moving import move, moving_options
from p2p.cli.output import json_option
from p2p.cli.parameters import complete_files, complete_shared, option, peer_argument
from p2p.cli.session import ConsoleSession
from p2p.client import Client, GetArguments, Moved, OnTransferEvent

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
@option(GetArguments, "exists")
@moving_options(GetArguments)
@json_option
@click.pass_obj
def get(
    session: ConsoleSession,
    /,
    peer: str,
    names: tuple[str, ...],
    verbose: bool,
    as_json: bool,
    **options: Any,
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
    stream = folder is None
    if stream:
        _check_stream(wanted, options["detach"], as_json)
    arguments = GetArguments.read(
        {
            **options,
            "acting": session.acting,
            "peer": peer,
            "names": wanted,
            "folder": folder,
            "stream": stream,
        }
    )

    async def work(client: Client, on_event: OnTransferEvent) -> Moved:
        return await client.get(arguments, file=STDOUT if stream else None, on_event=on_event)

    move(session, work, as_json=as_json, verbose=verbose, resumable=not stream, quiet_output=stream)


def _destination(names: tuple[str, ...]) -> tuple[list[str], str | None]:
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
            return wanted, str(Path.cwd())
        folder = Path(last).absolute()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        named = "this folder" if here else last
        raise LocalFileError(f"{named}: {error.strerror}; name a folder that can be made") from error
    return wanted[:-1], str(folder)


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
