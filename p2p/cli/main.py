"""The ``p2p`` command: its options, the map of its commands, and how each run of it ends."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import click

from p2p import __version__
from p2p.base.errors import P2PError
from p2p.base.names import parse_peer
from p2p.cli.output import ExitCode, NotWritten, describe, exit_codes_text, not_written, show_error, show_json
from p2p.cli.parameters import complete_acting, option
from p2p.cli.session import ConsoleSession, run_in_reactor
from p2p.console.operations import ActingArguments

__all__ = ["cli", "main"]

COMMANDS = {
    "message": "p2p.cli.message",
    "chat": "p2p.cli.chat",
    "send": "p2p.cli.send",
    "get": "p2p.cli.get",
    "ls": "p2p.cli.ls",
    "play": "p2p.cli.play",
    "transfers": "p2p.cli.transfers",
    "offers": "p2p.cli.offers",
    "tunnel": "p2p.cli.tunnel",
    "pipe": "p2p.cli.pipe",
    "peers": "p2p.cli.peers",
    "ping": "p2p.cli.ping",
    "why": "p2p.cli.why",
    "status": "p2p.cli.status",
    "lab": "p2p.cli.lab",
    "join": "p2p.cli.join",
    "demo": "p2p.cli.demo",
    "experiment": "p2p.cli.experiment",
    "report": "p2p.cli.report",
    "completion": "p2p.cli.completion",
}
"""Each command and the module that defines it under the command's name; it is imported when it is needed."""


class _Commands(click.Group):
    """The commands in the order of the map, and one place where errors become exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name]}.{cmd_name} is no command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; that nobody reads what it prints is told like all that keeps it from printing."""
        try:
            return super().invoke(ctx)
        except OSError as error:  # click would end with 1 after a closed pipe, without a word
            told = not_written(error)
            if told is None:
                raise
            raise told from error

    def main(  # type: ignore[override]  # click overloads it for standalone_mode, which makes no difference here
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> None:
        """Run the command and exit; every error passes here on its way out."""
        arguments = list(sys.argv[1:] if args is None else args)
        as_json = "--json" in arguments[: arguments.index("--") if "--" in arguments else None]
        code: int
        try:
            code = super().main(arguments, prog_name or "p2p", complete_var, standalone_mode=False, **extra) or 0
        except click.Abort as error:  # what click makes of a KeyboardInterrupt
            cause = error.__cause__
            code = _tell(cause if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt(), as_json)
        except click.ClickException as error:
            if as_json:
                show_json(describe(error))
            else:
                error.show()
            code = ExitCode.USAGE
        except NotWritten as error:
            sys.stdout = _nowhere()  # else Python tries once more at its end, and fails
            code = _tell(error, as_json=False)
        except P2PError as error:
            code = _tell(error, as_json)
        except Exception as error:
            if as_json:
                show_json(describe(error))
            raise  # the traceback is what a report of this needs; Python exits with 1
        sys.exit(code)


def _tell(error: BaseException, as_json: bool) -> int:
    known = describe(error)
    if as_json:
        show_json(known)
    else:
        with suppress(OSError):  # nobody reads that either; the code tells it all the same
            show_error(error)
    return int(known["exit_code"])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\nExit codes:\n{exit_codes_text()}",
)
@click.option(
    "--config",
    metavar="FILE",
    envvar="P2P_CONFIG",
    show_envvar=True,
    type=click.Path(path_type=Path, readable=False),
    help="The YAML file of the daemon to talk to.",
)
@option(ActingArguments, "acting", metavar="NAME", shell_complete=complete_acting)
@click.version_option(__version__, prog_name="p2p")
@click.pass_context
def cli(ctx: click.Context, config: Path | None, acting: str | None) -> None:
    """Send texts and files to the machines of the lab by their names.

    The commands ask a daemon on this machine, whose YAML file says where to find it:

    \b
      export P2P_CONFIG=lab/peer-n1.n.yaml
      p2p peers m                      who is there in cluster m?
      p2p message m4.m "good morning"  prints GOOD MORNING
      p2p send m4.m film.mkv photos    into the inbox of m4.m
      p2p ls m4.m                      what does m4.m share?
      p2p get m4.m notes.txt           from there, into this folder

    "p2p lab init DIR" makes all the files that a lab needs.
    """
    if acting is not None:
        parse_peer(acting)
    # What the caller gave as the context's object runs the coroutines; nobody but a test gives one.
    ctx.obj = ConsoleSession(config, acting, ctx.obj or run_in_reactor)


def _nowhere() -> TextIO:
    """A stream that leads nowhere; its descriptor isn't one of those that others take for the standard streams."""
    opened = os.open(os.devnull, os.O_RDWR)
    kept = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(opened)
    return os.fdopen(kept, "r+")


def main() -> None:
    """Run the command ``p2p``."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever called us has closed it
            setattr(sys, name, _nowhere())
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # both are real files here
    cli()
