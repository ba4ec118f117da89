"""Texts that come from the other end, made fit for a log and a screen. Pure."""

from __future__ import annotations

from typing import Any

__all__ = ["TEXT_CHARACTERS", "address_text", "printable"]

TEXT_CHARACTERS = 500
"""Characters kept of a text from the other end."""


def printable(text: str | bytes) -> str:
    """Cut a text and take out what could steer a terminal or forge a log line; bytes are read as UTF-8."""
    if isinstance(text, bytes):
        text = text[: 4 * TEXT_CHARACTERS].decode("utf-8", "replace")
    return "".join(character for character in text[:TEXT_CHARACTERS] if character.isprintable())


def address_text(address: Any) -> str:
    """Show an address as ``host:port``, ``[host]:port`` for IPv6; one without a host and a port as it is."""
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is None or port is None:
        return str(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
