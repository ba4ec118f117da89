"""``p2p message``: a text to a peer, and its reply."""

from __future__ import annotations

import sys

import click

from p2p.cli.output import json_option, printable, show_json
from p2p.cli.parameters import peer_argument
from p2p.cli.session import ConsoleSession
from p2p.console.lines import REQUEST_BYTES

__all__ = ["message"]


@click.command()
@peer_argument
@click.argument("words", metavar="TEXT...", nargs=-1, required=True)
@json_option
@click.pass_obj
def message(session: ConsoleSession, peer: str, words: tuple[str, ...], as_json: bool) -> None:
    """Send TEXT, one word or several, to PEER and print its reply.

    The reply is the same text in capital letters, which shows that both ways work. With "-" as the TEXT it is read from
    standard input. It can have nearly 1 MiB; send more as a file.

    \b
      p2p message m4.m good morning
      fortune | p2p message m4.m -
      p2p message m4.m --json hello

    Control characters in the reply are shown escaped; --json gives it exactly.
    """
    text = _from_standard_input() if words == ("-",) else " ".join(words)
    if not _is_text(text):
        raise click.UsageError("the text isn't UTF-8; send other content as a file: p2p send PEER FILE")
    answer = session.run(lambda client, reactor: client.message(peer, text, acting=session.acting))
    if as_json:
        show_json({**answer.model_dump(exclude={"text", "receipt"}), "reply": answer.text, "seconds": answer.seconds})
    else:
        click.echo(printable(answer.text, lines=True), nl=not answer.text.endswith("\n"))


def _from_standard_input() -> str:
    content = sys.stdin.buffer.read(REQUEST_BYTES + 1)
    if len(content) > REQUEST_BYTES:
        raise click.UsageError("the text on standard input has more than 1 MiB; send it as a file: p2p send PEER FILE")
    return content.decode("utf-8", "surrogateescape")


def _is_text(text: str) -> bool:
    """Whether it was UTF-8; bytes that weren't arrive as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
