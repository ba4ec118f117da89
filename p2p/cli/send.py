"""``p2p send``: files into the inbox of a peer."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from mimetypes import MimeTypes
from pathlib import Path
from typing import Any, cast, get_args

import click

from p2p.cli.exit_codes import ExitCode, exit_code_of
from p2p.cli.names import complete_files, peer_argument
from p2p.cli.output import describe, duration, json_option, on_terminal, printable, rate, show_error, show_json, size
from p2p.cli.session import Session
from p2p.client import Client, OnProgress
from p2p.control.operations import ContentType, Exchanged
from p2p.errors import ExchangeFailed, LocalFileError, Outcome

__all__ = ["send"]

_TYPES = MimeTypes()
for _type, _endings in {
    "audio/flac": ".flac",
    "audio/mp4": ".m4a",
    "audio/ogg": ".ogg .oga",
    "audio/x-matroska": ".mka",
    "text/markdown": ".md",
    "text/x-rst": ".rst",
    "video/ogg": ".ogv",
    "video/x-matroska": ".mkv",
}.items():
    for _ending in _endings.split():
        _TYPES.add_type(_type, _ending)

_NOBODY_THERE = {Outcome.UNKNOWN_PEER, Outcome.UNKNOWN_CLUSTER, Outcome.CLUSTER_UNREACHABLE, Outcome.CONNECT_FAILED}
"""Outcomes that the next file would have as well."""


@click.command()
@peer_argument
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=complete_files)
@click.option(
    "--type",
    "content_type",
    type=click.Choice(get_args(ContentType)),
    help="What the content is; without it, the ending of the file's name decides.",
)
@json_option
@click.pass_obj
def send(session: Session, peer: str, files: tuple[str, ...], content_type: str | None, as_json: bool) -> None:
    """Send each FILE into the inbox of PEER.

    They go one after another. Each is checked on arrival and then has its whole name at once; where the name is taken,
    the file gets another, which is told. With --json, each event is an object on its own line: "progress", then "sent"
    or "failed".

    \b
      p2p send m4.m film.mkv
      p2p send m4.m *.wav notes.txt
      p2p send m4.m capture.bin --type video
    """
    paths = [_usable(file) for file in files]  # all of them, before the first is sent

    async def send_all(client: Client, reactor: Any) -> ExitCode:
        code = ExitCode.OK
        for path in paths:
            try:
                await _send_one(client, path)
            except (ExchangeFailed, LocalFileError) as error:
                _show_failed(path, error, as_json)
                code = code or exit_code_of(error)
                if isinstance(error, ExchangeFailed) and error.outcome in _NOBODY_THERE:
                    break
        return code

    async def _send_one(client: Client, path: Path) -> None:
        kind = cast(ContentType, content_type) if content_type else guess_type(path.name)
        with _progress(path, as_json) as on_progress:
            answer = await client.send(peer, path, content_type=kind, on_progress=on_progress, acting=session.acting)
        _show_sent(path, answer, as_json)

    sys.exit(session.run(send_all))


def guess_type(name: str) -> ContentType:
    """Say from the ending of a file's name whether it is text, audio, video or other data."""
    guessed = (_TYPES.guess_type(name, strict=False)[0] or "").partition("/")[0]
    return cast(ContentType, guessed) if guessed in ("text", "audio", "video") else "data"


def _usable(file: str) -> Path:
    """Return the absolute path of a file that can be sent.

    :raises LocalFileError: with what is wrong and what to do.
    """
    if not file:
        raise LocalFileError("the name of a file is empty; name the file to send")
    path = Path(file).absolute()
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LocalFileError(f"{file}: {reason}; check the name, and your rights in its folders") from error
    if stat.S_ISDIR(mode):
        raise LocalFileError(f"{file}: this is a folder; pack it into one file first, for example with tar")
    if not stat.S_ISREG(mode):
        raise LocalFileError(f"{file}: this isn't a regular file; save its content in one and send that")
    if not os.access(path, os.R_OK):
        raise LocalFileError(f"{file}: you may not read this file; change its mode with chmod")
    return path


@contextmanager
def _progress(path: Path, as_json: bool) -> Iterator[OnProgress]:
    """Show how far a file is: as JSON, as a bar on a terminal, else not at all."""
    if as_json:
        yield lambda done, length: show_json({"event": "progress", "file": str(path), "bytes": done, "length": length})
    elif on_terminal():
        with _bar(path) as update:
            yield update
    else:
        yield lambda done, length: None


@contextmanager
def _bar(path: Path) -> Iterator[Callable[[int, int | None], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    # No thread redraws it: progress comes several times a second. It goes when it is done; a line takes its place.
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, force_terminal=True),
        auto_refresh=False,
        transient=True,
    ) as progress:
        task = progress.add_task(printable(path.name), total=path.stat().st_size)
        progress.refresh()

        def update(done: int, length: int | None) -> None:
            progress.update(task, completed=done, total=length, refresh=True)

        yield update


def _show_sent(path: Path, answer: Exchanged, as_json: bool) -> None:
    if as_json:
        show_json(
            {"event": "sent", "file": str(path), **answer.model_dump(exclude={"text"}), "seconds": answer.seconds}
        )
        return
    shown = f"{path.name}: {size(answer.bytes)} in {duration(answer.seconds)} ({rate(answer.bytes, answer.seconds)})"
    stored = f", stored as {answer.receipt.name}" if answer.receipt else ""
    click.echo(printable(f"{shown}, BLAKE3 {answer.digest[:12]}{stored}"))


def _show_failed(path: Path, error: ExchangeFailed | LocalFileError, as_json: bool) -> None:
    if as_json:
        show_json({"event": "failed", "file": str(path), **describe(error)})
    else:
        show_error(error, None if isinstance(error, LocalFileError) else path.name)
