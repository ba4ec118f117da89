"""``p2p play``: a peer plays a file of sound or pictures, and tells what it saw."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Final

import click

from p2p.base.errors import DaemonFault, LocalFileError
from p2p.base.values import type_of
from p2p.cli.output import duration, json_option, printable, show_json, size
from p2p.cli.parameters import complete_files, peer_argument
from p2p.cli.session import ConsoleSession
from p2p.client import ExchangeArguments
from p2p.console.operations import Exchanged

__all__ = ["play"]

_NAMES: Final = {"container": "container", "codecs": "codecs", "frames": "frames"}


@click.command()
@peer_argument
@click.argument("file", type=click.Path(path_type=Path), shell_complete=complete_files)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PNG",
    help="Where to save the picture that PEER made of it.",
)
@json_option
@click.pass_obj
def play(session: ConsoleSession, peer: str, file: Path, picture: Path | None, as_json: bool) -> None:
    """Have PEER play FILE to its end, and tell what it saw there.

    FILE is sound or a film: WAV, MP3, FLAC, Ogg, MP4, WebM, Matroska and others, of at most 64 MiB. PEER decodes all of
    it and keeps nothing. What can't be played, or breaks off, is refused with the reason. The picture is a sheet of
    frames of a film, or the waveform of sound.

    \b
      p2p play m4.m film.mp4
      p2p play m4.m song.ogg --picture song.png
    """
    asked = ExchangeArguments(
        peer=peer,
        service="inspect",
        type=type_of(file.name),
        name=file.name,
        path=str(file.absolute()),
        show="base64",
        acting=session.acting,
    )
    answer = session.run(lambda client, reactor: client.exchange(asked))
    if picture is not None:
        _save(picture, answer)
    if as_json:
        shown = answer.model_dump(include={"peer", "name", "bytes", "digest", "said"})
        show_json({**shown, "seconds": answer.seconds, "picture": None if picture is None else str(picture)})
        return
    click.echo(printable(f"{peer} has played {file.name}, {size(answer.bytes)}, within {duration(answer.seconds)}"))
    for name, value in _lines(answer):
        click.echo(printable(f"{name:<10} {value}"))
    if picture is not None:
        click.echo(printable(f"{'picture':<10} {picture}"))


def _lines(answer: Exchanged) -> list[tuple[str, str]]:
    """What the peer saw, in the order in which people ask for it; whatever it left out isn't shown."""
    said = answer.said
    lines = [(name, said[key]) for key, name in _NAMES.items() if key in said]
    if "duration_s" in said:
        lines.insert(2, ("duration", f"{said['duration_s']} s"))
    if "width" in said and "height" in said:
        lines.append(("size", f"{said['width']} x {said['height']} pixels"))
    if "rate" in said and "channels" in said:
        channels = said["channels"]
        lines.append(("sound", f"{said['rate']} Hz, {channels} channel{'' if channels == '1' else 's'}"))
    return lines


def _save(path: Path, answer: Exchanged) -> None:
    try:
        path.write_bytes(base64.b64decode(answer.text, validate=True))
    except binascii.Error as error:
        raise DaemonFault("the daemon gave a picture that makes no sense; is it of this version?") from error
    except OSError as error:
        raise LocalFileError(f"{path}: {error.strerror}; name another file with --picture") from error
