"""``p2p ls``: what a peer shares."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import click

from p2p.cli.output import columns, json_option, printable, show_json, size
from p2p.cli.parameters import complete_shared, peer_argument
from p2p.cli.session import ConsoleSession
from p2p.client import ListedEntry

__all__ = ["ls"]

_FAR_S: Final = 2**63 / 1e9
"""Seconds from 1970: what is listed with that time is further away."""


@click.command(short_help="List what a peer shares.")
@peer_argument
@click.argument("path", default="", shell_complete=complete_shared)
@json_option
@click.pass_obj
def ls(session: ConsoleSession, peer: str, path: str, as_json: bool) -> None:
    """List what PEER shares, or what is in its shared folder PATH.

    The names are those that "p2p get" takes; folders end with "/". A name with characters that can't be shown is
    written as a shell takes it, $'caf\\351'.

    \b
      p2p ls m4.m
      p2p ls m4.m films
    """
    listed = session.run(lambda client, reactor: client.list_shared(peer, path, acting=session.acting))
    if as_json:
        show_json(listed.model_dump(mode="json"))
    elif listed.entries:
        click.echo(columns(("NAME", "SIZE", "CHANGED"), [_row(one) for one in listed.entries]))
    else:
        click.echo(f"{peer} shares nothing {'there' if path else 'with you'}", err=True)


def _row(entry: ListedEntry) -> tuple[str, str, str]:
    mark = {"folder": "/", "link": "@"}.get(entry.kind, "")
    shown = size(entry.size) if entry.kind == "file" else ""
    if abs(entry.mtime) == _FAR_S:
        return _typed(entry.name) + mark, shown, "after 2262" if entry.mtime > 0 else "before 1677"
    try:
        changed = datetime.fromtimestamp(entry.mtime, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        changed = "?"  # whatever the other side says, the rest of the list is shown
    return _typed(entry.name) + mark, shown, changed


def _typed(name: str) -> str:
    """A name as a shell takes it: one with characters that can't be shown in the form $'...' (POSIX.1-2024)."""
    if printable(name) == name:
        return name
    raw = name.encode("utf-8", "surrogateescape") if _has_bytes(name) else name.encode("utf-8", "replace")
    return "$'" + "".join(map(_in_quotes, raw.decode("utf-8", "surrogateescape"))) + "'"


def _has_bytes(name: str) -> bool:
    return all(not "\ud800" <= character <= "\udfff" or character >= "\udc80" for character in name)


def _in_quotes(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if printable(character) == character:
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
