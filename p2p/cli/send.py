"""``p2p send``: files, folders and standard input into the inboxes of peers."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from p2p.base.errors import LocalFileError
from p2p.base.values import DATA, ContentType, type_of
from p2p.cli.moving import move, moving_options
from p2p.cli.output import json_option
from p2p.cli.parameters import complete_files, complete_targets, is_pattern, option, target_names
from p2p.cli.session import ConsoleSession
from p2p.client import Client, Moved, OnTransferEvent, SendArguments

__all__ = ["send"]

STDIN: Final = 0
"""The file descriptor of standard input, which the daemon reads itself."""


@click.command(short_help="Send files and folders into the inboxes of peers.")
@click.argument("peers", metavar="PEER[,PEER...]", callback=target_names, shell_complete=complete_targets)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, shell_complete=complete_files)
@option(SendArguments, "name")
@option(SendArguments, "type", default=None, help="What the content is; without it, the endings of the names decide.")
@moving_options(SendArguments)
@json_option
@click.pass_obj
def send(
    session: ConsoleSession,
    /,
    peers: list[str],
    paths: tuple[str, ...],
    verbose: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Send each PATH, a file or a whole folder, into the inbox of each PEER.

    Names are separated by commas, and '*.m' is everybody in cluster m; what is sent is read once for all of them. "-"
    as PATH is standard input, which needs a --name.

    Each file is verified on arrival, and has its name only then; what happens where that is taken is up to the
    receiver. When a link breaks or a machine restarts, it goes on by itself, from the last verified chunk; after
    Ctrl-C, the same command goes on where this one stopped.

    \b
      p2p send m4.m film.mkv
      p2p send m4.m,n2.n photos/ *.wav
      p2p send '*.m' handout.pdf
      tar c src | p2p send m4.m - --name src.tar
      p2p send m4.m backup.img --limit 10MB/s --deadline 1d --detach
    """
    stream = "-" in paths
    if stream:
        _check_stream(paths, options["name"], options["detach"])
    elif options["name"] is not None and len(paths) > 1:
        raise click.UsageError("--name is for one PATH; these are several")
    arguments = SendArguments.read(
        {
            **options,
            "acting": session.acting,
            "peers": peers,
            "paths": [] if stream else [_usable(path) for path in paths],
            "stream": stream,
            "type": options["type"] or _common_type([options["name"]] if options["name"] else paths),
        }
    )

    async def work(client: Client, on_event: OnTransferEvent) -> Moved:
        return await client.send(arguments, file=STDIN if stream else None, on_event=on_event)

    several = len(peers) > 1 or is_pattern(peers[0])
    move(session, work, as_json=as_json, verbose=verbose, several=several, resumable=not stream)


def _common_type(names: Sequence[str]) -> ContentType:
    """The type that all of them have; a folder, and what differs, is data."""
    # Not Path.is_dir, which raises for what can't be a path, such as an over-long name; the daemon says that better.
    types: set[ContentType] = {DATA if os.path.isdir(name) else type_of(name) for name in names}  # noqa: PTH112 - as it was typed
    return types.pop() if len(types) == 1 else DATA


def _check_stream(paths: Sequence[str], name: str | None, detach: bool) -> None:
    """See that standard input can be sent.

    :raises click.UsageError: if it was named along with something else, or has no name.
    :raises LocalFileError: if it is closed.
    """
    if len(paths) > 1:
        raise click.UsageError('"-" (standard input) is sent alone; send the files with another command')
    if name is None:
        raise click.UsageError("what comes from standard input needs a name: --name NAME")
    if detach:
        raise click.UsageError("standard input ends with this command, so it can't be sent with --detach")
    try:
        os.fstat(STDIN)
    except OSError as error:
        raise LocalFileError("standard input is closed; give it with a pipe, or name a file") from error


def _usable(text: str) -> str:
    """Return the absolute path of a file or folder that can be sent.

    :raises LocalFileError: with what is wrong and what to do.
    """
    if not text:
        raise LocalFileError("the name of a file is empty; name the file to send")
    try:
        path = Path(text).absolute()
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LocalFileError(f"{text}: {reason}; check the name, and your rights in its folders") from error
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise LocalFileError(f"{text}: this is neither a file nor a folder; send what it gives through a pipe, with -")
    if not os.access(path, os.R_OK):
        raise LocalFileError(f"{text}: you may not read this; change its mode with chmod")
    return str(path)
