"""What the commands that move something share: they show what happens, and end with the right code."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import click

from p2p.base.errors import ConsoleUnreachable, Outcome
from p2p.cli.output import ExitCode, NotWritten, exit_code_of_outcome, not_written
from p2p.cli.parameters import option
from p2p.cli.session import ConsoleSession
from p2p.cli.transfer_view import GOES_ON, JSONView, PeopleView, TransferView
from p2p.client import Client, Moved, OnTransferEvent, TransferEvent, Verified
from p2p.console.transfer_operations import MovedOne, MovingArguments

__all__ = ["Move", "move", "moving_options"]

_F = TypeVar("_F", bound=Callable[..., Any])

Move = Callable[[Client, OnTransferEvent], Awaitable[Moved]]
"""Asks the daemon to move something, and has each event told."""

_OF_ERRORS = {
    "usage": ExitCode.USAGE,
    "file": ExitCode.LOCAL_FILE,
    "cancelled": ExitCode.INTERRUPTED,
}


def moving_options(model: type[MovingArguments]) -> Callable[[_F], _F]:
    """Give a command the options that all of them have: how links, broken links, and this command's end are taken."""

    def give(command: _F) -> _F:
        command = click.option("-v", "--verbose", is_flag=True, help="A line for every file, however many they are.")(
            command
        )
        for name in ("detach", "deadline_s", "limit", "links"):
            command = option(model, name)(command)
        return command

    return give


class _Endings:
    """Which code the transfers end with: that of the first thing that went wrong.

    :ivar begun: whether anything has begun.
    """

    def __init__(self) -> None:
        self.begun = False
        self._left_out: dict[str, str] = {}

    def see(self, event: TransferEvent) -> None:
        """Note an event."""
        self.begun = True
        if isinstance(event, Verified) and event.outcome != Outcome.OK:
            self._left_out.setdefault(event.transfer, event.outcome)

    def code(self, moved: Moved) -> ExitCode:
        """The code of the whole."""
        return next((code for one in moved.transfers if (code := self._code_of(one))), ExitCode.OK)

    def _code_of(self, one: MovedOne) -> ExitCode:
        if one.detached:
            return ExitCode.OK
        if one.outcome is None:
            return _OF_ERRORS.get(one.error, ExitCode.UNEXPECTED)
        if one.outcome == Outcome.OK and one.refused:
            return exit_code_of_outcome(self._left_out.get(one.transfer, Outcome.REFUSED))
        return exit_code_of_outcome(one.outcome)


def move(
    session: ConsoleSession,
    work: Move,
    *,
    as_json: bool,
    verbose: bool,
    several: bool = False,
    resumable: bool = True,
    quiet_output: bool = False,
) -> NoReturn:
    """Let the daemon move something, show what happens, and end the command with its code.

    :param several: whether there are several peers.
    :param resumable: whether the same command can go on with it later.
    :param quiet_output: whether the content itself goes to standard output.
    :raises KeyboardInterrupt: with what will be, if it is interrupted.
    """
    endings = _Endings()
    views: list[TransferView] = []

    async def show(client: Client, reactor: Any) -> ExitCode:
        view: TransferView
        if as_json:
            view = JSONView()
        else:
            view = PeopleView(several=several, verbose=verbose, now=reactor.seconds, quiet_output=quiet_output)
        views.append(view)

        def on_event(event: TransferEvent) -> None:
            endings.see(event)
            view.show(event)

        moved = await work(client, on_event)
        code = endings.code(moved)
        view.show_end(moved, code)
        return code

    after = GOES_ON if resumable else "it can't go on later, since its content came or went through a pipe"
    try:
        code = session.run(show)
    except OSError as error:
        told = not_written(error)
        if told is None:
            raise
        raise NotWritten(f"{told}; {after}") from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {after}" if endings.begun else "interrupted") from None
    except ConsoleUnreachable as error:
        if not (endings.begun and resumable):
            raise
        raise ConsoleUnreachable(f"{error}; when it runs again, it goes on with the transfer by itself") from error
    finally:
        for view in views:
            view.close()
    sys.exit(code)
