"""Texts that come from the other end, made fit for a log and a screen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

__all__ = ["NAMES", "TEXT_CHARACTERS", "address_text", "few", "left_out_text", "printable"]

TEXT_CHARACTERS = 500
"""Characters kept of a text from the other end."""

NAMES: Final = 3
"""Names that are shown of many."""


def printable(text: str | bytes) -> str:
    """Cut a text and take out what could steer a terminal or forge a log line; bytes are read as UTF-8."""
    if isinstance(text, bytes):
        text = text[: 4 * TEXT_CHARACTERS].decode("utf-8", "replace")
    return "".join(character for character in text[:TEXT_CHARACTERS] if character.isprintable())


def few(names: Sequence[str], more: int = 0) -> str:
    """Show many names in short: ``film.mkv, photos, notes and 3 more``; ``more`` aren't even listed."""
    more += len(names[NAMES:])
    return ", ".join(names[:NAMES]) + (f" and {more:,} more" if more else "")


def left_out_text(count: int, examples: Sequence[tuple[str, str, str]]) -> str:
    """Say how many entries of a transfer were left out, and of the first few why: ``2 left out: a: refused: …``.

    :param examples: path, outcome and reason of some of them.
    """
    shown = "; ".join(": ".join(map(printable, one)) for one in examples[:NAMES])
    more = count - len(examples[:NAMES])
    return f"{count:,} left out: {shown}" + (f"; and {more:,} more" if more > 0 else "")


def address_text(address: Any) -> str:
    """Show an address as ``host:port``, ``[host]:port`` for IPv6; one without a host and a port as it is."""
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is None or port is None:
        return str(address)
    host = host.removeprefix("::ffff:") if "." in host else host  # an IPv4 address, on a socket that takes both
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
